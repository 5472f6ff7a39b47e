"""Everything a call can fail with; httpx errors never leave this package.

GramError
  ConfigInvalid          a constructor argument or environment variable cannot be used
  PuzzleUnusable         a puzzle of a form that cannot be sent
  NoAnswer               the server did not answer
    ConnectionFailed
    TimedOut
  ResponseInvalid        what answered does not speak this API
  StatusError            the server answered with a problem, ``code`` names it
    BadRequest           the caller can fix it: 400 and every other 4xx
      BodyInvalid, BodySlow, BodyTooLarge, MediaTypeUnsupported, MethodNotAllowed
      ParameterInvalid, UnknownPuzzle, UnknownTask, ModelUnknown
      PuzzleInvalid      ``errors`` names cells and rules
      IdempotencyConflict
      Unauthorized       KeyMissing, KeyInvalid, ScopeMissing, OriginRefused
      NotFound           PathNotFound, JobNotFound, JobGone
      TooManyRequests    QueueFull, RateLimited: try again after ``retry_after_s``
    ServerUnavailable    NotReady, StoreUnavailable: try again after ``retry_after_s``
    ServerFailure        InternalFailure, JobFailed, and every other 5xx
"""

from typing import Any

from gram_client._models import Issue, Problem


class GramError(Exception):
    """Root of everything this package raises on purpose; every error can be pickled and copied."""

    code = "client_error"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args, self.__dict__)


class ConfigInvalid(GramError):
    """A constructor argument or environment variable cannot be used."""

    code = "config_invalid"


class PuzzleUnusable(GramError):
    """A puzzle of a form that cannot be sent; nothing was."""

    code = "puzzle_unusable"


class NoAnswer(GramError):
    """The server did not answer."""

    code = "no_answer"


class ConnectionFailed(NoAnswer):
    """No connection, or it broke before the answer was complete."""

    code = "connection_failed"


class TimedOut(NoAnswer):
    """No answer came within ``timeout_s``."""

    code = "timed_out"


class ResponseInvalid(GramError):
    """What answered does not speak this API; ``body`` is what it said."""

    code = "response_invalid"

    def __init__(self, message: str, *, status_code: int, body: bytes) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.body = body


class StatusError(GramError):
    """The server answered with a problem; the fields are those of its document."""

    code = "status_error"

    def __init__(
        self, problem: Problem, *, status_code: int, body: bytes, retry_after_s: float | None
    ) -> None:
        super().__init__(_sentence(problem, status_code))
        self.code = problem.code or type(self).code
        self.detail = problem.detail
        self.errors: tuple[Issue, ...] = problem.errors
        self.request_id = problem.request_id
        self.is_retryable = is_retryable(status_code, problem.retryable)
        self.status_code = status_code
        self.body = body
        self.retry_after_s = retry_after_s


class BadRequest(StatusError):
    """The caller can fix it."""

    code = "bad_request"


class BodyInvalid(BadRequest):
    """The body cannot be read."""

    code = "body_invalid"


class BodySlow(BadRequest):
    """The body came too slowly."""

    code = "body_slow"


class BodyTooLarge(BadRequest):
    """The body is larger than the server takes."""

    code = "body_too_large"


class MediaTypeUnsupported(BadRequest):
    """The body is of a type that no puzzle has."""

    code = "media_type_unsupported"


class MethodNotAllowed(BadRequest):
    """The path does not take this method."""

    code = "method_not_allowed"


class ParameterInvalid(BadRequest):
    """A parameter cannot be used; ``errors`` names it."""

    code = "parameter_invalid"


class UnknownPuzzle(BadRequest):
    """There is no puzzle family of this name."""

    code = "unknown_puzzle"


class UnknownTask(BadRequest):
    """The family has no such size."""

    code = "unknown_task"


class ModelUnknown(BadRequest):
    """No loaded model fits the request."""

    code = "model_unknown"


