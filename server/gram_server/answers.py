"""Response models of ``POST /solve``, ``POST /generate`` and the event streams of jobs.

Workers and the API build their answers from them; the OpenAPI document shows them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from gram_core.puzzles import Tokens
from gram_server.job import Job

Answer = str | list[str] | list[list[str]] | list[list[int]] | list[int]
"""An answer in the form the puzzle was posted in."""

Partial = str | list[str] | list[list[str]] | list[list[int | None]] | list[int | None]
"""An answer that may be unfinished."""

GENERATE_EXAMPLE: JsonDict = {
    "id": "5f0c1f3c9a3b4d0f8b1d7c6e2a4f9b10",
    "puzzle": "sudoku",
    "task": "sudoku-4x4",
    "status": "complete",
    "boards": [
        {
            "answer": "1234341221434321",
            "puzzle": ".2....1...4..3..",
            "clues": 4,
            "value": 0.98,
            "trajectory": 0,
            "step": 3,
            "ms": 12.5,
        }
    ],
    "count": 1,
    "trajectories": 1,
    "valid_trajectories": 1,
    "distinct": 1,
    "validity": 1.0,
    "uniqueness": 1.0,
    "max_trajectories": 16,
    "depth": 16,
    "usage": {"queue_ms": 0.2, "engine_ms": 14.1, "supervision_steps": 3, "wasted_steps": 0},
    "seed": 7,
    "model": "sudoku-4x4-generate@0123456789ab",
}

Cell = Annotated[list[int], Field(min_length=1, max_length=2)]
"""(row, column) on a board, (vertex,) in a graph; from 0."""


class Schema(BaseModel):
    """Base of all: fields have their descriptions beneath them."""

    model_config = ConfigDict(
        use_attribute_docstrings=True, extra="forbid", protected_namespaces=()
    )


class First(Schema):
    """The trajectory that found a solution first."""

    trajectory: int
    step: int
    """Supervision steps it had taken."""
    ms: float
    """Milliseconds since the job entered the engine."""


class Solution(Schema):
    """A distinct answer that passed exact verification."""

    answer: Answer
    votes: int
    """Trajectories that arrived at it."""
    source: Literal["model", "exact"]
    value: float | None
    """The value head's opinion of it, about 0 to 1; null where no trajectory found it."""
    first: First | None
    """Null where no trajectory found it."""


class Candidate(Schema):
    """An answer that may be right: nothing can verify it, and votes have chosen it."""

    answer: Answer
    votes: int
    """Trajectories that arrived at it."""
    value: float
    """The value head's opinion of it, about 0 to 1."""
    first: First


TotalStatus = Literal["known", "more", "not_asked", "out_of_time", "failed"]


class Completeness(Schema):
    """How much of the set of solutions was seen."""

    estimate: float | None
    """By `method`; null where fewer than 8 trajectories found a solution and nothing is counted."""
    total: int | None
    """Exact number of solutions, however large: of a maze, where `count_solutions=exact` asked for
    it and it could be found, and where it is proved that there is none."""
    method: Literal["good_turing", "exact"] | None = None
    """What `estimate` is. `good_turing`: 1 - solutions seen once / valid trajectories, the chance
    that one more trajectory would end in a solution already seen; rare ones may be missing at 1.
    `exact`: solutions seen / all solutions, which are counted."""
    total_status: TotalStatus = "not_asked"
    """Why `total` is a number or null. `known`: it is a number, 0 where there is no solution;
    `more`: there are more than can be counted one by one; `not_asked`; `out_of_time`: the search
    was not done in time, or not begun; `failed`: it broke, or there is no solver."""
    at_least: int = 0
    """Solutions that there are at least, by all that was found or counted."""


class Violation(Schema):
    """One broken rule of a wrong answer."""

    rule: str
    cells: list[Cell]


class Unsolvable(Schema):
    """Proof that a puzzle has no solution."""

    reason: str
    """In one sentence."""
    cells: list[Cell]
    """The cells concerned, where the givens alone show it."""


class BestAttempt(Schema):
    """The answer nearest to a solution, where none was found."""

    answer: Answer
    violations: list[Violation]


class Usage(Schema):
    """What the job cost."""

    queue_ms: float
    engine_ms: float
    supervision_steps: int
    """Steps the engine took for the job's trajectories."""
    wasted_steps: int
    """Those of them that did not count: their trajectory came too late, or had to start over
    because others wanted its slot."""


ExactSearch = Literal["complete", "limit", "time", "deadline", "unavailable", "busy", "failed"]


