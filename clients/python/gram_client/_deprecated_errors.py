"""The error classes of version 0.1, one per problem code, to be removed in version 0.3.

Errors are still raised as these, so that code which catches them keeps working until then.
"""

from gram_client._errors import (
    BadRequest,
    NotFound,
    ServerFailure,
    ServerUnavailable,
    StatusError,
    TooManyRequests,
    Unauthorized,
)

_CODES: dict[type[StatusError], dict[str, str]] = {
    BadRequest: {
        "BodyInvalid": "body_invalid",
        "BodySlow": "body_slow",
        "BodyTooLarge": "body_too_large",
        "IdempotencyConflict": "idempotency_conflict",
        "MediaTypeUnsupported": "media_type_unsupported",
        "MethodNotAllowed": "method_not_allowed",
        "ModelUnknown": "model_unknown",
        "ParameterInvalid": "parameter_invalid",
        "PuzzleInvalid": "puzzle_invalid",
        "UnknownPuzzle": "unknown_puzzle",
        "UnknownTask": "unknown_task",
    },
    Unauthorized: {
        "KeyInvalid": "key_invalid",
        "KeyMissing": "key_missing",
        "OriginRefused": "origin_refused",
        "ScopeMissing": "scope_missing",
    },
    NotFound: {"JobGone": "job_gone", "JobNotFound": "job_not_found", "PathNotFound": "not_found"},
    TooManyRequests: {"QueueFull": "queue_full", "RateLimited": "rate_limited"},
    ServerFailure: {"InternalFailure": "internal", "JobFailed": "job_failed"},
    ServerUnavailable: {"NotReady": "not_ready", "StoreUnavailable": "store_unavailable"},
}

CLASSES: dict[str, type[StatusError]] = {
    name: type(name, (base,), {"code": code, "__module__": __name__})
    for base, codes in _CODES.items()
    for name, code in codes.items()
}
BY_CODE = {kind.code: kind for kind in CLASSES.values()}


def __getattr__(name: str) -> type[StatusError]:
    """Let pickle find the classes."""
    if name not in CLASSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return CLASSES[name]
