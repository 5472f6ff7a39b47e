"""From a request to a job that may be submitted: parameters, body, model, seed, deadline."""

import secrets
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fastapi import Request

from gram_core.puzzles import Countable
from gram_server.api.body import PostedPuzzle, read_puzzle
from gram_server.api.context import Context
from gram_server.api.parameters import Parameter, Value, read_parameters
from gram_server.api.stream import wants_stream
from gram_server.errors import NotReady, ParameterInvalid
from gram_server.job import Job, ModelReport, Sampling, SolveOptions

SEED_BITS = 53
"""Seeds drawn here are whole numbers to every JSON reader."""


class Admitted(NamedTuple):
    """A job that a request asks for, and the model that will do it."""

    job: Job
    model: ModelReport


async def admit(context: Context, request: Request, *, parameters: Sequence[Parameter]) -> Admitted:
    """Return the job of a request, or raise what is wrong with it."""
    values = read_values(context, request, parameters)
    named = values.pop("puzzle", None)
    posted = await read_puzzle(
        request, puzzle=None if named is None else str(named), http=context.settings.http
    )
    wanted = values.pop("model", None)
    if not wants_stream(request):
        # Nobody would see them.
        values.pop("decodes", None)
    model = await context.fleet.choose(
        posted.task.name, wanted=None if wanted is None else str(wanted)
    )
    check_solver(context, posted, values)
    job = make_job(posted, model, values, now_s=context.clock(), wanted=wanted)
    return Admitted(job, model)


def read_values(
    context: Context, request: Request, parameters: Sequence[Parameter]
) -> dict[str, Value]:
    """Return the parameters of a request for work, if any is taken now."""
    if context.lifecycle.is_closed:
        raise NotReady("the server is stopping and takes no new work")
    return read_parameters(request.query_params.multi_items(), parameters)


def check_solver(context: Context, posted: PostedPuzzle, values: Mapping[str, Value]) -> None:
    """Raise ``ParameterInvalid`` for an exact search that no worker can do."""
    if context.fleet.has_solver or isinstance(posted.family, Countable):
        return
    for name in ("fallback", "count"):
        if values.get(name) == "exact":
            raise ParameterInvalid(
                f"exact search of {posted.family.name} needs OR-tools, which no worker has: "
                "install gram-server[exact] there",
                field=name,
            )


def make_job(
    posted: PostedPuzzle,
    model: ModelReport,
    values: Mapping[str, Value],
    *,
    now_s: float,
    wanted: Value | None = None,
    sampling: Sampling | None = None,
) -> Job:
    """Return a new job.

    Args:
        posted: what it is about.
        model: that it is for.
        values: of the options that the caller set.
        now_s: when it was accepted.
        wanted: the model as the caller named it; with its fingerprint, no other weights may answer.
        sampling: set where boards are to be made up.
    """
    options = _options(model, values)
    deadline_ms = options.deadline_ms
    return Job(
        id=uuid.uuid4().hex,
        puzzle=posted.family.name,
        task=posted.task.name,
        model=model.name,
        fingerprint=model.fingerprint if wanted == model.id else None,
        body=posted.body,
        options=options,
        submitted_s=now_s,
        deadline_s=None if deadline_ms is None else now_s + deadline_ms / 1e3,
        sampling=sampling,
    )


def _options(model: ModelReport, values: Mapping[str, Value]) -> SolveOptions:
    """Return the options with the defaults that depend on the model and on chance."""
    resolved: dict[str, Any] = {"seed": secrets.randbits(SEED_BITS), "depth": model.depth}
    return SolveOptions(model=model.name, **{**resolved, **values})
