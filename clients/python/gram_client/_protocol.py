"""Requests and answers without I/O: what both clients send, and what they make of the answer."""

import hashlib
import secrets
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter, ValidationError

from gram_client._drawing import Posted
from gram_client._errors import (
    ConfigInvalid,
    ConnectionFailed,
    GramError,
    NoAnswer,
    ResponseInvalid,
    StatusError,
    TimedOut,
    status_error_class,
)
from gram_client._inputs import Puzzle, encode, encode_batch, text_or_body
from gram_client._models import Health, Job, Problem, SolveResult
from gram_client._retry import retry_after_s
from gram_client._settings import Settings, header_value
from gram_client._version import __version__

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
LONG_POLL_S = 20
"""How long the server is asked to wait for the end of a job, again and again."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call, ready to be sent any number of times."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    posted: Posted = field(default_factory=Posted)
    """What drawing the answer needs to know of the puzzle."""
    hold_s: float = 0.0
    """Seconds that the server is asked to hold its answer back; patience begins after them."""


def solve_request(puzzle: Puzzle, options: Mapping[str, object], *, accept: str = JSON) -> Request:
    """Return the request that solves a puzzle; without a seed one is drawn.

    The seed fixes the answer, so a repeated attempt repeats the same work.
    """
    content_type, content = encode(puzzle)
    return Request(
        method="POST",
        path="/solve",
        params=_seeded(options),
        headers={"Content-Type": content_type, "Accept": accept},
        content=content,
        posted=Posted.read(text_or_body(puzzle)),
    )


def submit_request(
    puzzle: Puzzle, options: Mapping[str, object], *, key: str | None = None
) -> Request:
    """Return the request that hands in a job, under a key that makes it safe to repeat."""
    content_type, content = encode(puzzle)
    return _submission(content_type, content, options, key)


def batch_request(
    puzzles: Iterable[Puzzle], options: Mapping[str, object], *, key: str | None = None
) -> Request:
    """Return the request that hands in a batch."""
    return _submission(JSON, encode_batch(puzzles), options, key)


def _submission(
    content_type: str, content: bytes, options: Mapping[str, object], key: str | None
) -> Request:
    """Return the request; its seed follows from its key, so that both stand for the same work."""
    key = uuid.uuid4().hex if key is None else header_value("idempotency_key", key)
    headers = {"Content-Type": content_type, "Accept": JSON}
    return Request(
        method="POST",
        path="/jobs",
        params=_seeded(options, drawn=_seed_of(key)),
        headers={**headers, "Idempotency-Key": key},
        content=content,
    )


def job_request(job_id: str, *, method: str = "GET", wait_s: int = 0) -> Request:
    """Return the request that shows a job, at the latest after a while, or cancels it."""
    params = {"wait": str(wait_s)} if wait_s else {}
    return Request(
        method=method,
        path=_job_path(job_id),
        params=params,
        headers={"Accept": JSON},
        hold_s=wait_s,
    )


def events_request(job_id: str, *, after: int = 0) -> Request:
    """Return the request that follows a job, from after an event that is known."""
    headers = {"Accept": EVENT_STREAM}
    if after:
        headers["Last-Event-ID"] = str(after)
    return Request(method="GET", path=f"{_job_path(job_id)}/events", headers=headers)


def list_request(*, limit: int | None, cursor: str | None) -> Request:
    """Return the request that lists jobs."""
    values = {"limit": limit, "cursor": cursor}
    params = {name: str(value) for name, value in values.items() if value is not None}
    return Request(method="GET", path="/jobs", params=params, headers={"Accept": JSON})


def _job_path(job_id: str) -> str:
    if not (isinstance(job_id, str) and job_id):
        raise ConfigInvalid(f"job_id={job_id!r}: must be the id of a job")
    return f"/jobs/{quote(job_id, safe='')}"


def generate_request(options: Mapping[str, object]) -> Request:
    """Return the request that makes up boards; without a seed one is drawn."""
    return Request(
        method="POST",
        path="/generate",
        params=_seeded(options),
        headers={"Accept": JSON},
    )


def get_request(path: str) -> Request:
    """Return the request that reads a path."""
    return Request(method="GET", path=path, headers={"Accept": JSON})


def default_headers(settings: Settings) -> dict[str, str]:
    """Return the headers that every call carries."""
    headers = {"User-Agent": f"gram-client/{__version__}"}
    if settings.api_key is not None:
        headers["Authorization"] = f"Bearer {settings.api_key}"
    return headers


def no_answer(error: httpx.RequestError, settings: Settings) -> NoAnswer:
    """Return our error for one of httpx."""
    reason = str(error) or type(error).__name__
    # Not reaching the server in time is a failed connection: trying again may help.
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return TimedOut(f"no answer from {settings.shown_url} in time: {reason}")
    return ConnectionFailed(f"no connection to {settings.shown_url}: {reason}")


def settle(outcome: httpx.Response | NoAnswer) -> httpx.Response:
    """Return a successful answer, and raise everything else as what it is."""
    if isinstance(outcome, NoAnswer):
        raise outcome
    if not outcome.is_success:
        raise status_error(outcome)
    return outcome


def failure_of(outcome: httpx.Response | NoAnswer | StatusError) -> GramError:
    """Return the error that an attempt which is not repeated comes to."""
    return status_error(outcome) if isinstance(outcome, httpx.Response) else outcome


def read_result(outcome: httpx.Response | NoAnswer, posted: Posted) -> SolveResult:
    """Return a result whose answers can be drawn."""
    result = read(SolveResult, settle(outcome))
    result._post(posted)
    return result


def read_job(outcome: httpx.Response | NoAnswer) -> Job:
    """Return a job whose answers can be drawn, as far as they tell by themselves."""
    job = read(Job, settle(outcome))
    for one in (job, *job.parts):
        if one.result is not None:
            one.result._post(Posted())
    return job


def read_health(outcome: httpx.Response | NoAnswer) -> Health:
    """Return what a readiness probe's outcome says; no answer at all is an error."""
    if isinstance(outcome, NoAnswer):
        raise outcome
    if outcome.is_success:
        return Health(is_ready=True)
    return Health(is_ready=False, reason=_problem(outcome).detail)