class PuzzleInvalid(BadRequest):
    """The puzzle is malformed or contradicts itself; ``errors`` says in which cells and rules."""

    code = "puzzle_invalid"


class IdempotencyConflict(BadRequest):
    """The idempotency key stands for another request."""

    code = "idempotency_conflict"


class Unauthorized(BadRequest):
    """The API key is missing, unknown or not allowed to do this."""

    code = "unauthorized"


class KeyMissing(Unauthorized):
    """The server wants an API key."""

    code = "key_missing"


class KeyInvalid(Unauthorized):
    """The API key is not known, or no longer valid."""

    code = "key_invalid"


class ScopeMissing(Unauthorized):
    """The API key does not allow this."""

    code = "scope_missing"


class OriginRefused(Unauthorized):
    """The server does not go by the name in the URL, or takes nothing from this page."""

    code = "origin_refused"


class NotFound(BadRequest):
    """Nothing is there, or no longer."""

    code = "nothing_there"


class PathNotFound(NotFound):
    """The server has no such path."""

    code = "not_found"


class JobNotFound(NotFound):
    """There is no such job, or it belongs to another key."""

    code = "job_not_found"


class JobGone(NotFound):
    """The job that an idempotency key stands for has been forgotten."""

    code = "job_gone"


class TooManyRequests(BadRequest):
    """Right, but too much for now; ``retry_after_s`` says when to come back."""

    code = "too_many_requests"


class QueueFull(TooManyRequests):
    """The server's queue is full."""

    code = "queue_full"


class RateLimited(TooManyRequests):
    """The API key asks for more than its share."""

    code = "rate_limited"


class ServerUnavailable(StatusError):
    """The server takes no work now; ``retry_after_s`` says when to come back."""

    code = "unavailable"


class NotReady(ServerUnavailable):
    """The server starts, drains or has lost its engine."""

    code = "not_ready"


class StoreUnavailable(ServerUnavailable):
    """The server cannot reach its queue."""

    code = "store_unavailable"


class ServerFailure(StatusError):
    """The server failed through no fault of the caller."""

    code = "server_failure"


class InternalFailure(ServerFailure):
    """Something went wrong that nobody foresaw; the server's log has ``request_id``."""

    code = "internal"


class JobFailed(ServerFailure):
    """The job could not be finished, or was cancelled."""

    code = "job_failed"


def status_error_class(status_code: int, code: str | None) -> type[StatusError]:
    """Return the class for the problem's code, or else for its status."""
    by_code = {kind.code: kind for kind in _kinds(StatusError)}
    if code in by_code:
        return by_code[code]
    if status_code in _CLASSES:
        return _CLASSES[status_code]
    return BadRequest if status_code < 500 else ServerFailure


_CLASSES: dict[int, type[StatusError]] = {
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    410: NotFound,
    429: TooManyRequests,
    503: ServerUnavailable,
}


RETRIED_STATUSES = frozenset({408, 429})
"""Besides every 5xx."""


def is_retryable(status_code: int, stated: bool | None) -> bool:
    """Say whether trying again may help: as the server states, or else by the status."""
    by_status = status_code in RETRIED_STATUSES or status_code >= 500
    return by_status if stated is None else stated


def _rebuilt(
    kind: type[GramError], arguments: tuple[object, ...], state: dict[str, object]
) -> GramError:
    """Return an error without its constructor, whose arguments it does not keep."""
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    error.__dict__.update(state)
    return error


def _kinds(kind: type[StatusError]) -> list[type[StatusError]]:
    return [kind, *(one for below in kind.__subclasses__() for one in _kinds(below))]


def _sentence(problem: Problem, status_code: int) -> str:
    text = problem.detail or problem.title or "the server gave no reason"
    # The detail usually tells every issue already.
    untold = "; ".join(str(issue) for issue in problem.errors if issue.detail not in text)
    request = "" if problem.request_id is None else f", request {problem.request_id}"
    reason = f"{text} ({untold})" if untold else text
    return f"{reason} [{status_code}{request}]"
