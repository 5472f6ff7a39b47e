"""The exact side of a job: a fallback answer and the number of all solutions, on CP-SAT.

Blocking; the desk runs it in threads beside the engine. Every answer passes the plain check.
"""

import logging
import time
from collections.abc import Sequence

from gram_core.errors import CoreError, ExactTimeout
from gram_core.puzzles import Tokens
from gram_server.engine import Finished
from gram_server.worker.assignment import Assignment, ExactFindings

MAX_COUNTED = 10_000
"""Solutions that are counted one by one; more than that are reported as unknown."""
MAX_SEARCH_S = 10.0

logger = logging.getLogger(__name__)


def needs_exact(assignment: Assignment, end: Finished) -> bool:
    """Say whether the job asked for something that only the exact solver can give."""
    options = assignment.job.options
    if end.outcome != "done":
        return False
    return options.count == "exact" or (options.fallback == "exact" and not end.solutions)


def find_exactly(assignment: Assignment, end: Finished) -> ExactFindings:
    """Search within the job's deadline; return what was found in time."""
    options = assignment.job.options
    wants_count = options.count == "exact"
    wants_answer = options.fallback == "exact" and not end.solutions
    num_answers = (options.max_solutions or 1) if wants_answer else 0
    limit = MAX_COUNTED + 1 if wants_count else num_answers
    found, is_complete = _enumerate(assignment, limit=limit)
    return ExactFindings(
        solutions=tuple(found[:num_answers]),
        total=len(found) if wants_count and is_complete and len(found) < limit else None,
    )


def _enumerate(assignment: Assignment, *, limit: int) -> tuple[Sequence[Tokens], bool]:
    """Return solutions, and whether the search ended by itself."""
    job = assignment.job
    budget_s = MAX_SEARCH_S
    if job.deadline_s is not None:
        budget_s = min(budget_s, job.deadline_s - time.time())
    if budget_s <= 0:
        return [], False
    found: list[Tokens] = []
    instance = assignment.instance
    try:
        for tokens in assignment.family.enumerate(instance, limit=limit, max_time_s=budget_s):
            if assignment.family.check(instance, tokens):
                found.append(tokens)
            else:
                logger.error("job=%s: the exact solver gave a wrong answer", job.id)
    except ExactTimeout:
        return found, False
    except CoreError as error:
        logger.warning("job=%s: no exact search: %s", job.id, error)
        return found, False
    return found, True
