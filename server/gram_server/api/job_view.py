"""What the routes under ``/jobs`` show of a record."""

import json
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from gram_server.api.context import Context
from gram_server.api.deadline_result import deadline_result
from gram_server.api.schemas import JobSummary, Progress
from gram_server.job import PRIORITY_CLASSES, JobRecord, JobState

Document = dict[str, Any]


def summary(record: JobRecord) -> Document:
    """Return where a job stands."""
    job = record.job
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
        batch=_progress(record),
    ).model_dump()


def document(context: Context, record: JobRecord) -> Document:
    """Return a job with what became of it, and the parts of a batch.

    A result stays as its worker wrote it, also one of another version.
    """
    error = record.error
    return {
        **summary(record),
        "result": result_of(context, record),
        "error": None if error is None else {"code": error.code, "detail": error.detail},
        "parts": [document(context, part) for part in record.parts],
    }


def result_of(context: Context, record: JobRecord) -> Document | None:
    """Return the answer, or what was found by a deadline that no worker kept."""
    if record.result:
        return dict(record.result)
    if record.state is not JobState.EXPIRED or record.job.num_parts:
        return None
    model = context.fleet.find(record.job.model)
    return None if model is None else deadline_result(record, model, now_s=context.clock())


def json_response(content: Document, status: int = 200, **headers: str) -> Response:
    """Return a document as a response."""
    text = json.dumps(content, separators=(",", ":"))
    return Response(text, status, headers, "application/json")


def _progress(record: JobRecord) -> Progress | None:
    if not record.job.num_parts:
        return None
    finished = sum(part.state.is_final for part in record.parts)
    return Progress(size=record.job.num_parts, finished=finished)


def _timestamp(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).isoformat(timespec="milliseconds")
