"""Pydantic models of request bodies and of what only the API answers; job records as answers.

The puzzle families define the schemas of puzzles.
"""

import json
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field

from gram_core.puzzles import family
from gram_server.answers import (
    Cell,
    Completeness,
    GenerateResponse,
    Schema,
    SolveResponse,
    Usage,
    identity,
)
from gram_server.api.state import AppState
from gram_server.job import PRIORITY_CLASSES, JobRecord, JobState, ModelReport, Priority, dump


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
    example: dict[str, Any]
    """A body of its first task."""
    walls: str
    """Signs of its drawn form that no answer fills in, to be shown dark."""


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


Document = dict[str, Any]


def summary(record: JobRecord) -> Document:
    job = record.job
    finished = sum(part.state.is_final for part in record.parts)
    return JobSummary(
        id=job.id,
        state=record.state,
        puzzle=job.puzzle,
        model=None if job.num_parts else job.model,
        width=job.options.width,
        seed=job.options.seed,
        priority=PRIORITY_CLASSES[job.priority],
        attempt=job.attempt,
        submitted_at=_timestamp(job.submitted_s),
        started_at=None if record.started_s is None else _timestamp(record.started_s),
        finished_at=None if record.finished_s is None else _timestamp(record.finished_s),
        batch=Progress(size=job.num_parts, finished=finished) if job.num_parts else None,
    ).model_dump()


def document(state: AppState, record: JobRecord) -> Document:
    """Return a job with its result, and the parts of a batch.

    A result stays as its worker wrote it, also one of another version.
    """
    return {
        **summary(record),
        "result": result_of(state, record),
        "error": None if record.error is None else dump(record.error),
        "parts": [document(state, part) for part in record.parts],
    }


def result_of(state: AppState, record: JobRecord) -> Document | None:
    """Return the result, or for an expired job what was found in time."""
    if record.result:
        return dict(record.result)
    if record.state is not JobState.EXPIRED or record.job.num_parts:
        return None
    model = state.workers.find(record.job.model)
    return None if model is None else deadline_result(record, model, now_s=state.clock())


def deadline_result(record: JobRecord, model: ModelReport, *, now_s: float) -> dict[str, Any]:
    """Compose a partial answer from the solutions so far and the time spent."""
    # Solutions stay as reported, also by a worker of another version.
    found = list(record.solutions)
    if record.job.sampling is None:
        return {**_solve_response(record, model, now_s).model_dump(), "solutions": found}
    return {**_generate_response(record, model, now_s).model_dump(), "boards": found}


def _timestamp(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).isoformat(timespec="milliseconds")


def _solve_response(record: JobRecord, model: ModelReport, now_s: float) -> SolveResponse:
    options = record.job.options
    num_found = len(record.solutions)
    is_search_missed = options.count == "exact" or (options.fallback == "exact" and not num_found)
    return SolveResponse(
        **identity(record.job, model=model.id, depth=model.depth),
        status="partial",
        verified=family(record.job.puzzle).has_verifier,
        solutions=[],
        distinct=num_found,
        valid_trajectories=num_found,
        width=options.width,
        # How often each solution was found is unknown.
        completeness=Completeness(
            estimate=None,
            total=None,
            total_status="out_of_time" if options.count == "exact" else "not_asked",
            at_least=num_found,
        ),
        exact_search="deadline" if is_search_missed else None,
        best_attempt=None,
        usage=_usage(record, now_s),
        padded_to=model.task if model.task not in ("", record.job.task) else None,
    )


def _generate_response(record: JobRecord, model: ModelReport, now_s: float) -> GenerateResponse:
    job = record.job
    return GenerateResponse(
        **identity(job, model=model.id, depth=model.depth),
        task=job.task,
        status="partial",
        boards=[],
        count=job.options.max_solutions or 0,
        trajectories=len(record.solutions),
        valid_trajectories=len(record.solutions),
        distinct=len({json.dumps(board["answer"]) for board in record.solutions}),
        # The number of invalid boards is unknown.
        validity=None,
        uniqueness=None,
        max_trajectories=job.options.width,
        usage=_usage(record, now_s),
    )


def _usage(record: JobRecord, now_s: float) -> Usage:
    started_s = now_s if record.started_s is None else record.started_s
    ended_s = now_s if record.finished_s is None else record.finished_s
    return Usage(
        queue_ms=round(max(started_s - record.job.submitted_s, 0.0) * 1e3, 3),
        engine_ms=round(max(ended_s - started_s, 0.0) * 1e3, 3),
        supervision_steps=0,
        wasted_steps=0,
    )
