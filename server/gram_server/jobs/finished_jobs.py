"""What outlives a job in memory: ended jobs, each as one piece of text, and idempotency keys.

As objects they would keep the garbage collector busy for a tenth of a second now and then. Parts
are kept as long as their batch. Number and bytes are bounded: beyond the bounds, the oldest job of
the owner with the most is dropped first. Synchronous, without a clock.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

from gram_server.errors import KeyConflict
from gram_server.job import (
    Data,
    JobError,
    JobState,
    dump,
    from_bytes,
    load_event,
    load_job,
    to_bytes,
)
from gram_server.jobs.queued_job import QueuedJob, final_event, sort_key
from gram_server.jobs.store import IdempotencyKey
from gram_server.settings import QueueConfig

OVERHEAD_BYTES = 1024
"""Memory of a kept job besides its text."""


class Kept(NamedTuple):
    """One job, with the fields that are needed without parsing its text."""

    id: str
    sort_key: str
    owner: str | None
    ended_s: float
    until_s: float
    parts: tuple[str, ...]
    """Ids of the parts of a batch, which are forgotten with it."""
    text: bytes

    @property
    def num_bytes(self) -> int:
        return len(self.text) + OVERHEAD_BYTES


@dataclass(slots=True)
class _OwnerJobs:
    """One owner's kept jobs."""

    order: dict[str, None] = field(default_factory=dict)
    """Ids in the order of expiry; no parts of batches."""
    num_jobs: int = 0
    num_bytes: int = 0


class FinishedJobs:
    """Ended jobs, oldest first."""

    def __init__(self, config: QueueConfig) -> None:
        self._config = config
        self._kept: dict[str, Kept] = {}
        # Jobs that a request waited for have no owner.
        self._owners: defaultdict[str | None, _OwnerJobs] = defaultdict(_OwnerJobs)
        self.num_bytes = 0
        self.forgotten_early = 0

    @property
    def num_jobs(self) -> int:
        """Jobs that are kept, parts of batches included."""
        return len(self._kept)

    def put(self, entry: QueuedJob, now_s: float) -> None:
        job = entry.job
        config = self._config
        keep_s = config.keep_finished_s if job.owner is None else config.keep_jobs_s
        parts = tuple(part.job.id for part in entry.parts)
        data: Data = {
            "job": dump(job),
            "state": entry.state,
            "result": entry.result,
            "error": None if entry.error is None else dump(entry.error),
            "events": [dump(event) for event in entry.events[:-1]],
            "started": entry.started_s,
            "finished": entry.finished_s,
        }
        text = to_bytes(data)
        kept = Kept(job.id, sort_key(job), job.owner, now_s, now_s + keep_s, parts, text)
        self._kept[job.id] = kept
        self._count(kept, 1)
        if job.batch is None:
            self._owners[job.owner].order[job.id] = None

    def find(self, job_id: str, *, has_parts: bool = True) -> QueuedJob | None:
        """Return the entry of a job, or None; without parts unless ``has_parts``."""
        kept = self._kept.get(job_id)
        if kept is None:
            return None
        data = from_bytes(kept.text)
        entry = QueuedJob(
            job=load_job(data["job"]),
            state=JobState(data["state"]),
            result=data["result"],
            error=None if data["error"] is None else JobError(**data["error"]),
            events=[load_event(event) for event in data["events"]],
            started_s=data["started"],
            finished_s=data["finished"],
        )
        entry.append(final_event(entry))
        names = kept.parts if has_parts else ()
        entry.parts = tuple(part for name in names if (part := self.find(name)))
        return entry

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._kept

    def ended_since(self, since_s: float) -> list[str]:
        """Return the ids of jobs with an owner, without parts of batches, newest first."""
        recent = takewhile(lambda kept: kept.ended_s >= since_s, reversed(self._kept.values()))
        owned = (kept for kept in recent if kept.owner is not None)
        return [kept.id for kept in owned if kept.id in self._owners[kept.owner].order]

    def sort_keys_of(self, owner: str) -> list[str]:
        """Parts of batches are left out."""
        owned = self._owners.get(owner, _OwnerJobs())
        return [self._kept[job_id].sort_key for job_id in owned.order]

    def forget(self, now_s: float) -> None:
        for owner, owned in list(self._owners.items()):
            while owned.order and self._kept[next(iter(owned.order))].until_s <= now_s:
                self._drop_oldest(owned)
            if not owned.num_jobs:
                del self._owners[owner]

    def make_room(self) -> bool:
        """Drop jobs beyond the bounds; return whether the bounds hold now.

        They may not where the parts of unfinished batches fill them.
        """
        while (is_crowded := self.num_jobs > self._config.max_finished_jobs) or (
            self.num_bytes > self._config.max_finished_bytes
        ):
            owners = [owned for owned in self._owners.values() if owned.order]
            if not owners:
                return False
            largest = max(owners, key=lambda one: one.num_jobs if is_crowded else one.num_bytes)
            self.forgotten_early += self._drop_oldest(largest)
        return True

    def _drop_oldest(self, owned: _OwnerJobs) -> int:
        first = next(iter(owned.order))
        del owned.order[first]
        dropped = [first, *self._kept[first].parts]
        for job_id in dropped:
            self._count(self._kept.pop(job_id), -1)
        return len(dropped)

    def _count(self, kept: Kept, by: int) -> None:
        owned = self._owners[kept.owner]
        owned.num_jobs += by
        owned.num_bytes += by * kept.num_bytes
        self.num_bytes += by * kept.num_bytes


class _Known(NamedTuple):
    fingerprint: str
    job_id: str
    until_s: float


class IdempotencyKeys:
    """The keys of each owner and the jobs they stand for, oldest first, up to a bound."""

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
