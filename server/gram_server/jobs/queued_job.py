"""What the queue in memory keeps of a job, the jobs that wait, and how long they will. No clock."""

import asyncio
import math
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Unpack

from gram_server.job import (
    PRIORITY_CLASSES,
    Event,
    EventKind,
    Job,
    JobError,
    JobRecord,
    JobState,
    dump,
)
from gram_server.jobs.store import ClassStats, Room

CANCELLED = JobError(code="job_cancelled", detail="the job was cancelled")
AGEING_S = 10.0
LENT_PART = 8
"""One job in this many may be the oldest, of any class, if it has waited for ``AGEING_S``."""
MIN_BACKLOG_JOBS = 8
"""Fewer unfinished jobs of a model are no backlog, and too few to measure a pace."""
NUM_RECENT = 64
"""The pace is averaged over about this many jobs."""
RATE_WINDOW_S = 30.0
"""Over which the rate is taken."""


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


class WaitingJobs:
    """A queue for each class, of which any job may be removed, and which of them comes next.

    The engine has the same rule for slots; neither knows the other.
    """

    def __init__(self) -> None:
        # A dict keeps its order and deletes from the middle in O(1).
        self._queues: list[dict[str, QueuedJob]] = [{} for _ in PRIORITY_CLASSES]
        self._num_taken = 0

    def add(self, entry: QueuedJob) -> None:
        self._queues[entry.job.priority][entry.job.id] = entry

    def add_first(self, entries: Sequence[QueuedJob]) -> None:
        """Put jobs before the others of their classes, in their order."""
        for priority, queue in enumerate(self._queues):
            again = {entry.job.id: entry for entry in entries if entry.job.priority == priority}
            self._queues[priority] = again | queue

    def remove(self, entry: QueuedJob) -> None:
        self._queues[entry.job.priority].pop(entry.job.id, None)

    def take(
        self, now_s: float, held: Iterable[QueuedJob], **room: Unpack[Room]
    ) -> list[QueuedJob]:
        """Remove the next jobs for a worker that holds those of ``held``.

        It holds at most one job that fails with the next worker, so that a job that kills its
        workers does not also end another one that was lost with it before.
        """
        max_width, models, lowest = room.get("max_width"), room.get("models"), room.get("down_to")
        width = math.inf if max_width is None else max_width
        queues = self._queues if lowest is None else self._queues[: lowest + 1]
        lines = [
            (entry for entry in queue.values() if models is None or entry.job.route in models)
            for queue in queues
        ]
        heads = [next(line, None) for line in lines]
        taken: list[QueuedJob] = []
        is_busy: bool | None = None
        while len(taken) < room["max_jobs"] and width > 0 and (entry := self._choose(heads, now_s)):
            heads[entry.job.priority] = next(lines[entry.job.priority], None)
            if entry.has_last_chance:
                if is_busy is None:
                    # Computed only where needed: it goes through all held jobs.
                    is_busy = any(one.has_last_chance for one in held)
                if is_busy:
                    continue
                is_busy = True
            taken.append(entry)
            self._num_taken += 1
            width -= entry.job.options.width
        for entry in taken:
            self.remove(entry)
        return taken

    def stats(self, now_s: float) -> tuple[ClassStats, ...]:
        return tuple(
            ClassStats(
                num_jobs=len(queue),
                num_trajectories=sum(entry.job.options.width for entry in queue.values()),
                oldest_age_s=max((now_s - entry.queued_s for entry in queue.values()), default=0.0),
            )
            for queue in self._queues
        )

    def _choose(self, heads: Sequence[QueuedJob | None], now_s: float) -> QueuedJob | None:
        """Return the next job, given the first of each class, highest class first."""
        waiting = [head for head in heads if head is not None]
        if not waiting:
            return None
        oldest = min(waiting, key=lambda entry: entry.queued_s)
        is_lent = self._num_taken % LENT_PART == LENT_PART - 1
        return oldest if is_lent and now_s - oldest.queued_s >= AGEING_S else waiting[0]


