"""Names of the Redis keys that Python uses itself; the Lua functions build the same names.

All hold one hash tag, so that a cluster keeps them together, and the version of the format.
"""

from dataclasses import dataclass

from gram_server.job import PRIORITY_CLASSES

FORM = 1
"""Version of the stored format: processes of another version do not see these keys."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one queue."""

    queue_name: str

    @property
    def prefix(self) -> str:
        return f"{{{self.queue_name}}}:{FORM}:"

    @property
    def notes(self) -> str:
        """Stream of notices, each with the id of a job that changed."""
        return f"{self.prefix}notes"

    @property
    def dead(self) -> str:
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
        """Stream of the jobs of a worker that were cancelled."""
        return f"{self.prefix}cancelled:{worker}"
