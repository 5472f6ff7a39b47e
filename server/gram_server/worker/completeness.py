"""What is known of the number of a puzzle's solutions, from votes and from exact search."""

from collections.abc import Mapping
from dataclasses import dataclass

from gram_core.puzzles import Tokens
from gram_server import answers
from gram_server.engine import Finished

MIN_VALID = 8
"""Trajectories with a solution from which the Good-Turing estimate is made."""
WITHOUT_TOTAL: Mapping[answers.ExactSearch | None, answers.TotalStatus] = {
    "limit": "more",
    "time": "out_of_time",
    "deadline": "out_of_time",
    "busy": "out_of_time",
}
"""Why there is no total, by how the search for it ended; ``failed`` otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactFindings:
    """What exact search added to a job."""

    solutions: tuple[Tokens, ...] = ()
    total: int | None = None
    at_least: int = 0
    ended: answers.ExactSearch | None = None


def completeness_of(
    end: Finished, exact: ExactFindings, *, total: int | None, num_seen: int, is_asked: bool
) -> answers.Completeness:
    """Return what is known of the number of solutions, of which ``num_seen`` are in the answer."""
    if total is not None:
        return answers.Completeness(
            estimate=num_seen / total if total else None,
            total=total,
            method="exact" if total else None,
            total_status="known",
            at_least=total,
        )
    estimate: float | None = None
    if end.valid_trajectories >= MIN_VALID:
        # The chance that one more trajectory finds a solution already seen.
        votes = [found.votes for found in end.solutions]
        estimate = round(1.0 - votes.count(1) / sum(votes), 6)
    return answers.Completeness(
        estimate=estimate,
        total=None,
        method=None if estimate is None else "good_turing",
        total_status=WITHOUT_TOTAL.get(exact.ended, "failed") if is_asked else "not_asked",
        at_least=max(num_seen, exact.at_least),
    )
