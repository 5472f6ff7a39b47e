"""Answers of the routes under ``/jobs``, for the OpenAPI document and for tests."""

from typing import Any, Literal

from pydantic import ConfigDict

from gram_server.api.schemas import (
    GraphColoringBody,
    NQueensBody,
    Schema,
    SolveResponse,
    SudokuBody,
)

State = Literal["queued", "running", "done", "failed", "cancelled", "expired"]


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

    instances: list[str | SudokuBody | NQueensBody | GraphColoringBody]
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
    state: State


class JobSummary(Schema):
    """Where a job stands."""

    model_config = ConfigDict(protected_namespaces=())

    id: str
    state: State
    """`done`, `failed`, `cancelled` and `expired` are final. `expired`: the deadline came before
    the work was done; the result holds what was found by then."""
    puzzle: str
    model: str | None
    """Null for a batch, whose parts name theirs."""
    width: int
    """Trajectories, for each part of a batch."""
    seed: int
    priority: Literal["high", "normal", "low"]
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


Document = dict[str, Any]
