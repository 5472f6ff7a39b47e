"""Everything a call can fail with; httpx errors never leave this package.

GramError
  ConfigInvalid          a constructor argument or environment variable cannot be used
  PuzzleUnusable         a puzzle of a form that cannot be sent
  NoAnswer               the server did not answer
    ConnectionFailed
    TimedOut
  ResponseInvalid        the response does not follow this API
  StatusError            the server answered with a problem; ``code`` says with which
    BadRequest           400 and every other 4xx: the caller can fix it
      Unauthorized       401, 403
      NotFound           404, 410
      TooManyRequests    429: try again after ``retry_after_s``
    ServerFailure        500 and every other 5xx
    ServerUnavailable    503: try again after ``retry_after_s``
"""

from typing import Any

from gram_client._server_models import Issue, Problem


class GramError(Exception):
    """Root of this package's errors; every error can be pickled and copied."""

    code = "client_error"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class ConfigInvalid(GramError):
    """A constructor argument or environment variable cannot be used."""

    code = "config_invalid"


class PuzzleUnusable(GramError):
    """A puzzle of a form that cannot be sent; nothing was sent."""

    code = "puzzle_unusable"


class NoAnswer(GramError):
    """The server did not answer."""

    code = "no_answer"


class ConnectionFailed(NoAnswer):
    """No connection, or one that broke before the answer was complete."""

    code = "connection_failed"


class TimedOut(NoAnswer):
    """No answer came within ``timeout_s``."""

    code = "timed_out"


class ResponseInvalid(GramError):
    """The response does not follow this API; ``body`` holds it."""

    code = "response_invalid"

    def __init__(
        self, message: str, *, status_code: int, body: bytes, request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.body = body
        self.request_id = request_id


class StatusError(GramError):
    """The server answered with a problem; the fields are those of its document."""

    code = "status_error"
    """Of an error that was raised: the problem's own, such as ``puzzle_invalid``."""

    def __init__(
        self, problem: Problem, *, status_code: int, body: bytes, retry_after_s: float | None
    ) -> None:
        text = problem.detail or problem.title or "the server gave no reason"
        # The detail usually names every issue already.
        more = "; ".join(str(issue) for issue in problem.errors if issue.detail not in text)
        reason = f"{text} ({more})" if more else text
        request = "" if problem.request_id is None else f", request {problem.request_id}"
        super().__init__(f"{reason} [{status_code}{request}]")
        self.code = problem.code or type(self).code
        self.detail = problem.detail
        self.errors: tuple[Issue, ...] = problem.errors
        self.request_id = problem.request_id
        by_status = status_code in (408, 429) or status_code >= 500
        # The problem document overrides what the status says about retries.
        self.is_retryable = by_status if problem.retryable is None else problem.retryable
        self.status_code = status_code
        self.body = body
        self.retry_after_s = retry_after_s


class BadRequest(StatusError):
    """The caller can fix it; ``errors`` names fields, cells and rules where ``code`` has any."""

    code = "bad_request"


class Unauthorized(BadRequest):
    """The API key is missing, unknown or not allowed to do this."""

    code = "unauthorized"


class NotFound(BadRequest):
    """The resource does not exist, or no longer."""

    code = "nothing_there"


class TooManyRequests(BadRequest):
    """The server is too busy for the request; ``retry_after_s`` says when to retry."""

    code = "too_many_requests"


class ServerFailure(StatusError):
    """The server failed through no fault of the caller."""

    code = "server_failure"


class ServerUnavailable(StatusError):
    """The server takes no work now; ``retry_after_s`` says when to retry."""

    code = "unavailable"


def _rebuild(
    kind: type[GramError], arguments: tuple[object, ...], state: dict[str, object]
) -> GramError:
    """Return an error without calling its constructor, whose arguments are not kept."""
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    error.__dict__.update(state)
    return error
