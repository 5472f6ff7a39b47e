"""How long the unfinished jobs of a model will take, from how long such jobs took of late.

The widths of jobs bound what they may cost; a caller who waits wants to know what they do cost,
and most end with their first solutions. So each job weighs as many trajectories as it must run at
least, and the pace is measured while a model has several at once: seconds between the ends of
jobs, by their weight. Synchronous, without a clock of its own.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from gram_server.job import PRIORITY_CLASSES, Job

MIN_BACKLOG_JOBS = 8
"""Fewer unfinished jobs of a model are no backlog, and too few to measure a pace by."""
NUM_RECENT = 64
"""The pace is that of about so many jobs, the last ones."""


@dataclass(slots=True)
class _Line:
    """The unfinished jobs of one model."""

    num_jobs: int = 0
    weights: list[int] = field(default_factory=lambda: [0 for _ in PRIORITY_CLASSES])
    """By priority class."""
    since_s: float | None = None
    """When the last job ended that a worker had, if it left a crowd behind."""
    busy_s: float = 0.0
    done: float = 0.0
    """Weight of what ended in that time; both fade."""


class Backlog:
    """What every model has before it."""

    def __init__(self) -> None:
        self._lines: defaultdict[str, _Line] = defaultdict(_Line)

    def add(self, job: Job) -> None:
        """Take note of a job that was accepted."""
        line = self._lines[job.model]
        line.num_jobs += 1
        line.weights[job.priority] += min_trajectories(job)

    def end(self, job: Job, now_s: float, *, is_served: bool) -> None:
        """Take note of the end of a job, of which the pace follows if it was served."""
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
        """Return the seconds until all jobs of a model have ended that come before a new one.

        Args:
            model: name of the model.
            priority: class of the new job; those of lower classes do not come before it.

        Returns:
            0.0 where there are too few for any to wait, or nothing is known of their pace.
        """
        line = self._lines.get(model)
        if line is None or line.num_jobs < MIN_BACKLOG_JOBS or not line.done:
            return 0.0
        return sum(line.weights[: priority + 1]) * line.busy_s / line.done

    def by_model(self) -> dict[str, float]:
        """Return the seconds until all jobs of each model have ended."""
        return {model: self.expected_s(model) for model in self._lines}


def min_trajectories(job: Job) -> int:
    """Return how many trajectories a job has to run at least."""
    return min(job.options.width, job.options.max_solutions or job.options.width)
