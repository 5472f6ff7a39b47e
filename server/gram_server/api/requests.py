"""Builds the job of a request, or a batch and its parts: query, body, model, seed, deadline."""

import hashlib
import re
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from fastapi import Request

from gram_core.puzzles import Countable, Generative, family, task
from gram_server.api.body import (
    PostedBody,
    PostedPuzzle,
    naming,
    read_puzzle,
    read_puzzles,
    refuse_body,
)
from gram_server.api.dispatch import wants_stream
from gram_server.api.queries import (
    MAX_REDUCED,
    MIN_TRAJECTORIES,
    GenerateQuery,
    JobQuery,
    Query,
    SolveQuery,
    read_query,
)
from gram_server.api.state import AppState, client_of, owner_of
from gram_server.errors import ModelUnknown, NotReady, ParameterInvalid
from gram_server.job import (
    HALTS,
    PRIORITY_CLASSES,
    Halt,
    Job,
    ModelReport,
    Sampling,
    SolveOptions,
)
from gram_server.jobs.store import IdempotencyKey

KEY_HEADER = "Idempotency-Key"
SEED_BITS = 53
"""Every JSON reader holds integers of this size exactly."""

UNVERIFIED = {"fallback": "exact", "count_solutions": "exact", "halt": "never"}
"""What cannot be asked of a family whose answers nothing verifies."""

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_Query = TypeVar("_Query", bound=Query)


class ParsedRequest(NamedTuple):
    """What a request asks for."""

    job: Job
    model: ModelReport
    """Of a batch that of its first part."""
    puzzles: Sequence[PostedPuzzle]
    parts: Sequence[Job] = ()
    """Jobs of a batch; none for a single job."""
    ticket: IdempotencyKey | None = None

    @property
    def charge(self) -> int:
        """Trajectories that its key pays for."""
        width = self.job.options.width
        return sum(0 if puzzle.is_refuted else width for puzzle in self.puzzles)


async def parse_solve(state: AppState, request: Request, model: type[SolveQuery]) -> ParsedRequest:
    query = _read_query(state, request, model)
    posted = await read_puzzle(request, query, state.settings.http)
    chosen = await _select_model(state, posted, query)
    options = _solve_options(query, chosen)
    if options.decodes and not wants_stream(request):
        # Only a stream shows them.
        options = replace(options, decodes=0)
    job = _make_job(request, posted, chosen, options, now_s=state.clock(), wanted=query.model)
    return ParsedRequest(job, chosen, [posted])


async def parse_generate(
    state: AppState, request: Request, model: type[GenerateQuery]
) -> ParsedRequest:
    query = _read_query(state, request, model)
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
        seed=_draw_seed() if query.seed is None else query.seed,
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
    known = task(chosen.task)
    puzzle = family(known.family)
    if not isinstance(puzzle, Generative):
        raise ModelUnknown(f"{puzzle.name} has no empty board to start from", field="model")
    board = puzzle.blank(known)
    blank = PostedPuzzle(family=puzzle, instance=board, task=known, body=puzzle.dump(board))
    job = _make_job(request, blank, chosen, options, now_s=state.clock(), wanted=query.model)
    return ParsedRequest(replace(job, sampling=sampling), chosen, [blank])


async def parse_submission(
    state: AppState, request: Request, model: type[JobQuery]
) -> ParsedRequest:
    query = _read_query(state, request, model)
    keys = request.headers.getlist(KEY_HEADER)
    if keys and (len(keys) > 1 or not _KEY.fullmatch(keys[0])):
        raise ParameterInvalid(
            "must be one value of 1 to 255 visible ASCII characters", field=KEY_HEADER
        )
    posted = await read_puzzles(request, query, state.settings.http)
    parsed = await _parse_jobs(state, request, posted, query)
    if not keys:
        return parsed
    # Everything that decides what the request asks for.
    named = sorted(f"{name}={value}" for name, value in request.query_params.multi_items())
    digest = hashlib.sha256("&".join(named).encode() + b"\n" + posted.raw).hexdigest()
    ticket = IdempotencyKey(owner=owner_of(request.scope), key=keys[0], fingerprint=digest)
    return parsed._replace(ticket=ticket)


