"""``POST /generate``: valid boards that a model makes up from an empty instance."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from gram_core.puzzles import Generative, families, family, task
from gram_server.api.admission import Admitted, make_job, read_values
from gram_server.api.answer import respond
from gram_server.api.body import PostedPuzzle, refuse_body
from gram_server.api.context import Context
from gram_server.api.openapi import GENERATE_RESPONSES
from gram_server.api.parameters import (
    MAX_THINNED,
    MIN_TRAJECTORIES,
    Parameter,
    Value,
    generate_parameters,
)
from gram_server.errors import ModelUnknown, ParameterInvalid
from gram_server.job import ModelReport, Sampling


def generate_router(context: Context) -> APIRouter:
    """Return the route of ``POST /generate``."""
    router = APIRouter(tags=["generate"])
    names = [name for name, known in families().items() if isinstance(known, Generative)]
    parameters = generate_parameters(context.settings, names)

    @router.post(
        "/generate",
        summary="Make up boards",
        operation_id="generate",
        responses=GENERATE_RESPONSES,
        openapi_extra={"parameters": [parameter.document() for parameter in parameters]},
    )
    async def generate(request: Request) -> Response:
        """Sample trajectories from an empty board and return `count` valid boards.

        Trajectories are taken in their order, so a seed repeats the boards and their order. How
        many trajectories ended in a valid board is told as `validity`.
        With `Accept: text/event-stream` the boards come as they are found: events `accepted`,
        `solution`, then `done` with the whole answer, or `error` with a problem.
        A client that disconnects stops its work.
        """
        return await respond(context, request, _admit(context, request, parameters))

    return router


async def _admit(context: Context, request: Request, parameters: tuple[Parameter, ...]) -> Admitted:
    values = read_values(context, request, parameters)
    await refuse_body(request, context.settings.http)
    puzzle, size = str(values.pop("puzzle", "sudoku")), values.pop("size", None)
    wanted = values.pop("model", None)
    model = await context.fleet.choose_generating(
        puzzle=puzzle,
        size=None if size is None else int(size),
        wanted=None if wanted is None else str(wanted),
    )
    sampling = _sampling(values)
    options = _options(values, max_trajectories=context.settings.queue.max_trajectories)
    _check_counts(options, sampling)
    job = make_job(
        _empty(model), model, options, now_s=context.clock(), wanted=wanted, sampling=sampling
    )
    return Admitted(job, model)


def _sampling(values: dict[str, Value]) -> Sampling:
    """Take the parameters that only sampling has out of the values."""
    clues = values.pop("clues", "none")
    return Sampling(
        is_distinct=bool(values.pop("distinct", True)),
        is_thinned=clues != "none",
        num_clues=clues if isinstance(clues, int) else None,
    )


def _options(values: dict[str, Value], *, max_trajectories: int) -> dict[str, Value]:
    """Return the options of a job that takes ``count`` boards from so many trajectories."""
    count = int(values.pop("count", 1))
    width = min(max(MIN_TRAJECTORIES, 2 * count), max_trajectories)
    return {
        "width": values.pop("max_trajectories", width),
        "max_solutions": count,
        "augment": False,
        **values,
    }


def _check_counts(options: dict[str, Value], sampling: Sampling) -> None:
    count, width = int(options["max_solutions"]), int(options["width"])
    if width < count:
        raise ParameterInvalid(
            f"max_trajectories must be at least count ({count}), not {width}",
            field="max_trajectories",
        )
    if sampling.is_thinned and count > MAX_THINNED:
        raise ParameterInvalid(
            f"count must be 1 to {MAX_THINNED} with clues, not {count}", field="count"
        )


def _empty(model: ModelReport) -> PostedPuzzle:
    """Return the empty instance of a model's task."""
    known = task(model.task)
    puzzle = family(known.family)
    if not isinstance(puzzle, Generative):
        raise ModelUnknown(f"{puzzle.name} has no empty board to start from", field="model")
    return PostedPuzzle(family=puzzle, task=known, body=puzzle.dump(puzzle.blank(known)))
