"""Pydantic models of request bodies, and of answers that only the API gives.

The puzzle families define the schemas of puzzles.
"""

from typing import Literal

from pydantic import ConfigDict, Field

from gram_server.answers import Cell, Schema, SolveResponse
from gram_server.job import JobState, Priority


class BatchBody(Schema):
    """Many puzzles in one job, each with the same parameters and the same seed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "instances": [
                        {"puzzle": "sudoku", "grid": "1..............."},
                        {"puzzle": "nqueens", "n": 8},
                    ]
                }
            ]
        }
    )

    instances: list[str | dict[str, object]]
    """Puzzles as `POST /solve` takes them: JSON objects, or text."""


class Failure(Schema):
    """Why a job failed."""

    code: str
    detail: str


class Progress(Schema):
    """How far a batch is."""

    size: int
    finished: int


class PartEndedEvent(Schema):
    """Data of the event `progress` of a batch: one of its parts is final."""

    id: str
    state: JobState


class JobSummary(Schema):
    """Where a job stands."""

    id: str
    state: JobState
    """`done`, `failed`, `cancelled` and `expired` are final. `expired`: the deadline came before
    the work was done; the result holds what was found by then."""
    puzzle: str
    model: str | None
    """Null for a batch, whose parts name theirs."""
    width: int
    """Trajectories, for each part of a batch."""
    seed: int
    priority: Priority
    attempt: int
    """Workers that were lost while they held the job."""
    submitted_at: str
    started_at: str | None
    finished_at: str | None
    batch: Progress | None
    """Null for a job that is no batch."""


class JobDocument(JobSummary):
    """A job with what became of it."""

    result: SolveResponse | None
    """As `POST /solve` answers."""
    error: Failure | None
    parts: list["JobDocument"]
    """The jobs of a batch, in the order of its instances."""


class JobPage(Schema):
    """A part of the list of jobs, newest first."""

    jobs: list[JobSummary]
    cursor: str | None
    """Parameter `cursor` of the next part; null at the end."""


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

    id: str
    """Name and fingerprint."""
    name: str
    task: str
    fingerprint: str
    depth: int
    """Supervision steps by default."""
    num_parameters: int
    purpose: Literal["solve", "generate"]
    """`generate`: fills empty boards."""
    max_givens: int | None
    """Boards with at most so many givens go to this model where no other is named."""


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
    errors: list[ProblemIssue] = Field([])
    retry_after_s: int | None = None


class ProblemKind(Schema):
    """One kind of problem, as the catalogue has it."""

    type: str
    code: str
    title: str
    status: int
    retryable: bool
