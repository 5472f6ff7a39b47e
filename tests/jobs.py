"""Jobs on a 4x4 sudoku, as tests hand them in."""

from dataclasses import fields
from typing import Any

from gram_server.job import Job, SolveOptions

JOB_FIELDS = {field.name for field in fields(Job)}


def new_job(job_id: str = "a", *, grid: str = "1...............", **values: Any) -> Job:
    """Return a job with fields and options of the test's own."""
    own = {name: values.pop(name) for name in JOB_FIELDS & values.keys()}
    model = own.pop("model", "sudoku-4x4")
    given = {
        "puzzle": "sudoku",
        "task": "sudoku-4x4",
        "body": {"puzzle": "sudoku", "grid": grid},
        "options": SolveOptions(**{"model": model, "seed": 1, **values}),
        "submitted_s": 0.0,
    }
    return Job(id=job_id, model=model, **{**given, **own})
