"""The jobs that wait in memory, by priority class, and which of them comes next.

Knows no clock. The engine has the same rule for slots; neither knows the other.
"""

import math
from collections.abc import Collection, Iterable, Sequence

from gram_server.job import PRIORITY_CLASSES
from gram_server.jobs.queued_job import QueuedJob
from gram_server.jobs.store import ClassStats

AGEING_S = 10.0
LENT_PART = 8
"""One job in this many may be the oldest, of any class, if it has waited for ``AGEING_S``."""


class WaitingJobs:
    """A queue for each class, of which any job may be removed."""

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
        self,
        now_s: float,
        *,
        max_jobs: int,
        max_width: int | None,
        models: Collection[str] | None,
        down_to: int | None,
        held: Iterable[QueuedJob],
    ) -> list[QueuedJob]:
        """Remove the next jobs for a worker: at most ``max_jobs``, until the width is full.

        It holds at most one job that fails with the next worker, so that a job that kills its
        workers does not also end another one that was lost with it before.
        """
        width = math.inf if max_width is None else max_width
        queues = self._queues if down_to is None else self._queues[: down_to + 1]
        lines = [
            (entry for entry in queue.values() if models is None or entry.job.route in models)
            for queue in queues
        ]
        heads = [next(line, None) for line in lines]
        taken: list[QueuedJob] = []
        is_busy: bool | None = None
        while len(taken) < max_jobs and width > 0 and (entry := self._choose(heads, now_s)):
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
