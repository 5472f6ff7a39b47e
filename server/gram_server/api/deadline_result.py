"""The answer to a job whose deadline passed before any worker handed in a result."""

import json
from typing import Any

from gram_server.answers import Completeness, GenerateResponse, SolveResponse, Usage, identity
from gram_server.job import JobRecord, ModelReport


def deadline_result(record: JobRecord, model: ModelReport, *, now_s: float) -> dict[str, Any]:
    """Compose the answer from what is known: what was found so far, and the time spent."""
    # What was found stays as it was told, also by a worker of another version.
    found = list(record.solutions)
    if record.job.sampling is None:
        return {**_solve_response(record, model, now_s).model_dump(), "solutions": found}
    return {**_generate_response(record, model, now_s).model_dump(), "boards": found}


def _solve_response(record: JobRecord, model: ModelReport, now_s: float) -> SolveResponse:
    options = record.job.options
    num_found = len(record.solutions)
    is_search_missed = options.count == "exact" or (options.fallback == "exact" and not num_found)
    return SolveResponse(
        **identity(record.job, model=model.id, depth=model.depth),
        status="partial",
        solutions=[],
        distinct=num_found,
        valid_trajectories=num_found,
        width=options.width,
        # Each was seen once as far as anybody told: Good-Turing's estimate is then zero.
        completeness=Completeness(estimate=0.0 if num_found else None, total=None),
        exact_search="deadline" if is_search_missed else None,
        best_attempt=None,
        usage=_usage(record, now_s),
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
        # What went wrong beside the boards is unknown.
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
