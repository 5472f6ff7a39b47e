"""The queue's state as plain data: which jobs wait, who holds them, what became of them.

Synchronous and without a clock of its own, so every rule of a job's life is in one place and can be
tested without waiting. Knows no asyncio and no transport.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from gram_server.errors import JobNotFound, QueueFull
from gram_server.job import (
    PRIORITY_CLASSES,
    Event,
    EventKind,
    Job,
    JobError,
    JobRecord,
    JobState,
)
from gram_server.jobs.store import ClassStats
from gram_server.settings import QueueConfig

RATE_WINDOW_S = 30.0
MAX_RETRY_AFTER_S = 60


class ServiceRate:
    """Trajectories finished per second, over a sliding window."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, int]] = deque()
        self._total = 0

    def add(self, width: int, now_s: float) -> None:
        """Count the trajectories of a finished job."""
        self._recent.append((now_s, width))
        self._total += width

    def per_second(self, now_s: float) -> float:
        """Return the rate over the window; 0 when nothing finished in it."""
        while self._recent and self._recent[0][0] < now_s - RATE_WINDOW_S:
            self._total -= self._recent.popleft()[1]
        if not self._recent:
            return 0.0
        return self._total / max(now_s - self._recent[0][0], 1.0)


@dataclass(slots=True)
class Entry:
    """A job and everything that happened to it."""

    job: Job
    state: JobState = JobState.QUEUED
    worker: str | None = None
    result: Mapping[str, object] | None = None
    error: JobError | None = None
    events: list[Event] = field(default_factory=list)
    started_s: float | None = None
    finished_s: float | None = None

    @property
    def record(self) -> JobRecord:
        """The entry as others may see it."""
        solutions = (event.data for event in self.events if event.kind is EventKind.SOLUTION)
        return JobRecord(
            job=self.job,
            state=self.state,
            result=self.result,
            error=self.error,
            solutions=tuple(solutions),
            started_s=self.started_s,
            finished_s=self.finished_s,
        )

    def append(self, event: Event) -> bool:
        """Number an event and keep it; a solution told before its worker was lost is not kept."""
        if event.kind is EventKind.SOLUTION and self._has_solution(event):
            return False
        self.events.append(replace(event, id=len(self.events) + 1))
        return True

    def _has_solution(self, event: Event) -> bool:
        answer = event.data.get("answer")
        return any(
            known.kind is EventKind.SOLUTION and known.data.get("answer") == answer
            for known in self.events
        )


class Ledger:
    """Jobs by id, the queue by priority class, and the trajectories both have reserved."""

    def __init__(self, config: QueueConfig) -> None:
        self._config = config
        self._unfinished: dict[str, Entry] = {}
        self._finished: dict[str, Entry] = {}
        # A dict keeps its order and forgets from the middle at once: a queue with cancellation.
        self._queues: tuple[dict[str, None], ...] = tuple({} for _ in PRIORITY_CLASSES)
        self._rate = ServiceRate()
        self.reserved_trajectories = 0
        self.redelivered = 0

    @property
    def num_running(self) -> int:
        """Jobs that a worker holds."""
        return len(self._unfinished) - sum(len(queue) for queue in self._queues)

    def find(self, job_id: str) -> Entry | None:
        """Return the entry of a job, or None."""
        return self._unfinished.get(job_id) or self._finished.get(job_id)

    def entry(self, job_id: str) -> Entry:
        """Return the entry of a job; raise ``JobNotFound``."""
        if entry := self.find(job_id):
            return entry
        raise JobNotFound(f"no job {job_id}")

    def unfinished(self) -> list[Entry]:
        """Return the entries that are not final."""
        return list(self._unfinished.values())

    def add(self, job: Job, now_s: float) -> Entry:
        """Queue a job, or raise ``QueueFull``; checking and reserving are one step."""
        self._forget(now_s)
        over = self.reserved_trajectories + job.options.width - self._config.max_trajectories
        if over > 0:
            raise QueueFull(
                f"the queue holds {self.reserved_trajectories} trajectories of at most "
                f"{self._config.max_trajectories}; {job.options.width} more do not fit",
                retry_after_s=self._retry_after_s(over, now_s),
            )
        entry = self._unfinished[job.id] = Entry(job)
        entry.append(Event(kind=EventKind.ACCEPTED, data=_accepted(job)))
        self._queues[job.priority][job.id] = None
        self.reserved_trajectories += job.options.width
        return entry

    def take(self, worker: str, max_jobs: int, now_s: float) -> list[Entry]:
        """Give a worker the jobs that are next, at most ``max_jobs``."""
        waiting = (job_id for queue in self._queues for job_id in queue)
        entries = [self._unfinished[job_id] for job_id in islice(waiting, max_jobs)]
        for entry in entries:
            del self._queues[entry.job.priority][entry.job.id]
            entry.state, entry.worker, entry.started_s = JobState.RUNNING, worker, now_s
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
    ) -> bool:
        """Make an entry final and say so in its events; the first call wins."""
        if entry.state.is_final:
            return False
        self._queues[entry.job.priority].pop(entry.job.id, None)
        entry.state, entry.result, entry.error = state, result, error
        entry.worker, entry.finished_s = None, now_s
        entry.append(_final_event(entry))
        self._finished[entry.job.id] = self._unfinished.pop(entry.job.id)
        self.reserved_trajectories -= entry.job.options.width
        self._rate.add(entry.job.options.width, now_s)
        return True

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

    def _stats_of(self, queue: Mapping[str, None], now_s: float) -> ClassStats:
        jobs = [self._unfinished[job_id].job for job_id in queue]
        return ClassStats(
            num_jobs=len(jobs),
            num_trajectories=sum(job.options.width for job in jobs),
            oldest_age_s=max((now_s - job.submitted_s for job in jobs), default=0.0),
        )

    def _retry_after_s(self, over: int, now_s: float) -> int:
        rate = self.service_rate(now_s)
        if not rate:
            return 1
        return min(max(1, math.ceil(over / rate)), MAX_RETRY_AFTER_S)

    def _forget(self, now_s: float) -> None:
        """Drop entries that have been final for long enough; the oldest come first."""
        while self._finished:
            job_id, entry = next(iter(self._finished.items()))
            if (entry.finished_s or 0.0) > now_s - self._config.keep_finished_s:
                return
            del self._finished[job_id]


def _final_event(entry: Entry) -> Event:
    if entry.state in (JobState.DONE, JobState.EXPIRED):
        return Event(kind=EventKind.DONE, data=entry.result or {})
    error = entry.error or JobError(code="job_cancelled", detail="the job was cancelled")
    return Event(kind=EventKind.ERROR, data={"code": error.code, "detail": error.detail})


def _accepted(job: Job) -> dict[str, object]:
    options = job.options
    return {
        "id": job.id,
        "puzzle": job.puzzle,
        "model": job.model,
        "width": options.width,
        "depth": options.depth,
        "seed": options.seed,
    }
