"""Expected time until a model's unfinished jobs end, from the recent pace.

The width of a job bounds its cost, but most jobs end with their first solutions. So a job weighs
the trajectories that it must run at least, and the pace is the time between the ends of jobs per
weight, measured while a model has several jobs. Also the rate at which all trajectories finish.
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
"""Over which the rate is taken."""


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
    """The backlog of every model."""

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
