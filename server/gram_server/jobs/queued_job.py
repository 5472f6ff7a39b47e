"""What the queue in memory keeps of a job. Knows no queue."""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from gram_server.job import Event, EventKind, Job, JobError, JobRecord, JobState

CANCELLED = JobError(code="job_cancelled", detail="the job was cancelled")


@dataclass(slots=True)
class QueuedJob:
    """A job and its history."""

    job: Job
    state: JobState = JobState.QUEUED
    worker: str | None = None
    result: Mapping[str, object] | None = None
    error: JobError | None = None
    events: list[Event] = field(default_factory=list)
    """By id, with gaps where passing events were replaced."""
    queued_s: float = 0.0
    """When it was accepted, on the store's monotonic clock."""
    started_s: float | None = None
    finished_s: float | None = None
    parts: tuple["QueuedJob", ...] = ()
    num_open: int = 0
    """Parts that are not final."""
    has_last_chance: bool = False
    """Whether the job fails with the next worker that is lost."""
    changed: asyncio.Event = field(default_factory=asyncio.Event, compare=False)
    """Set, and replaced by a new one, with every event."""
    _timer: asyncio.TimerHandle | None = field(default=None, compare=False)

    @property
    def record(self) -> JobRecord:
        solutions = (event.data for event in self.events if event.kind is EventKind.SOLUTION)
        return JobRecord(
            job=self.job,
            state=self.state,
            result=self.result,
            error=self.error,
            solutions=tuple(solutions),
            started_s=self.started_s,
            finished_s=self.finished_s,
            parts=tuple(part.record for part in self.parts),
        )

    @property
    def has_solutions(self) -> bool:
        return any(event.kind is EventKind.SOLUTION for event in self.events)

    def start(self, worker: str | None, started_s: float) -> None:
        self.state, self.worker, self.started_s = JobState.RUNNING, worker, started_s

    def call_later(self, delay_s: float, call: Callable[..., None], *args: object) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, call, *args)

    def stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def announce(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    def append(self, event: Event) -> None:
        """Number and keep an event; drop a solution repeated after a worker was lost.

        Of passing events only the newest is kept.
        """
        if event.kind is EventKind.SOLUTION and any(
            known.kind is event.kind and known.identity == event.identity for known in self.events
        ):
            return
        number = self.last_id + 1
        if event.is_passing:
            self.events = [known for known in self.events if not known.is_passing]
        self.events.append(replace(event, id=number))
        self.announce()

    @property
    def last_id(self) -> int:
        """Id of the newest event; 0 before there is one."""
        return self.events[-1].id if self.events else 0

    def events_after(self, number: int) -> list[Event]:
        start = bisect_right(self.events, number, key=lambda event: event.id)
        return self.events[start:]


def final_event(entry: QueuedJob) -> Event:
    if entry.state in (JobState.DONE, JobState.EXPIRED):
        return Event(kind=EventKind.DONE, data=entry.result or {})
    error = entry.error or CANCELLED
    return Event(kind=EventKind.ERROR, data={"code": error.code, "detail": error.detail})


def accepted_event(job: Job) -> Event:
    options = job.options
    data: dict[str, object] = {
        "id": job.id,
        "puzzle": job.puzzle,
        "model": job.model,
        "width": options.width,
        "depth": options.depth,
        "seed": options.seed,
    }
    return Event(kind=EventKind.ACCEPTED, data=data)


SORT_KEY_PATTERN = "[0-9]{15}-[0-9a-f]{32}"
"""Form of ``sort_key`` for a job that came over HTTP."""


def sort_key(job: Job) -> str:
    """Return the job's place in its owner's list: later jobs have greater ones."""
    return f"{round(job.submitted_s * 1e3):015d}-{job.id}"


def part_event(part: QueuedJob) -> Event:
    data = {"id": part.job.id, "state": part.state.value}
    return Event(kind=EventKind.PROGRESS, data=data)
