"""The names of everything in Redis that Python touches by itself; the functions make theirs alike.

All carry one hash tag, so that a cluster keeps them together, and the version of their form.
"""

from dataclasses import dataclass

from gram_server.job import PRIORITY_CLASSES

FORM = 1
"""Version of what is stored: processes of another version do not see these keys."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one queue."""

    queue_name: str

    @property
    def prefix(self) -> str:
        """What every key starts with."""
        return f"{{{self.queue_name}}}:{FORM}:"

    @property
    def notes(self) -> str:
        """Stream that names each job something happened to."""
        return f"{self.prefix}notes"

    @property
    def dead(self) -> str:
        """Stream of the dead letters."""
        return f"{self.prefix}dead"

    @property
    def streams(self) -> tuple[str, ...]:
        """The job streams, in the order in which they are served."""
        return tuple(
            f"{self.prefix}{name}:{number}"
            for number in range(len(PRIORITY_CLASSES))
            for name in ("last", "back", "queue")
        )

    def cancelled(self, worker: str) -> str:
        """Stream of the jobs that a worker holds and nobody waits for any more."""
        return f"{self.prefix}cancelled:{worker}"