MIN_VALID = 8
"""Trajectories with a solution from which the Good-Turing estimate is made."""
WITHOUT_TOTAL: Mapping[ExactSearch | None, TotalStatus] = {
    "limit": "more",
    **dict.fromkeys(("time", "deadline", "busy"), "out_of_time"),
}
"""Why there is no total, by how the search for it ended; ``failed`` otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactFindings:
    """What exact search added to a job."""

    solutions: tuple[Tokens, ...] = ()
    total: int | None = None
    at_least: int = 0
    ended: ExactSearch | None = None


class SolveResponse(Schema):
    """What became of a puzzle."""

    id: str
    puzzle: str
    status: Literal["solved", "answered", "unsolved", "partial"]
    """`answered`: there are candidates, which nothing can verify. `partial`: the deadline came
    before the work was done."""
    verified: bool = True
    """False where no rule tells a right answer: then there are `candidates` and no solutions."""
    solutions: list[Solution]
    """Distinct solutions, each verified exactly."""
    candidates: list[Candidate] = []
    """The answers with most votes, at most two, where none can be verified."""
    distinct: int
    valid_trajectories: int
    width: int
    depth: int
    completeness: Completeness
    exact_search: ExactSearch | None = None
    """How the search ended that `fallback` or `count` asked for; null where there was none to do.
    """
    best_attempt: BestAttempt | None
    usage: Usage
    seed: int
    """Repeats the call exactly, with the same model."""
    model: str
    """Name and fingerprint; `exact` where exact search alone answered."""
    unsolvable: Unsolvable | None = None
    """Set where it is proved that there is no solution; `unsolved` without it means given up."""
    padded_to: str | None = None
    """Task of the model, where that is larger: trajectories saw an equivalent puzzle of this size.
    """


class Board(Schema):
    """A board that a trajectory generated, and that passed exact verification."""

    answer: Answer
    puzzle: Answer | None
    """Thinned from the answer, which is its only solution; null without `clues`."""
    clues: int | None
    """Givens of the puzzle."""
    value: float
    """The value head's opinion of the answer, about 0 to 1."""
    trajectory: int
    step: int
    """Supervision steps it had taken."""
    ms: float
    """Milliseconds since the job entered the engine."""


class GenerateResponse(Schema):
    """Boards, in the order of their trajectories."""

    model_config = ConfigDict(json_schema_extra={"examples": [GENERATE_EXAMPLE]})

    id: str
    puzzle: str
    task: str
    status: Literal["complete", "exhausted", "partial"]
    """`exhausted`: fewer boards than asked for, after `max_trajectories`; `partial`: the deadline
    came first."""
    boards: list[Board]
    count: int
    """Boards asked for."""
    trajectories: int
    """Trajectories that ended, up to the last board's."""
    valid_trajectories: int
    """Those of them that ended in a valid board."""
    distinct: int
    """Different boards among the valid ones."""
    validity: float | None
    """Valid of all trajectories that ended; null where none did or none were counted."""
    uniqueness: float | None
    """Different of all valid boards."""
    max_trajectories: int
    depth: int
    usage: Usage
    seed: int
    """Repeats the call exactly, with the same model."""
    model: str
    """Name and fingerprint."""


class AcceptedEvent(Schema):
    """Data of the event `accepted`: what will be done."""

    id: str
    """Of the job."""
    puzzle: str
    model: str
    """Its name."""
    width: int
    depth: int | None
    seed: int


class Sight(Schema):
    """A trajectory on its way."""

    trajectory: int
    step: int
    """Supervision steps it had taken."""
    answer: Partial
    """What it would answer now, in the form that was posted; cells without a value are blank or
    null. Exactly verified only where it is `solved`."""
    state: Literal["running", "solved", "halted", "exhausted"]
    """`solved` stays with its solution; `halted` stopped before `depth` without one, `exhausted`
    at it. One that is `running` in the last look was dropped with the end of the job."""


class ProgressEvent(Schema):
    """Data of the event `progress` of a job with `show_trajectories`: how they stand."""

    step: int
    """Most supervision steps that any of them has taken."""
    live: int
    """Trajectories that are being run."""
    solved: int
    """Trajectories that have found a valid answer."""
    solved_at: list[int]
    """How many of them found it at each supervision step, from 1, also those that are not shown."""
    trajectories: list[Sight]
    """The first `show_trajectories` of them, as far as they have started."""


def identity(job: Job, *, model: str, depth: int) -> dict[str, Any]:
    """Return the fields that repeat the request; ``depth`` is used if the job sets none."""
    options = job.options
    fields = {"id": job.id, "puzzle": job.puzzle, "seed": options.seed, "model": model}
    return {**fields, "depth": options.depth or depth}
