"""Everything a call can fail with; httpx errors never leave this package.

GramError
  ConfigInvalid          a constructor argument or environment variable cannot be used
  NoAnswer               the server did not answer
    ConnectionFailed
    TimedOut
  ResponseInvalid        what answered does not speak this API
  StatusError            the server answered with a problem
    BadRequest           the caller can fix it: 400 and every other 4xx
      PuzzleInvalid      ``errors`` names cells and rules
      Unauthorized
      NotFound
      QueueFull          try again after ``retry_after_s``
    ServerUnavailable    starting or draining: try again after ``retry_after_s``
    ServerFailure        every other 5xx
"""

from gram_client._models import Issue, Problem


class GramError(Exception):
    """Root of everything this package raises on purpose."""

    code = "client_error"


class ConfigInvalid(GramError):
    """A constructor argument or environment variable cannot be used."""

    code = "config_invalid"


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
        self.status_code = status_code
        self.body = body
        self.retry_after_s = retry_after_s


class BadRequest(StatusError):
    """The caller can fix it: a parameter, the body, its size or its type."""

    code = "bad_request"


class PuzzleInvalid(BadRequest):
    """The puzzle is malformed or contradicts itself; ``errors`` says in which cells and rules."""

    code = "puzzle_invalid"


class Unauthorized(BadRequest):
    """The API key is missing, unknown or not allowed to do this."""

    code = "unauthorized"


class NotFound(BadRequest):
    """Nothing is there, or no longer."""

    code = "not_found"


class QueueFull(BadRequest):
    """The server's queue is full; ``retry_after_s`` says when to come back."""

    code = "queue_full"


class ServerUnavailable(StatusError):
    """The server takes no work now: it starts, drains or has lost its engine."""

    code = "unavailable"


class ServerFailure(StatusError):
    """The server failed through no fault of the caller."""

    code = "server_failure"


def status_error_class(status_code: int, code: str | None) -> type[StatusError]:
    """Return the class for a status and the problem's code."""
    if code == PuzzleInvalid.code:
        return PuzzleInvalid
    if status_code in _CLASSES:
        return _CLASSES[status_code]
    return BadRequest if status_code < 500 else ServerFailure


_CLASSES: dict[int, type[StatusError]] = {
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    410: NotFound,
    429: QueueFull,
    503: ServerUnavailable,
}


def _sentence(problem: Problem, status_code: int) -> str:
    text = problem.detail or problem.title or "the server gave no reason"
    # The detail usually tells every issue already.
    untold = "; ".join(str(issue) for issue in problem.errors if issue.detail not in text)
    return f"{text} ({untold}) [{status_code}]" if untold else f"{text} [{status_code}]"
