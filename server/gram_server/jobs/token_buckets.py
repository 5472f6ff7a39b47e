"""Token buckets of owners, in memory: they may go negative once. Knows no clock."""

from dataclasses import dataclass


@dataclass(slots=True)
class TokenBucket:
    """What an owner has left."""

    left: float
    at_s: float


class TokenBuckets:
    """The buckets of all owners."""

    def __init__(self) -> None:
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, owner: str, amount: int, *, rate: float, burst: float, now_s: float) -> float:
        """Take from a bucket, or give back, and return 0.0; or return the seconds to wait."""
        bucket = self._buckets.setdefault(owner, TokenBucket(burst, now_s))
        bucket.left = min(burst, bucket.left + max(0.0, now_s - bucket.at_s) * rate)
        bucket.at_s = now_s
        if bucket.left <= 0 and amount > 0:
            return -bucket.left / rate + 0.001
        bucket.left = min(burst, bucket.left - amount)
        return 0.0
