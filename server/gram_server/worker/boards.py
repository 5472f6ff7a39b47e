"""What a job that makes up boards answers with, puzzles thinned from its boards included."""

import time
from dataclasses import dataclass
from typing import Any

from gram_core.puzzles import BLANK, Tokens
from gram_server.answers import Board, GenerateResponse, identity
from gram_server.engine import Finished, FoundSolution
from gram_server.worker.assignment import Assignment


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinned:
    """A puzzle whose only solution is one of the job's boards."""

    puzzle: Any
    """In the form of the board."""
    num_clues: int


def is_out_of_time(assignment: Assignment) -> bool:
    """Say whether nobody waits for more boards."""
    deadline_s = assignment.job.deadline_s
    return assignment.is_cancelled or (deadline_s is not None and time.time() >= deadline_s)


def thinned(assignment: Assignment, tokens: Tokens) -> Thinned:
    """Return the puzzle that such tokens are, as the response has it."""
    return Thinned(
        puzzle=assignment.family.decode(assignment.instance, tokens),
        num_clues=int((tokens != BLANK).sum()),
    )


def board(assignment: Assignment, found: FoundSolution, puzzle: Thinned | None) -> Board:
    """Return a board that a trajectory made up."""
    answer: Any = assignment.family.decode(assignment.instance, found.tokens)
    return Board(
        answer=answer,
        puzzle=None if puzzle is None else puzzle.puzzle,
        clues=None if puzzle is None else puzzle.num_clues,
        value=round(found.value, 6),
        trajectory=found.trajectory,
        step=found.step,
        ms=round(found.ms_since_admission, 3),
    )


def boards_result(assignment: Assignment, end: Finished) -> GenerateResponse:
    """Return the whole response of ``POST /generate``."""
    job, boards, num_valid = assignment.job, assignment.boards, end.valid_trajectories
    keys = {
        assignment.family.canonical(assignment.instance, found.tokens) for found in end.solutions
    }
    count = job.options.max_solutions or 0
    is_partial = end.outcome == "expired" or len(boards) < len(end.solutions)
    return GenerateResponse(
        **identity(job, model=assignment.model.id, depth=assignment.model.depth),
        task=job.task,
        status="partial" if is_partial else "complete" if len(boards) == count else "exhausted",
        boards=boards,
        count=count,
        trajectories=end.ended_trajectories,
        valid_trajectories=num_valid,
        distinct=len(keys),
        validity=_share(num_valid, end.ended_trajectories),
        uniqueness=_share(len(keys), num_valid),
        max_trajectories=job.options.width,
        usage=assignment.usage(end),
    )


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
