"""Every error that the server raises, with its fixed HTTP status, code and title.

ServerError
  UserError                                       the caller can fix it: requests, keys, jobs
    QueueFull, RateLimited                        it passes: try again later
  ConfigError, StartRefused, NotReplayed          the operator can fix it
  StartFailed                                     a worker ended before it was ready
  NotReady, JobInterrupted, LinkClosed            starting or stopping: try again later
  StoreUnavailable                                Redis cannot be reached: try again later
    StoreRefused                                  Redis rejects the call itself
  JobFailed, JobUnreadable                        we must fix it
"""

from gram_server.store_url import redact_url


class ServerError(Exception):
    """Root of everything this package raises on purpose."""

    code = "internal"
    """Stable name of the cause, for programs."""
    status = 500
    """HTTP status."""
    title = "The server failed"
    """Fixed summary of the problem."""
    is_retryable = False
    """Whether the same request may succeed later."""
    retry_after_s: int | None = None
    """Seconds until a retry can help, if known."""

    def __init_subclass__(cls, **fixed: str | int) -> None:
        """Take what differs from the parent of a class as keywords of its definition."""
        for name, value in fixed.items():
            assert hasattr(cls, name), name
            setattr(cls, name, value)


class UserError(ServerError, code="bad_request"):
    """The caller can fix it."""

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


class PathNotFound(UserError, code="not_found", status=404, title="There is nothing at this path"):
    """No route matches the path."""


class MethodNotAllowed(
    UserError, code="method_not_allowed", status=405, title="The path does not take this method"
):
    """The route does not accept the method."""


class ParameterInvalid(
    UserError, code="parameter_invalid", status=422, title="A query parameter cannot be used"
):
    """A query parameter or header is unknown or has a value that cannot be used."""


class BodyInvalid(
    UserError, code="body_invalid", status=400, title="The request body cannot be read"
):
    """The request body cannot be read at all: not JSON, not text, empty."""


class BodyTooLarge(
    UserError, code="body_too_large", status=413, title="The request body is too large"
):
    """The request body is larger than the configured limit."""


class BodySlow(UserError, code="body_slow", status=408, title="The request body came too slowly"):
    """The request body did not arrive within ``body_timeout_s``."""


class MediaTypeUnsupported(
    UserError, code="media_type_unsupported", status=415, title="The content type is not supported"
):
    """The request body has a content type that no puzzle is read from."""


class ModelUnknown(
    UserError, code="model_unknown", status=422, title="No loaded model fits the request"
):
    """No model of that name is loaded, or none for the puzzle that was posted."""


class QueueFull(
    UserError, code="queue_full", status=429, title="The queue is full", is_retryable=True
):
    """The queue is at its bound; ``retry_after_s`` says when to retry."""

    retry_after_s: int

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class RateLimited(QueueFull, code="rate_limited", title="The API key asks for too much"):
    """The key has used up its rate of trajectories."""


class KeyMissing(UserError, code="key_missing", status=401, title="The request needs an API key"):
    """The path needs an API key, and none came with the request."""


class KeyInvalid(
    UserError, code="key_invalid", status=401, title="The API key is not known or no longer valid"
):
    """The API key is unknown or expired."""


class ScopeMissing(
    UserError, code="scope_missing", status=403, title="The API key does not allow this"
):
    """The API key is valid but lacks the scope."""


class OriginRefused(
    UserError,
    code="origin_refused",
    status=403,
    title="The server does not take this from a browser",
):
    """A browser sent it for a page of another site, or to a foreign host name."""


class JobNotFound(UserError, code="job_not_found", status=404, title="There is no such job"):
    """No job has that id, or its record was dropped."""


class JobGone(UserError, code="job_gone", status=410, title="The job has been forgotten"):
    """The job of the idempotency key was accepted, and its record was dropped."""


class KeyConflict(
    UserError, code="idempotency_conflict", status=409, title="The idempotency key is taken"
):
    """An idempotency key was used before, for another request."""


class ConfigError(ServerError, code="config_invalid"):
    """A setting has a value that cannot be used; names the field and the value."""

    def __init__(self, field: str, value: object, reason: str) -> None:
        # A URL in any setting may hold a password.
        shown = redact_url(value) if isinstance(value, str) and "://" in value else value
        super().__init__(f"{field}={shown!r}: {reason}")
        self.field = field
        self.value = value


def require(condition: bool, field: str, value: object, reason: str) -> None:
    """Raise ``ConfigError`` unless the condition is met."""
    if not condition:
        raise ConfigError(field, value, reason)


class StartRefused(ServerError, code="start_refused"):
    """A worker cannot run with these settings, or these files, on this machine."""


class StartFailed(ServerError, code="start_failed"):
    """A worker ended before it was ready, for a reason that may pass."""


class NotReady(
    ServerError,
    code="not_ready",
    status=503,
    title="The server takes no work now",
    is_retryable=True,
):
    """The server takes no work yet, or no more."""

    def __init__(self, detail: str, *, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class StoreUnavailable(
    ServerError,
    code="store_unavailable",
    status=503,
    title="The queue cannot be reached",
    is_retryable=True,
    retry_after_s=2,
):
    """Redis cannot be reached or accepts nothing now; accepted jobs are safe there."""


class StoreRefused(StoreUnavailable):
    """Redis rejects the call itself: a retry would fail too."""


class NotReplayed(ServerError, code="not_replayed"):
    """The job of a dead letter cannot be queued again."""


class JobFailed(ServerError, code="job_failed", title="The job could not be finished"):
    """An accepted job failed through no fault of the caller."""


class JobUnreadable(ServerError, code="job_unreadable"):
    """A job written by another version has unknown options."""


class JobInterrupted(ServerError, code="not_ready", retry_after_s=1):
    """The server stopped before an accepted job was done; the same request may succeed later."""


class LinkClosed(ServerError, code="link_closed"):
    """The process at the other end of the worker link is gone."""
