"""Exact search for a job: a fallback answer, the number of all solutions, reduced clues.

Builds the requests and reads the replies; the searches run in processes of their own.
"""

import logging

import numpy as np

from gram_core.puzzles import Tokens
from gram_server.engine import Finished, FoundSolution
from gram_server.errors import JobFailed
from gram_server.search_process import Data
from gram_server.worker.claimed_job import ClaimedJob, ExactFindings
from gram_server.worker.search_pool import SearchPool

_STREAM = 0x7468696E
"""Separates the random draws of a reduction from other uses of the same seed."""

logger = logging.getLogger(__name__)


def needs_exact(claimed: ClaimedJob, end: Finished) -> bool:
    return end.outcome == "done" and _wants_exact(claimed, end)


def without_time(claimed: ClaimedJob, end: Finished) -> ExactFindings:
    """Return empty findings, marked ``deadline`` if a wanted search ran out of time."""
    is_late = end.outcome == "expired" and _wants_exact(claimed, end)
    return ExactFindings(ended="deadline" if is_late else None)


async def find_exactly(pool: SearchPool, claimed: ClaimedJob, end: Finished) -> ExactFindings:
    """Search within the job's deadline; raise ``SearchDropped`` if the job is cancelled."""
    job, options = claimed.job, claimed.job.options
    wants_answer = options.fallback == "exact" and not end.solutions
    request: Data = {
        "kind": "search",
        "puzzle": job.puzzle,
        "body": job.body,
        "num_answers": (options.max_solutions or 1) if wants_answer else 0,
        "wants_total": options.count == "exact",
    }
    reply = await _ask(pool, claimed, request)
    if reply["ended"] in ("unavailable", "failed"):
        logger.warning("job=%s: exact search %s", job.id, reply.get("why", reply["ended"]))
    return ExactFindings(
        solutions=tuple(map(_tokens, reply["answers"])), total=reply["total"], ended=reply["ended"]
    )


async def reduce_clues(
    pool: SearchPool, claimed: ClaimedJob, found: FoundSolution
) -> Tokens | None:
    """Return a puzzle whose only solution is the board, or None if time runs out.

    The same seed and trajectory give the same puzzle. Raises ``SearchDropped`` if the job is
    cancelled, and ``JobFailed`` if the search fails.
    """
    job = claimed.job
    request: Data = {
        "kind": "thin",
        "puzzle": job.puzzle,
        "task": job.task,
        "board": found.tokens.astype(np.uint8).tobytes().hex(),
        "key": [job.options.seed, (_STREAM << 32) | found.trajectory],
        "num_clues": None if job.sampling is None else job.sampling.num_clues,
    }
    reply = await _ask(pool, claimed, request)
    if reply["ended"] == "failed":
        raise JobFailed(f"a board is not thinned: {reply['why']}")
    return _tokens(reply["answers"][0]) if reply["answers"] else None


def _wants_exact(claimed: ClaimedJob, end: Finished) -> bool:
    options = claimed.job.options
    return options.count == "exact" or (options.fallback == "exact" and not end.solutions)


async def _ask(pool: SearchPool, claimed: ClaimedJob, request: Data) -> Data:
    job = claimed.job
    return await pool.run(request, owner=claimed, client=job.client, deadline_s=job.deadline_s)


def _tokens(answer: str) -> Tokens:
    return np.frombuffer(bytes.fromhex(answer), np.uint8)
