"""The answer to a job whose deadline passed before any worker handed in a result."""

import json

from gram_server.job import JobRecord, ModelReport


def partial_result(record: JobRecord, model: ModelReport, *, now_s: float) -> dict[str, object]:
    """Compose the answer from what is known: the solutions told so far, and the time spent."""
    job = record.job
    solutions = [dict(solution) for solution in record.solutions]
    num_found = len(solutions)
    is_search_missed = job.options.count == "exact" or (
        job.options.fallback == "exact" and not solutions
    )
    return {
        "id": job.id,
        "puzzle": job.puzzle,
        "status": "partial",
        "solutions": solutions,
        "distinct": num_found,
        "valid_trajectories": num_found,
        "width": job.options.width,
        "depth": job.options.depth or model.depth,
        # Each was seen once as far as anybody told: Good-Turing's estimate is then zero.
        "completeness": {"estimate": 0.0 if num_found else None, "total": None},
        "exact_search": "deadline" if is_search_missed else None,
        "best_attempt": None,
        "usage": _usage(record, now_s),
        "seed": job.options.seed,
        "model": model.id,
    }


def partial_boards(record: JobRecord, model: ModelReport, *, now_s: float) -> dict[str, object]:
    """Compose the answer to a job that makes up boards; what went wrong beside them is unknown."""
    job = record.job
    boards = [dict(board) for board in record.solutions]
    num_distinct = len({json.dumps(board["answer"]) for board in boards})
    return {
        "id": job.id,
        "puzzle": job.puzzle,
        "task": job.task,
        "status": "partial",
        "boards": boards,
        "count": job.options.max_solutions,
        "trajectories": len(boards),
        "valid_trajectories": len(boards),
        "distinct": num_distinct,
        "validity": None,
        "uniqueness": None,
        "max_trajectories": job.options.width,
        "depth": job.options.depth or model.depth,
        "usage": _usage(record, now_s),
        "seed": job.options.seed,
        "model": model.id,
    }


def _usage(record: JobRecord, now_s: float) -> dict[str, object]:
    started_s = now_s if record.started_s is None else record.started_s
    ended_s = now_s if record.finished_s is None else record.finished_s
    return {
        "queue_ms": round(max(started_s - record.job.submitted_s, 0.0) * 1e3, 3),
        "engine_ms": round(max(ended_s - started_s, 0.0) * 1e3, 3),
        "supervision_steps": 0,
        "wasted_steps": 0,
    }
