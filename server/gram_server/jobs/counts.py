"""What the queue counts of jobs, in the step that accepts or ends one.

No lost process can lose a count or repeat one.
"""

from typing import NamedTuple

ACCEPTED = "accepted"


class JobCount(NamedTuple):
    """A kind of jobs that is counted."""

    what: str
    """``accepted``, or how they ended."""
    model: str
    priority: int
