"""Which priority class the next job of the queue comes from. Knows no clock.

The engine has the same rule for slots; neither knows the other.
"""

from collections.abc import Sequence

from gram_server.jobs.queued_job import QueuedJob

AGEING_S = 10.0
LENT_PART = 8
"""One job in this many may be the oldest, of any class, if it has waited for ``AGEING_S``."""


class Turns:
    """Counts the jobs that workers took."""

    def __init__(self) -> None:
        self._num_taken = 0

    def choose(self, heads: Sequence[QueuedJob | None], now_s: float) -> QueuedJob | None:
        """Return the next job, given the first of each class, highest class first."""
        waiting = [head for head in heads if head is not None]
        if not waiting:
            return None
        oldest = min(waiting, key=lambda entry: entry.queued_s)
        is_lent = self._num_taken % LENT_PART == LENT_PART - 1
        return oldest if is_lent and now_s - oldest.queued_s >= AGEING_S else waiting[0]

    def count(self) -> None:
        self._num_taken += 1
