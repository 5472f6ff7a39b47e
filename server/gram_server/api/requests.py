"""Builds the job of a request: query, body, model, seed, deadline."""

import secrets
import uuid
from dataclasses import replace
from typing import NamedTuple, TypeVar

from fastapi import Request

from gram_core.puzzles import Countable, Generative, family, task
from gram_server.api.body import PostedPuzzle, read_puzzle, refuse_body
from gram_server.api.queries import (
    MAX_REDUCED,
    MIN_TRAJECTORIES,
    GenerateQuery,
    Query,
    SolveQuery,
    read_query,
)
from gram_server.api.responses import wants_stream
from gram_server.api.state import AppState, client_of
from gram_server.errors import ModelUnknown, NotReady, ParameterInvalid
from gram_server.job import HALTS, Halt, Job, ModelReport, Sampling, SolveOptions

_Query = TypeVar("_Query", bound=Query)

SEED_BITS = 53
"""Every JSON reader holds integers of this size exactly."""


class ParsedRequest(NamedTuple):
    """The job of a request, and its model."""

    job: Job
    model: ModelReport
    puzzle: PostedPuzzle

    @property
    def charge(self) -> int:
        """Trajectories that its key pays for."""
        return 0 if self.puzzle.is_refuted else self.job.options.width


async def parse_solve(state: AppState, request: Request, model: type[SolveQuery]) -> ParsedRequest:
    query = read_work_query(state, request, model)
    posted = await read_puzzle(request, query, state.settings.http)
    chosen = await select_model(state, posted, query)
    options = solve_options(query, chosen)
    if options.decodes and not wants_stream(request):
        # Only a stream shows them.
        options = replace(options, decodes=0)
    client, now_s = client_of(request.scope), state.clock()
    job = make_job(posted, chosen, options, now_s=now_s, wanted=query.model, client=client)
    return ParsedRequest(job, chosen, posted)


async def parse_generate(
    state: AppState, request: Request, model: type[GenerateQuery]
) -> ParsedRequest:
    query = read_work_query(state, request, model)
    await refuse_body(request, state.settings.http)
    chosen = await state.workers.select_generating(
        puzzle=query.puzzle, size=query.size, wanted=query.model
    )
    width = query.max_trajectories or min(
        max(MIN_TRAJECTORIES, 2 * query.count), state.settings.queue.max_trajectories
    )
    clues = query.reduce_clues
    _check_counts(query, width)
    options = SolveOptions(
        model=chosen.name,
        seed=draw_seed() if query.seed is None else query.seed,
        width=width,
        depth=query.depth or chosen.depth,
        max_solutions=query.count,
        deadline_ms=query.deadline_ms,
        augment=query.augment,
        halt=_halt(query.halt),
    )
    sampling = Sampling(
        is_distinct=query.distinct,
        is_thinned=clues != "none",
        num_clues=clues if isinstance(clues, int) else None,
    )
    client, now_s = client_of(request.scope), state.clock()
    blank = _blank(chosen)
    job = make_job(blank, chosen, options, now_s=now_s, wanted=query.model, client=client)
    return ParsedRequest(replace(job, sampling=sampling), chosen, blank)


def read_work_query(state: AppState, request: Request, model: type[_Query]) -> _Query:
    """Return the parameters; raise ``NotReady`` while the server stops."""
    if state.lifecycle.is_closed:
        raise NotReady("the server is stopping and takes no new work")
    return read_query(model, request.query_params.multi_items())


async def select_model(state: AppState, posted: PostedPuzzle, query: SolveQuery) -> ModelReport:
    """Return the model for a puzzle, or ``EXACT`` where only exact search can answer it.

    Raises ``ParameterInvalid`` for an exact search that no worker can do.
    """
    chosen = await state.workers.select_model(
        posted.task.name,
        fits=posted.fits,
        wanted=query.model,
        has_fallback=query.fallback == "exact",
    )
    is_searched = state.workers.has_solver or isinstance(posted.family, Countable)
    for name in ("fallback", "count_solutions"):
        if getattr(query, name) == "exact" and not is_searched:
            raise ParameterInvalid(
                f"exact search of {posted.family.name} needs OR-tools, which no worker has: "
                "install gram-server[exact] there",
                field=name,
            )
    return chosen


def draw_seed() -> int:
    return secrets.randbits(SEED_BITS)


def solve_options(
    query: SolveQuery, model: ModelReport, *, seed: int | None = None
) -> SolveOptions:
    """Return the options of a job, with defaults from the model and a drawn seed."""
    options = dict(vars(query))
    for name in ("puzzle", "colors", "priority"):
        options.pop(name, None)
    options |= {
        "model": model.name,
        "seed": next(known for known in (query.seed, seed, draw_seed()) if known is not None),
        "depth": query.depth or model.depth or None,
        "halt": _halt(query.halt),
        "count": options.pop("count_solutions"),
        "decodes": options.pop("show_trajectories"),
    }
    return SolveOptions(**options)


def make_job(
    posted: PostedPuzzle,
    model: ModelReport,
    options: SolveOptions,
    *,
    now_s: float,
    wanted: str | None,
    client: str,
) -> Job:
    """Return a new job, accepted at ``now_s``.

    ``wanted`` is the model as the caller named it; with its fingerprint, no other weights may
    answer.
    """
    deadline_ms = options.deadline_ms
    return Job(
        id=uuid.uuid4().hex,
        puzzle=posted.family.name,
        task=posted.task.name,
        model=model.name,
        fingerprint=model.fingerprint if wanted == model.id else None,
        body=posted.body,
        client=client,
        options=options,
        submitted_s=now_s,
        deadline_s=None if deadline_ms is None else now_s + deadline_ms / 1e3,
    )


def _halt(word: str) -> Halt:
    # Jobs keep the former word, as other versions read them too.
    return next((known for known in HALTS if known == word), "act")


def _check_counts(query: GenerateQuery, width: int) -> None:
    if width < query.count:
        raise ParameterInvalid(
            f"max_trajectories must be at least count ({query.count}), not {width}",
            field="max_trajectories",
        )
    if query.reduce_clues != "none" and query.count > MAX_REDUCED:
        raise ParameterInvalid(
            f"count must be 1 to {MAX_REDUCED} with reduce_clues, not {query.count}", field="count"
        )


def _blank(model: ModelReport) -> PostedPuzzle:
    known = task(model.task)
    puzzle = family(known.family)
    if not isinstance(puzzle, Generative):
        raise ModelUnknown(f"{puzzle.name} has no empty board to start from", field="model")
    blank = puzzle.blank(known)
    return PostedPuzzle(family=puzzle, instance=blank, task=known, body=puzzle.dump(blank))
