"""Jobs kept in the memory of the API process: the default store, which needs no Redis.

``MemoryStore`` is the API's side; ``MemoryStore.connect`` opens a worker's side, which
worker_rpc.py serves to the worker process. One event loop owns both: no locks, no polling.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import replace

from gram_server.errors import LinkClosed
from gram_server.job import (
    Event,
    Job,
    JobError,
    JobRecord,
    JobState,
    WorkerReport,
)
from gram_server.jobs.queue_state import QueueState
from gram_server.jobs.queued_job import QueuedJob
from gram_server.jobs.store import IdempotencyKey, Outcome, Page, QueueStats
from gram_server.jobs.token_buckets import TokenBuckets
from gram_server.settings import QueueConfig

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
        self._state = QueueState(config)
        self._buckets = TokenBuckets()
        self._workers: dict[str, MemoryWorker] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._changes: dict[str, asyncio.Event] = {}
        self._arrival = asyncio.Event()
        self._is_closed = False

    async def submit(
        self, job: Job, *, parts: Sequence[Job] = (), ticket: IdempotencyKey | None = None
    ) -> str:
        if self._is_closed:
            raise LinkClosed("the store is closed")
        now_s = self._clock()
        if ticket is not None and (known := self._state.find_ticket(ticket, now_s)):
            return known
        for entry in self._state.add(job, now_s, parts=parts, ticket=ticket):
            self._set_timer(entry)
        self._announce_arrival()
        return job.id

    async def known(self, ticket: IdempotencyKey) -> str | None:
        return self._state.find_ticket(ticket, self._clock())

    async def page(self, owner: str, *, cursor: str | None, limit: int) -> Page:
        return self._state.page(owner, cursor=cursor, limit=limit)

    async def events(self, job_id: str, *, after: int = 0) -> AsyncIterator[Event]:
        entry = self._state.entry(job_id)
        position = max(after, 0)
        while True:
            for event in entry.events_after(position):
                yield event
                position = event.id
            if entry.state.is_final and position >= entry.last_id:
                return
            self._raise_if_closed()
            if position >= entry.last_id:
                await self._change_of(entry).wait()

    async def wait(self, job_id: str, *, timeout_s: float | None) -> JobRecord:
        entry = self._state.entry(job_id)
        try:
            async with asyncio.timeout(timeout_s):
                while not entry.state.is_final:
                    self._raise_if_closed()
                    await self._change_of(entry).wait()
        except TimeoutError:
            logger.debug("job=%s still %s after %s s", job_id, entry.state, timeout_s)
        return entry.record

    async def get(self, job_id: str) -> JobRecord:
        return self._state.entry(job_id).record

    async def cancel(self, job_id: str) -> None:
        self._stop(self._state.entry(job_id), JobState.CANCELLED)

    async def withdraw(self, job_id: str) -> None:
        if entry := self._state.find(job_id):
            self._stop(entry, JobState.CANCELLED)

    async def take_tokens(self, owner: str, amount: int, *, rate: float, burst: float) -> float:
        return self._buckets.take(owner, amount, rate=rate, burst=burst, now_s=self._clock())

    async def stats(self) -> QueueStats:
        now_s = self._clock()
        reports = (worker.last_report for worker in self._workers.values())
        return QueueStats(
            classes=self._state.class_stats(now_s),
            num_running=self._state.num_running,
            reserved_trajectories=self._state.reserved_trajectories,
            max_trajectories=self._config.max_trajectories,
            service_rate=self._state.service_rate(now_s),
            backlog_s=self._state.backlog_s(),
            redelivered=self._state.redelivered,
            finished_jobs=self._state.finished.num_jobs,
            finished_bytes=self._state.finished.num_bytes,
            forgotten_early=self._state.finished.forgotten_early,
            counts=dict(self._state.counts),
            workers=tuple(report for report in reports if report is not None),
        )

    def open_jobs(self) -> Sequence[Job]:
        return [entry.job for entry in self._state.unfinished()]

    async def close(self) -> None:
        self._is_closed = True
        for timer in self._timers.values():
            timer.cancel()
        for entry in self._state.unfinished():
            self._announce(entry)
            if worker := self._workers.get(entry.worker or ""):
                worker.notify_cancelled(entry.job.id)
        self._announce_arrival()

    def connect(self, worker: str) -> "MemoryWorker":
        """Open a worker's side under a name that no connected worker has."""
        if worker in self._workers:
            raise ValueError(f"a worker named {worker} is connected")
        self._workers[worker] = MemoryWorker(self, worker)
        return self._workers[worker]

    def _finish(
        self,
        entry: QueuedJob,
        state: JobState,
        *,
        result: dict[str, object] | None = None,
        error: JobError | None = None,
    ) -> None:
        changed = self._state.finish(
            entry, state, self._clock(), finished_s=self._wall(), result=result, error=error
        )
        if changed:
            logger.info(
                "job=%s state=%s attempt=%d",
                entry.job.id,
                state,
                entry.job.attempt,
                extra=entry.job.log_ids,
            )
            if timer := self._timers.pop(entry.job.id, None):
                timer.cancel()
        for one in changed:
            self._announce(one)
        if changed and self._state.has_last_chance(entry):
            # Its worker may now take another job whose attempt is the last.
            self._announce_arrival()

    def _stop(self, entry: QueuedJob, state: JobState) -> None:
        """Finish a job and the parts of a batch; notify the worker that may still hold it."""
        worker = self._workers.get(entry.worker or "")
        self._finish(entry, state)
        for part in entry.parts:
            self._stop(part, state)
        if worker is not None:
            worker.notify_cancelled(entry.job.id)

    def _hand_back(self, worker: str, job_ids: Sequence[str]) -> None:
        entries = [self._held(worker, job_id) for job_id in job_ids]
        self._state.put_back([entry for entry in entries if entry is not None], is_lost=False)
        self._announce_arrival()

    def _lose(self, worker: str) -> None:
        self._workers.pop(worker, None)
        if self._is_closed:
            # No worker is left to take its jobs.
            return
        again = []
        for entry in self._state.held_by(worker):
            ids = entry.job.log_ids
            logger.warning("job=%s lost its worker=%s", entry.job.id, worker, extra=ids)
            entry.job = replace(entry.job, attempt=entry.job.attempt + 1)
            if entry.job.attempt > self._config.max_attempts:
                detail = f"{entry.job.attempt} workers were lost while they held the job"
                error = JobError(code="worker_lost", detail=detail)
                self._finish(entry, JobState.FAILED, error=error)
            else:
                again.append(entry)
        self._state.put_back(again, is_lost=True)
        self._announce_arrival()

    def _held(self, worker: str, job_id: str) -> QueuedJob | None:
        """Return the entry of a job that this worker still holds: late calls change nothing."""
        entry = self._state.find(job_id)
        return entry if entry is not None and entry.worker == worker else None

    def _set_timer(self, entry: QueuedJob) -> None:
        if entry.job.deadline_s is not None:
            left_s = max(entry.job.deadline_s - self._wall(), 0.0)
            self._call_later(left_s, entry, self._expire)

    def _call_later(
        self, delay_s: float, entry: QueuedJob, call: Callable[[QueuedJob], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self._timers[entry.job.id] = loop.call_later(delay_s, call, entry)

    def _expire(self, entry: QueuedJob) -> None:
        if entry.state is JobState.RUNNING:
            self._call_later(EXPIRY_GRACE_S, entry, self._expire_at_once)
        else:
            self._expire_at_once(entry)

    def _expire_at_once(self, entry: QueuedJob) -> None:
        self._stop(entry, JobState.EXPIRED)

    def _change_of(self, entry: QueuedJob) -> asyncio.Event:
        return self._changes.setdefault(entry.job.id, asyncio.Event())

    def _announce(self, entry: QueuedJob) -> None:
        if changed := self._changes.pop(entry.job.id, None):
            changed.set()

    def _announce_arrival(self) -> None:
        self._arrival.set()
        self._arrival = asyncio.Event()

    def _raise_if_closed(self) -> None:
        if self._is_closed:
            raise LinkClosed("the store is closed")


class MemoryWorker:
    """A worker's side of the queue, in the process of the store."""

    def __init__(self, store: MemoryStore, name: str) -> None:
        self._store = store
        self._name = name
        self._cancelled: asyncio.Queue[str | None] = asyncio.Queue()
        self.last_report: WorkerReport | None = None

    async def claim(
        self,
        *,
        max_jobs: int,
        max_width: int | None = None,
        can_wait: bool = True,
        models: Collection[str] | None = None,
        down_to: int | None = None,
    ) -> list[Job]:
        store = self._store
        while True:
            arrival = store._arrival
            store._raise_if_closed()
            entries = store._state.take(
                self._name,
                max_jobs,
                store._clock(),
                started_s=store._wall(),
                max_width=max_width,
                models=models,
                down_to=down_to,
            )
            if entries or not can_wait:
                return [entry.job for entry in entries]
            await arrival.wait()

    async def publish(self, job_id: str, event: Event) -> None:
        entry = self._store._held(self._name, job_id)
        if entry is not None and entry.append(event):
            self._store._announce(entry)

    async def complete(
        self, job_id: str, result: dict[str, object], *, outcome: Outcome = JobState.DONE
    ) -> None:
        if entry := self._store._held(self._name, job_id):
            self._store._finish(entry, outcome, result=result)

    async def fail(self, job_id: str, *, code: str, detail: str) -> None:
        if entry := self._store._held(self._name, job_id):
            error = JobError(code=code, detail=detail)
            self._store._finish(entry, JobState.FAILED, error=error)

    async def hand_back(self, job_ids: Sequence[str]) -> None:
        self._store._hand_back(self._name, job_ids)

    async def cancellations(self) -> AsyncIterator[str]:
        while (job_id := await self._cancelled.get()) is not None:
            yield job_id

    async def report(self, report: WorkerReport) -> None:
        self.last_report = report

    async def close(self) -> None:
        self._cancelled.put_nowait(None)
        self._store._lose(self._name)

    def notify_cancelled(self, job_id: str) -> None:
        self._cancelled.put_nowait(job_id)
