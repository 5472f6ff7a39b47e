"""Requests and answers without I/O: what both clients send, and what they make of the answer."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from gram_client._errors import (
    ConnectionFailed,
    NoAnswer,
    ResponseInvalid,
    StatusError,
    TimedOut,
    status_error_class,
)
from gram_client._models import Health, Problem
from gram_client._retry import retry_after_s
from gram_client._settings import Settings
from gram_client._version import __version__

Puzzle = str | Sequence[Sequence[int]] | Mapping[str, object]
"""Text (a sudoku's characters, a DIMACS graph), a sudoku as rows of numbers, or a JSON body."""

Halt = Literal["verified", "act", "never"]
Fallback = Literal["none", "exact"]
Count = Literal["none", "exact"]
Clues = Literal["none", "unique"] | int
"""``unique`` takes away every clue that can be; a number stops there."""
Stop = Literal["verified", "act"]
"""What stops a trajectory that makes up a board."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call, ready to be sent any number of times."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None


def solve_request(puzzle: Puzzle, options: Mapping[str, object]) -> Request:
    """Return the request that solves a puzzle; without a seed one is drawn.

    The seed fixes the answer, so a repeated attempt repeats the same work.
    """
    content_type, content = _body(puzzle)
    return Request(
        method="POST",
        path="/solve",
        params=_seeded(options),
        headers={"Content-Type": content_type, "Accept": "application/json"},
        content=content,
    )


def generate_request(options: Mapping[str, object]) -> Request:
    """Return the request that makes up boards; without a seed one is drawn."""
    return Request(
        method="POST",
        path="/generate",
        params=_seeded(options),
        headers={"Accept": "application/json"},
    )


def get_request(path: str) -> Request:
    """Return the request that reads a path."""
    return Request(method="GET", path=path, headers={"Accept": "application/json"})


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
        return TimedOut(f"no answer from {settings.base_url} in time: {reason}")
    return ConnectionFailed(f"no connection to {settings.base_url}: {reason}")


def settle(outcome: httpx.Response | NoAnswer) -> httpx.Response:
    """Return a successful answer, and raise everything else as what it is."""
    if isinstance(outcome, NoAnswer):
        raise outcome
    if not outcome.is_success:
        raise _status_error(outcome)
    return outcome


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


def _body(puzzle: Puzzle) -> tuple[str, bytes]:
    if isinstance(puzzle, str):
        # What is not text goes out as it came in, for the server to refuse.
        return "text/plain; charset=utf-8", puzzle.encode(errors="surrogateescape")
    if isinstance(puzzle, Mapping):
        body: Mapping[str, object] = puzzle
    else:
        body = {"puzzle": "sudoku", "grid": [[int(cell) for cell in row] for row in puzzle]}
    return "application/json", json.dumps(body, allow_nan=False).encode()


def _seeded(options: Mapping[str, object]) -> dict[str, str]:
    seed = options.get("seed")
    values = {**options, "seed": secrets.randbits(53) if seed is None else seed}
    return {name: _text(value) for name, value in values.items() if value is not None}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _status_error(response: httpx.Response) -> StatusError:
    problem = _problem(response)
    kind = status_error_class(response.status_code, problem.code)
    return kind(
        problem,
        status_code=response.status_code,
        body=response.content,
        retry_after_s=retry_after_s(response),
    )


def _problem(response: httpx.Response) -> Problem:
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        # A proxy's page: the status alone has to do.
        return Problem(detail=response.reason_phrase)
