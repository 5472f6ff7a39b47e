"""Answers of ``POST /generate``: boards, and the puzzles made of them."""

import time
from typing import Any

from gram_core.puzzles import BLANK, Tokens
from gram_server.answers import Board, GenerateResponse, identity
from gram_server.engine import Finished, FoundSolution
from gram_server.worker.claimed_job import ClaimedJob


def is_out_of_time(claimed: ClaimedJob) -> bool:
    deadline_s = claimed.job.deadline_s
    return claimed.is_cancelled or (deadline_s is not None and time.time() >= deadline_s)


def board(claimed: ClaimedJob, found: FoundSolution, puzzle: Tokens | None) -> Board:
    return Board(
        answer=_decode(claimed, found.tokens),
        puzzle=None if puzzle is None else _decode(claimed, puzzle),
        clues=None if puzzle is None else int((puzzle != BLANK).sum()),
        value=round(found.value, 6),
        trajectory=found.trajectory,
        step=found.step,
        ms=round(found.ms_since_admission, 3),
    )


def generate_response(claimed: ClaimedJob, end: Finished) -> GenerateResponse:
    job, boards, num_valid = claimed.job, claimed.boards, end.valid_trajectories
    keys = {claimed.family.canonical(claimed.instance, found.tokens) for found in end.solutions}
    count = job.options.max_solutions or 0
    is_partial = end.outcome == "expired" or len(boards) < len(end.solutions)
    return GenerateResponse(
        **identity(job, model=claimed.model.id, depth=claimed.model.depth),
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
        usage=claimed.usage(end),
    )


def _decode(claimed: ClaimedJob, tokens: Tokens) -> Any:
    return claimed.family.decode(claimed.instance, tokens)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
