"""Every error that the server raises, with its fixed HTTP status, code and title.

ServerError
  UserError              the caller can fix it
    PathNotFound
    MethodNotAllowed
    ParameterInvalid     a query parameter or header
    BodyInvalid          the request body cannot be read
    BodyTooLarge
    BodySlow
    MediaTypeUnsupported
    ModelUnknown         no model of that name, or none for the puzzle
    KeyMissing           no API key came with the request
        KeyInvalid           the key is unknown or expired
        ScopeMissing         the key does not allow the request
        OriginRefused        a page of another site, or a foreign host name
    QueueFull            try again later
        RateLimited          the key's rate is used up: try again later
    JobNotFound
        JobGone            its record was dropped
        KeyConflict        an idempotency key was used for another request
  ConfigError            the operator can fix it
    StartRefused           a worker cannot run with these settings: the operator can fix it
    StartFailed            a worker ended before it was ready
  NotReady               starting or draining: try again later
    StoreUnavailable       Redis cannot be reached or accepts nothing: try again later
        StoreRefused         Redis rejects the call itself
  NotReplayed            a dead letter that cannot be queued again
  JobFailed              we must fix it
    JobUnreadable          a job of another version with unknown options
  JobInterrupted         the server stopped first: try again
    LinkClosed             the process at the other end of the worker link is gone
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


class UserError(ServerError):
    """The caller can fix it."""

    code = "bad_request"

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


class PathNotFound(UserError):
    """No route matches the path."""

    code = "not_found"
    status = 404
    title = "There is nothing at this path"


class MethodNotAllowed(UserError):
    """The route does not accept the method."""

    code = "method_not_allowed"
    status = 405
    title = "The path does not take this method"


class ParameterInvalid(UserError):
    """A query parameter or header is unknown or has a value that cannot be used."""

    code = "parameter_invalid"
    status = 422
    title = "A query parameter cannot be used"


class BodyInvalid(UserError):
    """The request body cannot be read at all: not JSON, not text, empty."""

    code = "body_invalid"
    status = 400
    title = "The request body cannot be read"


class BodyTooLarge(UserError):
    """The request body is larger than the configured limit."""

    code = "body_too_large"
    status = 413
    title = "The request body is too large"


class BodySlow(UserError):
    """The request body did not arrive within ``body_timeout_s``."""

    code = "body_slow"
    status = 408
    title = "The request body came too slowly"


class MediaTypeUnsupported(UserError):
    """The request body has a content type that no puzzle is read from."""

    code = "media_type_unsupported"
    status = 415
    title = "The content type is not supported"


class ModelUnknown(UserError):
    """No model of that name is loaded, or none for the puzzle that was posted."""

    code = "model_unknown"
    status = 422
    title = "No loaded model fits the request"


class QueueFull(UserError):
    """The queue is at its bound; ``retry_after_s`` says when to retry."""

    code = "queue_full"
    status = 429
    title = "The queue is full"
    is_retryable = True
    retry_after_s: int

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class RateLimited(QueueFull):
    """The key has used up its rate of trajectories."""

    code = "rate_limited"
    title = "The API key asks for too much"


class KeyMissing(UserError):
    """The path needs an API key, and none came with the request."""

    code = "key_missing"
    status = 401
    title = "The request needs an API key"


class KeyInvalid(UserError):
    """The API key is unknown or expired."""

    code = "key_invalid"
    status = 401
    title = "The API key is not known or no longer valid"


class ScopeMissing(UserError):
    """The API key is valid but lacks the scope."""

    code = "scope_missing"
    status = 403
    title = "The API key does not allow this"


class OriginRefused(UserError):
    """A browser sent it for a page of another site, or to a foreign host name."""

    code = "origin_refused"
    status = 403
    title = "The server does not take this from a browser"


class JobNotFound(UserError):
    """No job has that id, or its record was dropped."""

    code = "job_not_found"
    status = 404
    title = "There is no such job"


class JobGone(UserError):
    """The job of the idempotency key was accepted, and its record was dropped."""

    code = "job_gone"
    status = 410
    title = "The job has been forgotten"


class KeyConflict(UserError):
    """An idempotency key was used before, for another request."""

    code = "idempotency_conflict"
    status = 409
    title = "The idempotency key is taken"


class ConfigError(ServerError):
    """A setting has a value that cannot be used; names the field and the value."""

    code = "config_invalid"

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


class StartRefused(ServerError):
    """A worker cannot run with these settings, or these files, on this machine."""

    code = "start_refused"


class StartFailed(ServerError):
    """A worker ended before it was ready, for a reason that may pass."""

    code = "start_failed"


class NotReady(ServerError):
    """The server takes no work yet, or no more."""

    code = "not_ready"
    status = 503
    title = "The server takes no work now"
    is_retryable = True

    def __init__(self, detail: str, *, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class StoreUnavailable(ServerError):
    """Redis cannot be reached or accepts nothing now; accepted jobs are safe there."""

    code = "store_unavailable"
    status = 503
    title = "The queue cannot be reached"
    is_retryable = True
    retry_after_s = 2


class StoreRefused(StoreUnavailable):
    """Redis rejects the call itself: a retry would fail too."""


class NotReplayed(ServerError):
    """The job of a dead letter cannot be queued again."""

    code = "not_replayed"


class JobFailed(ServerError):
    """An accepted job failed through no fault of the caller."""

    code = "job_failed"
    title = "The job could not be finished"

    def __init__(self, detail: str, *, code: str = "job_failed") -> None:
        super().__init__(detail)
        self.code = code


class JobUnreadable(ServerError):
    """A job written by another version has unknown options."""

    code = "job_unreadable"


class JobInterrupted(ServerError):
    """The server stopped before an accepted job was done; the same request may succeed later."""

    code = "not_ready"
    retry_after_s = 1


class LinkClosed(ServerError):
    """The process at the other end of the worker link is gone."""

    code = "link_closed"
