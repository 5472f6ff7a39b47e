"""Expected time until a model's unfinished jobs end, from the recent pace.

The width of a job bounds its cost, but most jobs end with their first solutions. So a job weighs
the trajectories that it must run at least, and the pace is the time between the ends of jobs per
weight, measured while a model has several jobs. Also the plain rate at which trajectories finish.
Synchronous, without a clock.
"""

from collections import defaultdict, deque
from dataclasses import dataclass, field

from gram_server.job import PRIORITY_CLASSES, Job

MIN_BACKLOG_JOBS = 8
"""Fewer unfinished jobs of a model are no backlog, and too few to measure a pace."""
NUM_RECENT = 64
"""The pace is averaged over about this many jobs."""
RATE_WINDOW_S = 30.0


@dataclass(slots=True)
class _Line:
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
    """The backlog of every model."""

    def __init__(self) -> None:
        self._lines: defaultdict[str, _Line] = defaultdict(_Line)

    def add(self, job: Job) -> None:
        line = self._lines[job.model]
        line.num_jobs += 1
        line.weights[job.priority] += min_trajectories(job)

    def end(self, job: Job, now_s: float, *, is_served: bool) -> None:
        """Only jobs that a worker served count for the pace."""
        line = self._lines[job.model]
        line.num_jobs -= 1
        line.weights[job.priority] -= min_trajectories(job)
        if is_served and line.since_s is not None:
            kept = 1 - 1 / NUM_RECENT
            line.busy_s = line.busy_s * kept + now_s - line.since_s
            line.done = line.done * kept + min_trajectories(job)
        if is_served:
            line.since_s = now_s
        if line.num_jobs < MIN_BACKLOG_JOBS:
            line.since_s = None

    def expected_s(self, model: str, priority: int = len(PRIORITY_CLASSES) - 1) -> float:
        """Return the seconds until the jobs of this class and higher ones have ended.

        0.0 where there are too few for any to wait, or their pace is unknown.
        """
        line = self._lines.get(model)
        if line is None or line.num_jobs < MIN_BACKLOG_JOBS or not line.done:
            return 0.0
        return sum(line.weights[: priority + 1]) * line.busy_s / line.done

    def by_model(self) -> dict[str, float]:
        return {model: self.expected_s(model) for model in self._lines}


def min_trajectories(job: Job) -> int:
    return min(job.options.width, job.options.max_solutions or job.options.width)


class ServiceRate:
    """Trajectories finished per second, over a sliding window."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, int]] = deque()
        self._total = 0

    def add(self, width: int, now_s: float) -> None:
        self._recent.append((now_s, width))
        self._total += width
        self._forget(now_s)

    def per_second(self, now_s: float) -> float:
        self._forget(now_s)
        if not self._recent:
            return 0.0
        return self._total / max(now_s - self._recent[0][0], 1.0)

    def _forget(self, now_s: float) -> None:
        while self._recent and self._recent[0][0] < now_s - RATE_WINDOW_S:
            self._total -= self._recent.popleft()[1]
