"""Builds the job of a ``POST /jobs`` request, or the batch and its parts."""

import asyncio
import hashlib
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from fastapi import Request

from gram_core.errors import Issue, PuzzleInvalid
from gram_core.errors import UserError as CoreUserError
from gram_server.api.body import (
    MAX_INLINE_BYTES,
    PostedPuzzle,
    decode,
    load_json,
    media_type_of,
    parse_object,
    parse_puzzle,
    parse_text,
    read_bytes,
)
from gram_server.api.queries import JobQuery
from gram_server.api.requests import (
    draw_seed,
    make_job,
    read_work_query,
    select_model,
    solve_options,
)
from gram_server.api.state import AppState, client_of, owner_of
from gram_server.errors import BodyInvalid, ParameterInvalid, UserError
from gram_server.job import PRIORITY_CLASSES, Job, ModelReport
from gram_server.jobs.store import IdempotencyKey

KEY_HEADER = "Idempotency-Key"

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class Submission(NamedTuple):
    """The work of one request."""

    job: Job
    parts: tuple[Job, ...]
    """Jobs of a batch; none for a single job."""
    ticket: IdempotencyKey | None
    puzzles: Sequence[PostedPuzzle]

    @property
    def charge(self) -> int:
        """Trajectories that its key pays for."""
        width = self.job.options.width
        return sum(0 if puzzle.is_refuted else width for puzzle in self.puzzles)


async def read_submission(state: AppState, request: Request, model: type[JobQuery]) -> Submission:
    query = read_work_query(state, request, model)
    keys = request.headers.getlist(KEY_HEADER)
    if keys and (len(keys) > 1 or not _KEY.fullmatch(keys[0])):
        raise ParameterInvalid(
            "must be one value of 1 to 255 visible ASCII characters", field=KEY_HEADER
        )
    media_type = media_type_of(request)
    raw = await read_bytes(request, state.settings.http)
    limit = state.settings.http.max_batch
    if len(raw) > MAX_INLINE_BYTES:
        puzzles, is_batch = await asyncio.to_thread(_parse, raw, media_type, query, limit)
    else:
        puzzles, is_batch = _parse(raw, media_type, query, limit)
    jobs = await _make_jobs(state, request, puzzles, query, is_batch=is_batch)
    ticket = None
    if keys:
        # Everything that decides what the request asks for.
        named = sorted(f"{name}={value}" for name, value in request.query_params.multi_items())
        digest = hashlib.sha256("&".join(named).encode() + b"\n" + raw).hexdigest()
        ticket = IdempotencyKey(owner=owner_of(request.scope), key=keys[0], fingerprint=digest)
    if not is_batch:
        return Submission(jobs[0], (), ticket, puzzles)
    batch, parts = _batch(state, jobs)
    return Submission(batch, parts, ticket, puzzles)


def _parse(
    raw: bytes, media_type: str, query: JobQuery, limit: int
) -> tuple[list[PostedPuzzle], bool]:
    """Return the puzzles in a body, and whether it is a batch."""
    text = decode(raw).strip()
    if not text.startswith("{"):
        # Leading spaces have a meaning in some texts.
        return [parse_puzzle(raw, query, media_type=media_type)], False
    body = load_json(text)
    if not isinstance(body, dict) or "instances" not in body:
        return [parse_object(body, query)], False
    if set(body) != {"instances"}:
        raise BodyInvalid("a batch has the field instances and no other", field="body")
    instances = body["instances"]
    if not isinstance(instances, list) or not 1 <= len(instances) <= limit:
        raise BodyInvalid(f"instances must be a list of 1 to {limit} puzzles", field="instances")
    puzzles = []
    for number, part in enumerate(instances):
        if not isinstance(part, str | dict | list):
            raise PuzzleInvalid([Issue(f"instances[{number}]", "must be an object or a string")])
        with _naming(number):
            read = parse_text if isinstance(part, str) else parse_object
            puzzles.append(read(part, query))
    return puzzles, True


@contextmanager
def _naming(number: int | None) -> Iterator[None]:
    """Name the instance in a refusal of it; None stands for a puzzle that is no part of a batch."""
    where = f"instances[{number}]"
    try:
        yield
    except (PuzzleInvalid, CoreUserError, UserError) as error:
        if number is None:
            raise
        if isinstance(error, PuzzleInvalid):
            issues = [replace(issue, field=f"{where}.{issue.field}") for issue in error.issues]
            raise PuzzleInvalid(issues) from error
        named = type(error)(f"{where}: {error}")
        # Other fields are parameters, which no instance has of its own.
        named.field = f"{where}.puzzle" if error.field == "puzzle" else error.field
        raise named from error


async def _make_jobs(
    state: AppState,
    request: Request,
    puzzles: Sequence[PostedPuzzle],
    query: JobQuery,
    *,
    is_batch: bool,
) -> list[Job]:
    seed, now_s = draw_seed(), state.clock()
    models: dict[str, ModelReport] = {}
    for number, puzzle in enumerate(puzzles):
        if puzzle.task.name not in models:
            with _naming(number if is_batch else None):
                models[puzzle.task.name] = await select_model(state, puzzle, query)
    options = {name: solve_options(query, model, seed=seed) for name, model in models.items()}
    priority = PRIORITY_CLASSES.index(query.priority)
    return [
        replace(
            make_job(
                puzzle,
                models[puzzle.task.name],
                options[puzzle.task.name],
                now_s=now_s,
                wanted=query.model,
                client=client_of(request.scope),
            ),
            owner=owner_of(request.scope),
            priority=priority,
        )
        for puzzle in puzzles
    ]


def _batch(state: AppState, jobs: Sequence[Job]) -> tuple[Job, tuple[Job, ...]]:
    width = sum(job.options.width for job in jobs)
    limit = state.settings.queue.max_trajectories
    if width > limit:
        raise ParameterInvalid(
            f"{len(jobs)} instances of this width are {width} trajectories, and the queue never "
            f"holds more than {limit}",
            field="width",
        )
    batch_id = uuid.uuid4().hex
    batch = replace(jobs[0], id=batch_id, num_parts=len(jobs), body={}, puzzle="batch")
    parts = tuple(replace(job, batch=batch_id) for job in jobs)
    return batch, parts
