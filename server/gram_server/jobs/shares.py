"""Shares of owners in memory: token buckets that may go below nothing, once. Knows no clock."""

from dataclasses import dataclass


@dataclass(slots=True)
class Share:
    """What an owner has left."""

    left: float
    at_s: float


class Shares:
    """The shares of all owners."""

    def __init__(self) -> None:
        self._shares: dict[str, Share] = {}

    def spend(self, owner: str, amount: int, *, rate: float, burst: float, now_s: float) -> float:
        """Take from a share, or give back, and return 0.0; or return the seconds to wait."""
        share = self._shares.setdefault(owner, Share(burst, now_s))
        share.left = min(burst, share.left + max(0.0, now_s - share.at_s) * rate)
        share.at_s = now_s
        if share.left <= 0 and amount > 0:
            return -share.left / rate + 0.001
        share.left = min(burst, share.left - amount)
        return 0.0
