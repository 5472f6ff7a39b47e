"""Idempotency keys and the jobs they stand for, for a while. Synchronous, without a clock."""

from typing import NamedTuple

from gram_server.errors import KeyConflict
from gram_server.jobs.store import IdempotencyKey
from gram_server.settings import QueueConfig


class _Known(NamedTuple):
    fingerprint: str
    job_id: str
    until_s: float


class IdempotencyKeys:
    """The keys of each owner, oldest first, up to a bound."""

    def __init__(self, config: QueueConfig) -> None:
        self._config = config
        self._known: dict[str, dict[str, _Known]] = {}

    def find(self, ticket: IdempotencyKey) -> str | None:
        """Return the id of the job of a key, or None; raise ``KeyConflict``."""
        known = self._known.get(ticket.owner, {}).get(ticket.key)
        if known is None:
            return None
        if known.fingerprint != ticket.fingerprint:
            raise KeyConflict("the key stands for another request", field="Idempotency-Key")
        return known.job_id

    def add(self, ticket: IdempotencyKey, job_id: str, now_s: float) -> None:
        keys = self._known.setdefault(ticket.owner, {})
        if len(keys) >= self._config.max_keys:
            del keys[next(iter(keys))]
        keys[ticket.key] = _Known(ticket.fingerprint, job_id, now_s + self._config.keep_keys_s)

    def forget(self, now_s: float) -> None:
        for owner, keys in list(self._known.items()):
            while keys and next(iter(keys.values())).until_s <= now_s:
                del keys[next(iter(keys))]
            if not keys:
                del self._known[owner]
