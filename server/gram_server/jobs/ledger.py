"""The queue's state as plain data: which jobs wait, who holds them, what became of them.

Synchronous and without a clock of its own, so every rule of a job's life is in one place and can be
tested without waiting. Knows no asyncio and no transport.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gram_server.errors import JobGone, JobNotFound, KeyConflict, QueueFull
from gram_server.job import PRIORITY_CLASSES, Job, JobError, JobState, outcome_of
from gram_server.jobs.entry import Entry, ServiceRate, accepted_event, final_event, part_event
from gram_server.jobs.store import ClassStats, Page, Ticket
from gram_server.metrics import ACCEPTED, JobCount
from gram_server.settings import QueueConfig

MAX_RETRY_AFTER_S = 60


class Ledger:
    """Jobs by id, the queue by priority class, and the trajectories both have reserved."""

    def __init__(self, config: QueueConfig) -> None:
        self._config = config
        self._unfinished: dict[str, Entry] = {}
        # Those that are soon forgotten, and those that an owner may look up later.
        self._finished: tuple[dict[str, Entry], dict[str, Entry]] = ({}, {})
        # A dict keeps its order and forgets from the middle at once: a queue with cancellation.
        self._queues: tuple[dict[str, None], ...] = tuple({} for _ in PRIORITY_CLASSES)
        self._rate = ServiceRate()
        self._tickets: dict[tuple[str, str], tuple[str, str, float]] = {}
        self.reserved_trajectories = 0
        self.redelivered = 0
        self.counts: Counter[JobCount] = Counter()
        """Jobs accepted, and ended by how."""

    @property
    def num_running(self) -> int:
        """Jobs that a worker holds."""
        return sum(entry.worker is not None for entry in self._unfinished.values())

    def find(self, job_id: str) -> Entry | None:
        """Return the entry of a job, or None."""
        for kept in (self._unfinished, *self._finished):
            if entry := kept.get(job_id):
                return entry
        return None

    def entry(self, job_id: str) -> Entry:
        """Return the entry of a job; raise ``JobNotFound``."""
        if entry := self.find(job_id):
            return entry
        raise JobNotFound(f"no job {job_id}")

    def unfinished(self) -> list[Entry]:
        """Return the entries that are not final."""
        return list(self._unfinished.values())

    def find_ticket(self, ticket: Ticket, now_s: float) -> str | None:
        """Return the id of the job that a ticket stands for, or None."""
        self._forget(now_s)
        known = self._tickets.get((ticket.owner, ticket.key))
        if known is None:
            return None
        fingerprint, job_id, _ = known
        if fingerprint != ticket.fingerprint:
            raise KeyConflict("the key stands for another request", field="Idempotency-Key")
        if self.find(job_id) is None:
            raise JobGone(f"the job of this key, {job_id}, has been forgotten")
        return job_id

    def add(
        self, job: Job, now_s: float, *, parts: Sequence[Job] = (), ticket: Ticket | None = None
    ) -> list[Entry]:
        """Queue a job, or raise ``QueueFull``; checking and reserving are one step."""
        self._forget(now_s)
        queued = parts or (job,)
        self._reserve(sum(part.options.width for part in queued), now_s)
        entries = [self._queue(part) for part in queued]
        if parts:
            batch = self._open(job)
            batch.parts, batch.num_open = tuple(entries), len(entries)
        if ticket is not None:
            known = (ticket.fingerprint, job.id, now_s)
            self._tickets[ticket.owner, ticket.key] = known
        return entries

    def page(self, owner: str, *, cursor: str | None, limit: int) -> Page:
        """Return a part of the owner's jobs, newest first."""
        places = sorted(
            (place(entry.job), entry)
            for kept in (self._unfinished, self._finished[True])
            for entry in kept.values()
            if entry.job.owner == owner and entry.job.batch is None
        )
        places = [(at, entry) for at, entry in places if cursor is None or at < cursor][::-1]
        more = places[limit - 1][0] if len(places) > limit else None
        return Page(records=tuple(entry.record for _, entry in places[:limit]), cursor=more)

    def take(
        self, worker: str, max_jobs: int, now_s: float, *, max_width: int | None = None
    ) -> list[Entry]:
        """Give a worker the jobs that are next: at most ``max_jobs``, until the width is full."""
        width = math.inf if max_width is None else max_width
        entries = self._next(worker, max_jobs, width)
        for entry in entries:
            del self._queues[entry.job.priority][entry.job.id]
            entry.state, entry.worker, entry.started_s = JobState.RUNNING, worker, now_s
            if batch := self._unfinished.get(entry.job.batch or ""):
                batch.state, batch.started_s = JobState.RUNNING, batch.started_s or now_s
        return entries

    def held_by(self, worker: str) -> list[Entry]:
        """Return the entries of the jobs that a worker holds."""
        return [entry for entry in self._unfinished.values() if entry.worker == worker]

    def finish(
        self,
        entry: Entry,
        state: JobState,
        now_s: float,
        *,
        result: Mapping[str, object] | None = None,
        error: JobError | None = None,
    ) -> list[Entry]:
        """Make an entry final and say so in its events; the first call wins.

        Returns the entries that have news: none, the entry, or its batch too.
        """
        if entry.state.is_final:
            return []
        self._queues[entry.job.priority].pop(entry.job.id, None)
        entry.state, entry.result, entry.error = state, result, error
        entry.worker, entry.finished_s = None, now_s
        entry.append(final_event(entry))
        is_owned = entry.job.owner is not None
        self._finished[is_owned][entry.job.id] = self._unfinished.pop(entry.job.id)
        if entry.job.num_parts:
            return [entry]
        self._count(entry.job, outcome_of(state, result, has_solutions=entry.has_solutions))
        self.reserved_trajectories -= entry.job.options.width
        self._rate.add(entry.job.options.width, now_s)
        return [entry, *self._tell_batch(entry, now_s)]

    def put_back(self, entries: Sequence[Entry], *, is_lost: bool) -> None:
        """Return held jobs to the front of the queue, in their order."""
        for entry in entries:
            if is_lost:
                entry.job = replace(entry.job, attempt=entry.job.attempt + 1)
                self.redelivered += 1
            entry.state, entry.worker, entry.started_s = JobState.QUEUED, None, None
        for entry in reversed(entries):
            queue = self._queues[entry.job.priority]
            waiting = {entry.job.id: None, **queue}
            queue.clear()
            queue.update(waiting)

    def service_rate(self, now_s: float) -> float:
        """Return trajectories finished per second of late."""
        return self._rate.per_second(now_s)

    def class_stats(self, now_s: float) -> tuple[ClassStats, ...]:
        """Return what waits in each priority class."""
        return tuple(self._stats_of(queue, now_s) for queue in self._queues)

    def has_last_chance(self, entry: Entry) -> bool:
        """Whether the job fails with the next worker that is lost.

        A worker holds one such job at most, so that a job that kills its workers takes none with
        it that it was lost with before.
        """
        return 0 < entry.job.attempt == self._config.max_attempts

    def _next(self, worker: str, max_jobs: int, max_width: float) -> list[Entry]:
        entries: list[Entry] = []
        width = 0
        is_busy: bool | None = None
        for entry in (self._unfinished[one] for queue in self._queues for one in queue):
            if len(entries) == max_jobs or width >= max_width:
                break
            if self.has_last_chance(entry):
                if is_busy is None:
                    # Looked up only where it matters: it goes through all that is held.
                    is_busy = any(map(self.has_last_chance, self.held_by(worker)))
                if is_busy:
                    continue
                is_busy = True
            entries.append(entry)
            width += entry.job.options.width
        return entries

    def _reserve(self, width: int, now_s: float) -> None:
        over = self.reserved_trajectories + width - self._config.max_trajectories
        if over > 0:
            raise QueueFull(
                f"the queue holds {self.reserved_trajectories} trajectories of at most "
                f"{self._config.max_trajectories}; {width} more do not fit",
                retry_after_s=retry_after_s(over, self.service_rate(now_s)),
            )
        self.reserved_trajectories += width

    def _open(self, job: Job) -> Entry:
        entry = self._unfinished[job.id] = Entry(job)
        entry.append(accepted_event(job))
        return entry

    def _queue(self, job: Job) -> Entry:
        self._count(job, ACCEPTED)
        self._queues[job.priority][job.id] = None
        return self._open(job)

    def _count(self, job: Job, what: str) -> None:
        self.counts[JobCount(what, job.model, job.priority)] += 1

    def _tell_batch(self, part: Entry, now_s: float) -> list[Entry]:
        batch = self._unfinished.get(part.job.batch or "")
        if batch is None:
            return []
        batch.num_open -= 1
        batch.append(part_event(part))
        if not batch.num_open:
            self.finish(batch, JobState.DONE, now_s)
        return [batch]

    def _stats_of(self, queue: Mapping[str, None], now_s: float) -> ClassStats:
        jobs = [self._unfinished[job_id].job for job_id in queue]
        return ClassStats(
            num_jobs=len(jobs),
            num_trajectories=sum(job.options.width for job in jobs),
            oldest_age_s=max((now_s - job.submitted_s for job in jobs), default=0.0),
        )

    def _forget(self, now_s: float) -> None:
        """Drop entries that have been final for long enough, and old tickets."""
        keep_s = (self._config.keep_finished_s, self._config.keep_jobs_s)
        for kept, max_age_s in zip(self._finished, keep_s, strict=True):
            self._forget_from(kept, now_s - max_age_s)
        while self._tickets:
            first, (_, _, made_s) = next(iter(self._tickets.items()))
            if made_s > now_s - self._config.keep_keys_s:
                return
            del self._tickets[first]

    def _forget_from(self, kept: dict[str, Entry], before_s: float) -> None:
        """Drop what ended before; the oldest come first."""
        while kept:
            job_id, entry = next(iter(kept.items()))
            is_needed = (entry.job.batch or "") in self._unfinished
            if is_needed or (entry.finished_s or 0.0) > before_s:
                return
            del kept[job_id]


def place(job: Job) -> str:
    """Return the job's place in its owner's list: later jobs have greater ones."""
    return f"{round(job.submitted_s * 1e3):015d}-{job.id}"


def retry_after_s(over: int, rate: float) -> int:
    """Return when so many trajectories will have left the queue, within reason."""
    if not rate:
        return 1
    return min(max(1, math.ceil(over / rate)), MAX_RETRY_AFTER_S)