def final_event(entry: QueuedJob) -> Event:
    if entry.state in (JobState.DONE, JobState.EXPIRED):
        return Event(kind=EventKind.DONE, data=entry.result or {})
    return Event(kind=EventKind.ERROR, data=dump(entry.error or CANCELLED))


def accepted_event(job: Job) -> Event:
    asked = {name: getattr(job.options, name) for name in ("width", "depth", "seed")}
    data = {"id": job.id, "puzzle": job.puzzle, "model": job.model, **asked}
    return Event(kind=EventKind.ACCEPTED, data=data)


SORT_KEY_PATTERN = "[0-9]{15}-[0-9a-f]{32}"
"""Form of ``sort_key`` for a job that came over HTTP."""


def sort_key(job: Job) -> str:
    """Return the job's place in its owner's list: later jobs have greater ones."""
    return f"{round(job.submitted_s * 1e3):015d}-{job.id}"


def part_event(part: QueuedJob) -> Event:
    data = {"id": part.job.id, "state": part.state.value}
    return Event(kind=EventKind.PROGRESS, data=data)


@dataclass(slots=True)
class _ModelBacklog:
    """The unfinished jobs of one model."""

    num_jobs: int = 0
    weights: list[int] = field(default_factory=lambda: [0 for _ in PRIORITY_CLASSES])
    """By priority class."""
    since_s: float | None = None
    """When the last job that a worker had ended, if a backlog remained."""
    busy_s: float = 0.0
    done: float = 0.0
    """Weight of the jobs ended in that time; both decay."""


class Backlog:
    """How long the unfinished jobs of each model will take, from the recent pace.

    The width of a job bounds its cost, but most jobs end with their first solutions. So a job
    weighs the trajectories that it must run at least, and the pace is the time between the ends of
    jobs per weight, measured while a model has several jobs.
    """

    def __init__(self) -> None:
        self._by_model: defaultdict[str, _ModelBacklog] = defaultdict(_ModelBacklog)
        self._recent: deque[tuple[float, int]] = deque()
        """When trajectories finished, and how many."""
        self._total = 0

    def add(self, job: Job) -> None:
        backlog = self._by_model[job.model]
        backlog.num_jobs += 1
        backlog.weights[job.priority] += min_trajectories(job)

    def end(self, job: Job, now_s: float, *, is_served: bool) -> None:
        """Only jobs that a worker served count for the pace."""
        backlog = self._by_model[job.model]
        backlog.num_jobs -= 1
        backlog.weights[job.priority] -= min_trajectories(job)
        if is_served and backlog.since_s is not None:
            kept = 1 - 1 / NUM_RECENT
            backlog.busy_s = backlog.busy_s * kept + now_s - backlog.since_s
            backlog.done = backlog.done * kept + min_trajectories(job)
        if is_served:
            backlog.since_s = now_s
        if backlog.num_jobs < MIN_BACKLOG_JOBS:
            backlog.since_s = None
        self._recent.append((now_s, job.options.width))
        self._total += job.options.width
        self._forget(now_s)

    def expected_s(self, model: str, priority: int = len(PRIORITY_CLASSES) - 1) -> float:
        """Return the seconds until the jobs of this class and higher ones have ended.

        0.0 where there are too few for any to wait, or their pace is unknown.
        """
        backlog = self._by_model.get(model)
        if backlog is None or backlog.num_jobs < MIN_BACKLOG_JOBS or not backlog.done:
            return 0.0
        return sum(backlog.weights[: priority + 1]) * backlog.busy_s / backlog.done

    def by_model(self) -> dict[str, float]:
        return {model: self.expected_s(model) for model in self._by_model}

    def per_second(self, now_s: float) -> float:
        """Return how many trajectories of any model finished of late, per second."""
        self._forget(now_s)
        if not self._recent:
            return 0.0
        return self._total / max(now_s - self._recent[0][0], 1.0)

    def _forget(self, now_s: float) -> None:
        while self._recent and self._recent[0][0] < now_s - RATE_WINDOW_S:
            self._total -= self._recent.popleft()[1]


def min_trajectories(job: Job) -> int:
    return min(job.options.width, job.options.max_solutions or job.options.width)
