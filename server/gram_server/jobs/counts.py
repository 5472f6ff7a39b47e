"""Counters of jobs, updated in the step that accepts or ends a job.

So a lost process can neither lose a count nor repeat one.
"""

from typing import NamedTuple

ACCEPTED = "accepted"


class JobCount(NamedTuple):
    """The labels of one counter of jobs."""

    what: str
    """``accepted``, or the outcome."""
    model: str
    priority: int