def read(kind: type[T], response: httpx.Response) -> T:
    """Return the answer's JSON as an instance of ``kind``."""
    try:
        return TypeAdapter(kind).validate_json(response.content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        message = f"{response.url.path} gave an unreadable answer: {where}: {first['msg']}"
        raise ResponseInvalid(
            message, status_code=response.status_code, body=response.content
        ) from error


def _seed_of(key: str) -> int:
    """Return the seed, below 2**53, that belongs to an idempotency key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7]) >> 3


def _seeded(options: Mapping[str, object], *, drawn: int | None = None) -> dict[str, str]:
    seed = options.get("seed")
    if seed is None:
        seed = secrets.randbits(53) if drawn is None else drawn
    values = {**options, "seed": seed}
    return {name: _text(value) for name, value in values.items() if value is not None}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def status_error(response: httpx.Response) -> StatusError:
    problem = _problem(response)
    kind = status_error_class(response.status_code, problem.code)
    return kind(
        problem,
        status_code=response.status_code,
        body=response.content,
        retry_after_s=retry_after_s(response),
    )


def problem_error(data: bytes) -> StatusError:
    """Return the error that a problem in a stream is."""
    try:
        problem = Problem.model_validate_json(data)
    except ValidationError:
        problem = Problem(detail="the stream ended with an error that cannot be read")
    # Only the server itself writes into a stream: what it does not call retryable is not.
    problem = problem.model_copy(update={"retryable": bool(problem.retryable)})
    status = problem.status or 500
    kind = status_error_class(status, problem.code)
    return kind(problem, status_code=status, body=data, retry_after_s=problem.retry_after_s)


def _problem(response: httpx.Response) -> Problem:
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        # A proxy's page: the status alone has to do.
        return Problem(detail=response.reason_phrase)
