"""Bodies and answers as pydantic models, for the OpenAPI document and for tests.

Requests are read by the puzzle families and answers come ready from a worker: nothing here runs on
the way of a request.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

Answer = str | list[str] | list[list[int]] | list[int]
"""An answer in the form the puzzle was posted in."""

Partial = str | list[str] | list[list[int | None]] | list[int | None]
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

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")


class SudokuBody(Schema):
    """A sudoku: 9x9, 6x6 or 4x4."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "puzzle": "sudoku",
                    "grid": "53..7....6..195....98....6.8...6...34..8.3..1"
                    "7...2...6.6....28....419..5....8..79",
                }
            ]
        }
    )

    puzzle: Literal["sudoku"] = "sudoku"
    grid: str | list[str] | list[list[int]]
    """81, 36 or 16 cells in rows: digits, and `.`, `0`, `*` or `_` for a blank."""


class NQueensBody(Schema):
    """A board of queens, some of them placed."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"puzzle": "nqueens", "n": 8, "queens": [[0, 3]]}]}
    )

    puzzle: Literal["nqueens"] = "nqueens"
    n: int | None = None
    """Side of the board; not needed beside `grid`."""
    queens: list[Cell] | None = None
    """(row, column) of the placed queens."""
    grid: str | list[str] | None = None
    """Rows of `Q` and `.` instead of `n` and `queens`."""


class MazeBody(Schema):
    """A maze whose shortest path from start to goal is wanted; the answer is the path's cells."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"puzzle": "maze", "grid": ["S.#", "..#", "#.G"]}]}
    )

    puzzle: Literal["maze"] = "maze"
    grid: str | list[str]
    """Rows of `S` (start), `G` (goal), `#` (wall) and `.` or a space (free)."""


class GraphColoringBody(Schema):
    """A graph whose vertices are to be coloured, neighbours differently."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "puzzle": "graph-coloring",
                    "vertices": 8,
                    "edges": [[0, 1], [1, 2], [2, 0]],
                    "colors": 3,
                    "fixed": {"0": 1},
                }
            ]
        }
    )

    puzzle: Literal["graph-coloring"] = "graph-coloring"
    vertices: int
    edges: list[Annotated[list[int], Field(min_length=2, max_length=2)]]
    colors: int = 3
    fixed: dict[str, int] = {}
    """Colour, from 0, of vertices that have one already."""


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


class Completeness(Schema):
    """How much of the set of solutions was seen."""

    estimate: float | None
    """Good-Turing: 1 - solutions seen once / valid trajectories; null without any."""
    total: int | None
    """Exact number of solutions, however large, where `count=exact` asked and could find it."""


class Violation(Schema):
    """One broken rule of a wrong answer."""

    rule: str
    cells: list[Cell]


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


class SolveResponse(Schema):
    """What became of a puzzle."""

    id: str
    puzzle: str
    status: Literal["solved", "unsolved", "partial"]
    """`partial`: the deadline came before the work was done."""
    solutions: list[Solution]
    """Distinct solutions, each verified exactly."""
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
    """Name and fingerprint."""


class Board(Schema):
    """A board that a trajectory made up, and that passed exact verification."""

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
    """Valid of all trajectories that ended; null where none did or nobody counted."""
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

    model_config = ConfigDict(protected_namespaces=())

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
    """Data of the event `progress` of a job with `decodes`: how its trajectories stand."""

    step: int
    """Most supervision steps that any of them has taken."""
    live: int
    """Trajectories that are being run."""
    solved: int
    """Trajectories that have found a valid answer."""
    trajectories: list[Sight]
    """The first `decodes` of them, as far as they have started."""


class PuzzleInfo(Schema):
    """A puzzle family."""

    name: str
    tasks: list[str]
    """Its well-known sizes."""


class PuzzleList(Schema):
    """Every puzzle family."""

    puzzles: list[PuzzleInfo]


class ModelInfo(Schema):
    """A model that a worker has loaded."""

    model_config = ConfigDict(protected_namespaces=())

    id: str
    """Name and fingerprint."""
    name: str
    task: str
    fingerprint: str
    depth: int
    """Supervision steps by default."""
    num_parameters: int
    purpose: Literal["solve", "generate"]
    """`generate`: makes up boards from an empty one."""


class ModelList(Schema):
    """Every model that a worker has loaded."""

    models: list[ModelInfo]


class Status(Schema):
    """A probe's good answer."""

    status: str


class ProblemIssue(Schema):
    """One thing that is wrong with a request."""

    field: str
    """Where: `grid`, `queens[1]`, or the name of a parameter."""
    detail: str
    cells: list[Cell]
    """The cells concerned."""
    rule: str | None
    """The broken rule, such as `row 0`."""


class ProblemDocument(Schema):
    """A problem (RFC 9457)."""

    type: str
    """Path that describes this kind of problem."""
    title: str
    status: int
    detail: str
    code: str
    """Stable name of the kind, for programs."""
    retryable: bool
    """Whether the same request may succeed later."""
    request_id: str
    errors: list[ProblemIssue] = []
    retry_after_s: int | None = None


class ProblemKind(Schema):
    """One kind of problem, as the catalogue has it."""

    type: str
    code: str
    title: str
    status: int
    retryable: bool
