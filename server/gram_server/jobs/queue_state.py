"""The queue's state as plain data: which jobs wait, which worker holds them, how they ended.

Synchronous and without a clock, so every rule of a job's life is in one place and can be tested
without waiting. Decisions by time use ``now_s``, of a monotonic clock; the time of day is only
noted. Knows no asyncio and no transport.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from heapq import nlargest
from itertools import chain

from gram_server.errors import JobGone, JobNotFound, QueueFull
from gram_server.job import PRIORITY_CLASSES, Job, JobError, JobState, outcome_of
from gram_server.jobs.backlog import Backlog
from gram_server.jobs.counts import ACCEPTED, JobCount
from gram_server.jobs.finished_jobs import FinishedJobs
from gram_server.jobs.idempotency import IdempotencyKeys
from gram_server.jobs.queued_job import (
    QueuedJob,
    ServiceRate,
    accepted_event,
    final_event,
    part_event,
    sort_key,
)
from gram_server.jobs.store import ClassStats, IdempotencyKey, Page
from gram_server.jobs.turns import Turns
from gram_server.settings import QueueConfig

MAX_RETRY_AFTER_S = 60


class QueueState:
    """Jobs by id, the queue by priority class, and the reserved trajectories."""

    def __init__(self, config: QueueConfig) -> None:
        self._config = config
        self._unfinished: dict[str, QueuedJob] = {}
        self.finished = FinishedJobs(config)
        # A dict keeps its order and deletes from the middle in O(1): a queue with cancellation.
        self._queues: tuple[dict[str, None], ...] = tuple({} for _ in PRIORITY_CLASSES)
        self._rate = ServiceRate()
        self._backlog = Backlog()
        self._turns = Turns()
        self._tickets = IdempotencyKeys(config)
        self.reserved_trajectories = 0
        self.redelivered = 0
        self.counts: Counter[JobCount] = Counter()

    @property
    def num_running(self) -> int:
        return sum(entry.worker is not None for entry in self._unfinished.values())

    def find(self, job_id: str) -> QueuedJob | None:
        return self._unfinished.get(job_id) or self.finished.find(job_id)

    def entry(self, job_id: str) -> QueuedJob:
        """Return the entry of a job; raise ``JobNotFound``."""
        if entry := self.find(job_id):
            return entry
        raise JobNotFound(f"no job {job_id}")

    def unfinished(self) -> list[QueuedJob]:
        return list(self._unfinished.values())

    def find_ticket(self, ticket: IdempotencyKey, now_s: float) -> str | None:
        """Return the id of the job of a key, or None; raise ``KeyConflict`` or ``JobGone``."""
        self._forget(now_s)
        job_id = self._tickets.find(ticket)
        if job_id is None:
            return None
        if job_id not in self._unfinished and not self.finished.has(job_id):
            raise JobGone(f"the job of this key, {job_id}, has been forgotten")
        return job_id

    def add(
        self,
        job: Job,
        now_s: float,
        *,
        parts: Sequence[Job] = (),
        ticket: IdempotencyKey | None = None,
    ) -> list[QueuedJob]:
        """Queue a job, or raise ``QueueFull``; checking and reserving are one step."""
        self._forget(now_s)
        queued = parts or (job,)
        width = sum(part.options.width for part in queued)
        if job.owner is None:
            self._raise_if_late(job)
        self._raise_if_full(width, now_s)
        if not self.finished.make_room():
            raise too_crowded(self.finished.num_jobs, self.finished.num_bytes)
        self.reserved_trajectories += width
        entries = [self._queue(part, now_s) for part in queued]
        if parts:
            batch = self._open(job, now_s)
            batch.parts, batch.num_open = tuple(entries), len(entries)
        if ticket is not None:
            self._tickets.add(ticket, job.id, now_s)
        return entries

    def page(self, owner: str, *, cursor: str | None, limit: int) -> Page:
        open_ones = (
            sort_key(entry.job)
            for entry in self._unfinished.values()
            if entry.job.owner == owner and entry.job.batch is None
        )
        known = chain(open_ones, self.finished.sort_keys_of(owner))
        places = nlargest(limit + 1, (at for at in known if cursor is None or at < cursor))
        more = places[limit - 1] if len(places) > limit else None
        ids = [at.partition("-")[2] for at in places[:limit]]
        found = (
            self._unfinished.get(job_id) or self.finished.find(job_id, has_parts=False)
            for job_id in ids
        )
        return Page(records=tuple(entry.record for entry in found if entry), cursor=more)

    def take(
        self,
        worker: str,
        max_jobs: int,
        now_s: float,
        *,
        started_s: float,
        max_width: int | None = None,
        models: Collection[str] | None = None,
        down_to: int | None = None,
    ) -> list[QueuedJob]:
        """Give a worker the next jobs: at most ``max_jobs``, until the width is full."""
        width = math.inf if max_width is None else max_width
        entries = self._next(worker, max_jobs, width, models, now_s, down_to=down_to)
        for entry in entries:
            del self._queues[entry.job.priority][entry.job.id]
            entry.state, entry.worker, entry.started_s = JobState.RUNNING, worker, started_s
            if batch := self._unfinished.get(entry.job.batch or ""):
                batch.state, batch.started_s = JobState.RUNNING, batch.started_s or started_s
        return entries

    def held_by(self, worker: str) -> list[QueuedJob]:
        return [entry for entry in self._unfinished.values() if entry.worker == worker]

    def finish(
        self,
        entry: QueuedJob,
        state: JobState,
        now_s: float,
        *,
        finished_s: float,
        result: Mapping[str, object] | None = None,
        error: JobError | None = None,
    ) -> list[QueuedJob]:
        """Make an entry final and add its last event; the first call wins.

        Returns the entries that changed: none, the entry, or its batch too.
        """
        if entry.state.is_final:
            return []
        is_served = entry.state is JobState.RUNNING and state is not JobState.CANCELLED
        self._queues[entry.job.priority].pop(entry.job.id, None)
        entry.state, entry.result, entry.error = state, result, error
        entry.worker, entry.finished_s = None, finished_s
        entry.append(final_event(entry))
        self.finished.put(self._unfinished.pop(entry.job.id), now_s)
        if entry.job.num_parts:
            return [entry]
        self._count(entry.job, outcome_of(state, result, has_solutions=entry.has_solutions))
        self.reserved_trajectories -= entry.job.options.width
        self._rate.add(entry.job.options.width, now_s)
        self._backlog.end(entry.job, now_s, is_served=is_served)
        return [entry, *self._end_part(entry, now_s, finished_s)]

    def put_back(self, entries: Sequence[QueuedJob], *, is_lost: bool) -> None:
        """Return held jobs to the front of the queue, in their order."""
        self.redelivered += len(entries) if is_lost else 0
        for entry in entries:
            entry.state, entry.worker, entry.started_s = JobState.QUEUED, None, None
        for entry in reversed(entries):
            queue = self._queues[entry.job.priority]
            waiting = {entry.job.id: None, **queue}
            queue.clear()
            queue.update(waiting)

    def service_rate(self, now_s: float) -> float:
        return self._rate.per_second(now_s)

    def backlog_s(self) -> dict[str, float]:
        return self._backlog.by_model()

    def class_stats(self, now_s: float) -> tuple[ClassStats, ...]:
        return tuple(self._stats_of(queue, now_s) for queue in self._queues)

    def has_last_chance(self, entry: QueuedJob) -> bool:
        """Whether the job fails with the next worker that is lost.

        A worker holds at most one such job, so that a job that kills its workers does not also end
        another one that was lost with it before.
        """
        return 0 < entry.job.attempt == self._config.max_attempts

    def _next(
        self,
        worker: str,
        max_jobs: int,
        max_width: float,
        models: Collection[str] | None,
        now_s: float,
        *,
        down_to: int | None,
    ) -> list[QueuedJob]:
        entries: list[QueuedJob] = []
        width = 0
        is_busy: bool | None = None
        queues = self._queues if down_to is None else self._queues[: down_to + 1]
        lines = [self._waiting(queue, models) for queue in queues]
        heads = [next(line, None) for line in lines]
        while len(entries) < max_jobs and width < max_width:
            entry = self._turns.choose(heads, now_s)
            if entry is None:
                break
            heads[entry.job.priority] = next(lines[entry.job.priority], None)
            if self.has_last_chance(entry):
                if is_busy is None:
                    # Computed only where needed: it goes through all held jobs.
                    is_busy = any(map(self.has_last_chance, self.held_by(worker)))
                if is_busy:
                    continue
                is_busy = True
            entries.append(entry)
            self._turns.count()
            width += entry.job.options.width
        return entries

    def _waiting(
        self, queue: Mapping[str, None], models: Collection[str] | None
    ) -> Iterator[QueuedJob]:
        for job_id in queue:
            entry = self._unfinished[job_id]
            if models is None or entry.job.route in models:
                yield entry

    def _raise_if_late(self, job: Job) -> None:
        expected_s = self._backlog.expected_s(job.model, job.priority)
        if expected_s > self._config.max_backlog_s:
            raise too_late(expected_s, self._config)

    def _raise_if_full(self, width: int, now_s: float) -> None:
        reserved = self.reserved_trajectories
        if reserved + width > self._config.max_trajectories:
            raise too_full(reserved, width, self._config, rate=self.service_rate(now_s))

    def _open(self, job: Job, now_s: float) -> QueuedJob:
        entry = self._unfinished[job.id] = QueuedJob(job, queued_s=now_s)
        entry.append(accepted_event(job))
        return entry

    def _queue(self, job: Job, now_s: float) -> QueuedJob:
        self._count(job, ACCEPTED)
        self._backlog.add(job)
        self._queues[job.priority][job.id] = None
        return self._open(job, now_s)

    def _count(self, job: Job, what: str) -> None:
        self.counts[JobCount(what, job.model, job.priority)] += 1

    def _end_part(self, part: QueuedJob, now_s: float, finished_s: float) -> list[QueuedJob]:
        batch = self._unfinished.get(part.job.batch or "")
        if batch is None:
            return []
        batch.num_open -= 1
        batch.append(part_event(part))
        if not batch.num_open:
            self.finish(batch, JobState.DONE, now_s, finished_s=finished_s)
        return [batch]

    def _stats_of(self, queue: Mapping[str, None], now_s: float) -> ClassStats:
        entries = [self._unfinished[job_id] for job_id in queue]
        return ClassStats(
            num_jobs=len(entries),
            num_trajectories=sum(entry.job.options.width for entry in entries),
            oldest_age_s=max((now_s - entry.queued_s for entry in entries), default=0.0),
        )

    def _forget(self, now_s: float) -> None:
        self.finished.forget(now_s)
        self._tickets.forget(now_s)


def too_full(reserved: int, width: int, config: QueueConfig, *, rate: float) -> QueueFull:
    """Return the refusal of ``width`` more trajectories, where ``rate`` finish per second."""
    over = reserved + width - config.max_trajectories
    return QueueFull(
        f"the queue holds {reserved} trajectories of at most {config.max_trajectories}; "
        f"{width} more do not fit",
        retry_after_s=_retry_after(over / rate if rate else 0.0),
    )


def too_late(expected_s: float, config: QueueConfig) -> QueueFull:
    return QueueFull(
        f"the jobs before this one will take {expected_s:.1f} s, and nobody is to wait for longer "
        f"than {config.max_backlog_s:g} s",
        retry_after_s=_retry_after(expected_s - config.max_backlog_s),
    )


def too_crowded(num_jobs: int, num_bytes: int) -> QueueFull:
    """Return the refusal where ended parts of unfinished batches fill the memory."""
    return QueueFull(
        f"the parts of unfinished batches that have ended, {num_jobs} jobs of {num_bytes} bytes, "
        "take all the room for ended jobs",
        retry_after_s=MAX_RETRY_AFTER_S,
    )


def _retry_after(left_s: float) -> int:
    return min(max(1, math.ceil(left_s)), MAX_RETRY_AFTER_S)
