"""Maps problem responses and connection failures to the errors of this package."""

import httpx
from pydantic import ValidationError

from gram_client._errors import (
    BadRequest,
    ConnectionFailed,
    NoAnswer,
    NotFound,
    ServerFailure,
    ServerUnavailable,
    StatusError,
    TimedOut,
    TooManyRequests,
    Unauthorized,
)
from gram_client._requests import request_id_of
from gram_client._server_models import Problem
from gram_client._settings import Settings

_CLASSES: dict[int, type[StatusError]] = {
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    410: NotFound,
    429: TooManyRequests,
    503: ServerUnavailable,
}


def status_class(status_code: int) -> type[StatusError]:
    return _CLASSES.get(status_code, BadRequest if status_code < 500 else ServerFailure)


def status_error(response: httpx.Response) -> StatusError:
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        # A proxy's page: only the status is usable.
        problem = Problem(detail=response.reason_phrase)
    if problem.request_id is None:
        problem = problem.model_copy(update={"request_id": request_id_of(response)})
    try:
        seconds = float(response.headers.get("Retry-After", ""))
    except ValueError:
        # None, or a date.
        seconds = -1.0
    retry_after_s = seconds if seconds >= 0 else None
    return _error(problem, response.status_code, response.content, retry_after_s)


def stream_error(data: bytes) -> StatusError:
    try:
        problem = Problem.model_validate_json(data)
    except ValidationError:
        problem = Problem(detail="the stream ended with an error that cannot be read")
    # Only the server writes into a stream, so what it does not call retryable is not.
    problem = problem.model_copy(update={"retryable": bool(problem.retryable)})
    return _error(problem, problem.status or 500, data, problem.retry_after_s)


def no_answer(error: httpx.RequestError, settings: Settings) -> NoAnswer:
    reason = str(error) or type(error).__name__
    # A connect timeout is a failed connection: a retry may help.
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return TimedOut(f"no answer from {settings.shown_url} in time: {reason}")
    return ConnectionFailed(f"no connection to {settings.shown_url}: {reason}")


def _error(
    problem: Problem, status_code: int, body: bytes, retry_after_s: float | None
) -> StatusError:
    kind = status_class(status_code)
    return kind(problem, status_code=status_code, body=body, retry_after_s=retry_after_s)