def _read_query(state: AppState, request: Request, model: type[_Query]) -> _Query:
    """Return the parameters; raise ``NotReady`` while the server stops."""
    if state.lifecycle.is_closed:
        raise NotReady("the server is stopping and takes no new work")
    return read_query(model, request.query_params.multi_items())


async def _select_model(state: AppState, posted: PostedPuzzle, query: SolveQuery) -> ModelReport:
    """Return the model for a puzzle, or ``EXACT`` where only exact search can answer it.

    Raises ``ParameterInvalid`` for an exact search that no worker can do, and for what needs a
    verifier that the family has not.
    """
    for name, word in UNVERIFIED.items() if not posted.family.has_verifier else ():
        if getattr(query, name) == word:
            detail = f"{name}={word} needs rules that tell a right answer: {posted.family.name} "
            raise ParameterInvalid(f"{detail}has none, and answers with candidates", field=name)
    chosen = await state.workers.select_model(
        posted.task.name,
        num_givens=posted.family.num_givens(posted.instance),
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


def _draw_seed() -> int:
    return secrets.randbits(SEED_BITS)


def _solve_options(
    query: SolveQuery, model: ModelReport, *, seed: int | None = None
) -> SolveOptions:
    """Return the options of a job, with defaults from the model and a drawn seed."""
    options = dict(vars(query))
    for name in ("puzzle", "colors", "priority"):
        options.pop(name, None)
    options |= {
        "model": model.name,
        "seed": next(known for known in (query.seed, seed, _draw_seed()) if known is not None),
        "depth": query.depth or model.depth or None,
        "halt": _halt(query.halt),
        "count": options.pop("count_solutions"),
        "decodes": options.pop("show_trajectories"),
    }
    return SolveOptions(**options)


def _make_job(
    request: Request,
    posted: PostedPuzzle,
    model: ModelReport,
    options: SolveOptions,
    *,
    now_s: float,
    wanted: str | None,
    **more: Any,
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
        client=client_of(request.scope),
        options=options,
        submitted_s=now_s,
        deadline_s=None if deadline_ms is None else now_s + deadline_ms / 1e3,
        **more,
    )


def _halt(word: str) -> Halt:
    # Jobs have another word for the halt head, as other versions read them too.
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


async def _parse_jobs(
    state: AppState, request: Request, posted: PostedBody, query: JobQuery
) -> ParsedRequest:
    seed, now_s = _draw_seed(), state.clock()
    models: dict[tuple[str, int], ModelReport] = {}
    kinds = [
        (puzzle.task.name, puzzle.family.num_givens(puzzle.instance)) for puzzle in posted.puzzles
    ]
    for number, (kind, puzzle) in enumerate(zip(kinds, posted.puzzles, strict=True)):
        if kind not in models:
            with naming(number if posted.is_batch else None):
                models[kind] = await _select_model(state, puzzle, query)
    options = {kind: _solve_options(query, model, seed=seed) for kind, model in models.items()}
    more = {"owner": owner_of(request.scope), "priority": PRIORITY_CLASSES.index(query.priority)}
    jobs = []
    for kind, puzzle in zip(kinds, posted.puzzles, strict=True):
        model, chosen = models[kind], options[kind]
        jobs.append(
            _make_job(request, puzzle, model, chosen, now_s=now_s, wanted=query.model, **more)
        )
    first = ParsedRequest(jobs[0], next(iter(models.values())), posted.puzzles)
    if not posted.is_batch:
        return first
    width = sum(job.options.width for job in jobs)
    limit = state.settings.queue.max_trajectories
    if width > limit:
        raise ParameterInvalid(
            f"{len(jobs)} instances of this width are {width} trajectories, and the queue never "
            f"holds more than {limit}",
            field="width",
        )
    batch = replace(first.job, id=uuid.uuid4().hex, num_parts=len(jobs), body={}, puzzle="batch")
    return first._replace(job=batch, parts=[replace(job, batch=batch.id) for job in jobs])
