"""Jobs kept in the memory of the API process: the default store, which needs no Redis.

``MemoryStore`` is the API's side, and has the rules of a job's life; a worker's side is in
worker_rpc.py. One event loop owns both: no locks.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from heapq import nlargest
from itertools import chain
from typing import TYPE_CHECKING, Unpack

from gram_server.errors import JobGone, JobNotFound, LinkClosed
from gram_server.job import Event, Job, JobError, JobRecord, JobState, outcome_of
from gram_server.jobs.finished_jobs import FinishedJobs, IdempotencyKeys
from gram_server.jobs.queued_job import (
    Backlog,
    QueuedJob,
    WaitingJobs,
    accepted_event,
    final_event,
    part_event,
    sort_key,
)
from gram_server.jobs.store import (
    ACCEPTED,
    IdempotencyKey,
    JobCount,
    Page,
    QueueStats,
    Room,
    too_crowded,
    too_full,
    too_late,
)
from gram_server.settings import QueueConfig

if TYPE_CHECKING:
    from gram_server.jobs.worker_rpc import MemoryWorker

EXPIRY_GRACE_S = 1.0
"""How long past its deadline a running job may deliver what it found."""

logger = logging.getLogger(__name__)


class MemoryStore:
    """The API's side of the queue."""

    def __init__(self, config: QueueConfig, *, clock: Callable[[], float] | None = None) -> None:
        """``clock`` replaces both the time of day and the monotonic clock, in tests."""
        self._config = config
        # The time of day may be changed at any moment: only deadlines depend on it.
        self._wall = clock or time.time
        self._clock = clock or time.monotonic
        self._unfinished: dict[str, QueuedJob] = {}
        self._waiting = WaitingJobs()
        self._finished = FinishedJobs(config)
        self._tickets = IdempotencyKeys(config)
        self._backlog = Backlog()
        self._buckets: dict[str, tuple[float, float]] = {}
        """What each owner had left, and when."""
        self._reserved_trajectories = 0
        self._num_redelivered = 0
        self._counts: Counter[JobCount] = Counter()
        self._workers: dict[str, MemoryWorker] = {}
        self.arrival = asyncio.Event()
        """Set, and replaced by a new one, when there may be a job to take."""
        self._is_closed = False

    async def submit(
        self, job: Job, *, parts: Sequence[Job] = (), ticket: IdempotencyKey | None = None
    ) -> str:
        self._raise_if_closed()
        now_s = self._clock()
        self._forget(now_s)
        if ticket is not None and (known := self._find_ticket(ticket)):
            return known
        config, reserved = self._config, self._reserved_trajectories
        width = sum(part.options.width for part in parts or (job,))
        expected_s = self._backlog.expected_s(job.model, job.priority)
        if job.owner is None and expected_s > config.max_backlog_s:
            raise too_late(expected_s, config)
        if reserved + width > config.max_trajectories:
            raise too_full(reserved, width, config, rate=self._backlog.per_second(now_s))
        if not self._finished.make_room():
            raise too_crowded(self._finished.num_jobs, self._finished.num_bytes)
        self._reserved_trajectories += width
        entries = []
        for part in parts or (job,):
            self._count(part, ACCEPTED)
            self._backlog.add(part)
            entry = self._open(part, now_s)
            self._waiting.add(entry)
            if part.deadline_s is not None:
                left_s = max(part.deadline_s - self._wall(), 0.0)
                entry.call_later(left_s, self._expire, entry)
            entries.append(entry)
        if parts:
            batch = self._open(job, now_s)
            batch.parts, batch.num_open = tuple(entries), len(entries)
        if ticket is not None:
            self._tickets.add(ticket, job.id, now_s)
        self._announce_arrival()
        return job.id

    async def known(self, ticket: IdempotencyKey) -> str | None:
        self._forget(self._clock())
        return self._find_ticket(ticket)

    async def page(self, owner: str, *, cursor: str | None, limit: int) -> Page:
        open_ones = (
            sort_key(entry.job)
            for entry in self._unfinished.values()
            if entry.job.owner == owner and entry.job.batch is None
        )
        known = chain(open_ones, self._finished.sort_keys_of(owner))
        places = nlargest(limit + 1, (at for at in known if cursor is None or at < cursor))
        more = places[limit - 1] if len(places) > limit else None
        ids = [at.partition("-")[2] for at in places[:limit]]
        found = (
            self._unfinished.get(job_id) or self._finished.find(job_id, has_parts=False)
            for job_id in ids
        )
        return Page(records=tuple(entry.record for entry in found if entry), cursor=more)

    async def events(self, job_id: str, *, after: int = 0) -> AsyncIterator[Event]:
        entry = self._entry(job_id)
        position = max(after, 0)
        while True:
            for event in entry.events_after(position):
                yield event
                position = event.id
            if entry.state.is_final and position >= entry.last_id:
                return
            self._raise_if_closed()
            if position >= entry.last_id:
                await entry.changed.wait()

    async def wait(self, job_id: str, *, timeout_s: float | None) -> JobRecord:
        entry = self._entry(job_id)
        try:
            async with asyncio.timeout(timeout_s):
                while not entry.state.is_final:
                    self._raise_if_closed()
                    await entry.changed.wait()
        except TimeoutError:
            logger.debug("job=%s still %s after %s s", job_id, entry.state, timeout_s)
        return entry.record

    async def get(self, job_id: str) -> JobRecord:
        return self._entry(job_id).record

    async def cancel(self, job_id: str) -> None:
        self._stop(self._entry(job_id), JobState.CANCELLED)

    async def withdraw(self, job_id: str) -> None:
        with suppress(JobNotFound):
            await self.cancel(job_id)

    async def take_tokens(self, owner: str, amount: int, *, rate: float, burst: float) -> float:
        now_s = self._clock()
        left, at_s = self._buckets.get(owner, (burst, now_s))
        left = min(burst, left + max(0.0, now_s - at_s) * rate)
        must_wait = left <= 0 and amount > 0
        if not must_wait:
            left = min(burst, left - amount)
        self._buckets[owner] = (left, now_s)
        return -left / rate + 0.001 if must_wait else 0.0

    async def stats(self) -> QueueStats:
        now_s = self._clock()
        reports = (worker.last_report for worker in self._workers.values())
        return QueueStats(
            classes=self._waiting.stats(now_s),
            num_running=sum(entry.worker is not None for entry in self._unfinished.values()),
            reserved_trajectories=self._reserved_trajectories,
            max_trajectories=self._config.max_trajectories,
            backlog_s=self._backlog.by_model(),
            redelivered=self._num_redelivered,
            finished_jobs=self._finished.num_jobs,
            finished_bytes=self._finished.num_bytes,
            forgotten_early=self._finished.forgotten_early,
            counts=dict(self._counts),
            workers=tuple(report for report in reports if report is not None),
        )

    def open_jobs(self) -> Sequence[Job]:
        return [entry.job for entry in self._unfinished.values()]

    def ended_within(self, duration_s: float) -> Sequence[str]:
        return self._finished.ended_since(self._clock() - duration_s)

    async def close(self) -> None:
        self._is_closed = True
        for entry in self._unfinished.values():
            entry.stop_timer()
            entry.announce()
            if worker := self._workers.get(entry.worker or ""):
                worker.cancelled.put_nowait(entry.job.id)
        self._announce_arrival()

    def add_worker(self, name: str, worker: "MemoryWorker") -> None:
        """Take in a worker's side under a name that no connected worker has."""
        if name in self._workers:
            raise ValueError(f"a worker named {name} is connected")
        self._workers[name] = worker

    def take(self, worker: str, **room: Unpack[Room]) -> list[Job]:
        """Give a worker its next jobs."""
        self._raise_if_closed()
        held = (entry for entry in self._unfinished.values() if entry.worker == worker)
        entries = self._waiting.take(self._clock(), held, **room)
        for entry in entries:
            entry.start(worker, self._wall())
            if batch := self._unfinished.get(entry.job.batch or ""):
                batch.start(None, batch.started_s or self._wall())
        return [entry.job for entry in entries]

    def held(self, worker: str, job_id: str) -> QueuedJob | None:
        """Return the entry of a job if the worker still holds it."""
        entry = self._unfinished.get(job_id)
        return entry if entry is not None and entry.worker == worker else None

    def finish(
        self,
        entry: QueuedJob,
        state: JobState,
        *,
        result: Mapping[str, object] | None = None,
        error: JobError | None = None,
    ) -> None:
        """Make a job final and add its last event; the first call wins."""
        if entry.state.is_final:
            return
        job, now_s = entry.job, self._clock()
        is_served = entry.state is JobState.RUNNING and state is not JobState.CANCELLED
        self._waiting.remove(entry)
        entry.state, entry.result, entry.error = state, result, error
        entry.worker, entry.finished_s = None, self._wall()
        entry.append(final_event(entry))
        self._finished.put(self._unfinished.pop(job.id), now_s)
        entry.stop_timer()
        line = "job=%s state=%s attempt=%d"
        logger.info(line, job.id, state, job.attempt, extra=job.log_ids)
        if job.num_parts:
            return
        self._count(job, outcome_of(state, result, has_solutions=entry.has_solutions))
        self._reserved_trajectories -= job.options.width
        self._backlog.end(job, now_s, is_served=is_served)
        if batch := self._unfinished.get(job.batch or ""):
            batch.append(part_event(entry))
            batch.num_open -= 1
            if not batch.num_open:
                self.finish(batch, JobState.DONE)
        if entry.has_last_chance:
            # Its worker may now take another job whose attempt is the last.
            self._announce_arrival()

    def put_back(self, entries: Sequence[QueuedJob]) -> None:
        """Return held jobs to the front of the queue."""
        for entry in entries:
            entry.state, entry.worker, entry.started_s = JobState.QUEUED, None, None
        self._waiting.add_first(entries)
        self._announce_arrival()

    def lose(self, worker: str) -> None:
        """Take back the jobs of a worker that is gone, or end those that lost too many."""
        self._workers.pop(worker, None)
        if self._is_closed:
            # No worker is left to take its jobs.
            return
        again = []
        for entry in [one for one in self._unfinished.values() if one.worker == worker]:
            job, attempt = entry.job, entry.job.attempt + 1
            logger.warning("job=%s lost its worker=%s", job.id, worker, extra=job.log_ids)
            entry.job = replace(job, attempt=attempt)
            entry.has_last_chance = attempt == self._config.max_attempts
            if attempt > self._config.max_attempts:
                detail = f"{attempt} workers were lost while they held the job"
                error = JobError(code="worker_lost", detail=detail)
                self.finish(entry, JobState.FAILED, error=error)
            else:
                again.append(entry)
        self._num_redelivered += len(again)
        self.put_back(again)

    def _open(self, job: Job, now_s: float) -> QueuedJob:
        entry = self._unfinished[job.id] = QueuedJob(job, queued_s=now_s)
        entry.append(accepted_event(job))
        return entry

    def _stop(self, entry: QueuedJob, state: JobState) -> None:
        """Finish a job and the parts of a batch; notify the worker that may still hold it."""
        worker = self._workers.get(entry.worker or "")
        self.finish(entry, state)
        for part in entry.parts:
            self._stop(part, state)
        if worker is not None:
            worker.cancelled.put_nowait(entry.job.id)

    def _expire(self, entry: QueuedJob) -> None:
        if entry.state is JobState.RUNNING:
            entry.call_later(EXPIRY_GRACE_S, self._stop, entry, JobState.EXPIRED)
        else:
            self._stop(entry, JobState.EXPIRED)

    def _entry(self, job_id: str) -> QueuedJob:
        if entry := self._unfinished.get(job_id) or self._finished.find(job_id):
            return entry
        raise JobNotFound(f"no job {job_id}")

    def _find_ticket(self, ticket: IdempotencyKey) -> str | None:
        job_id = self._tickets.find(ticket)
        if job_id is None or job_id in self._unfinished or job_id in self._finished:
            return job_id
        raise JobGone(f"the job of this key, {job_id}, has been forgotten")

    def _forget(self, now_s: float) -> None:
        self._finished.forget(now_s)
        self._tickets.forget(now_s)

    def _count(self, job: Job, what: str) -> None:
        self._counts[JobCount(what, job.model, job.priority)] += 1

    def _announce_arrival(self) -> None:
        self.arrival.set()
        self.arrival = asyncio.Event()

    def _raise_if_closed(self) -> None:
        if self._is_closed:
            raise LinkClosed("the store is closed")
