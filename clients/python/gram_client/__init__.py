"""Client for gram-server: ``Client`` and ``AsyncClient``, typed results, one error tree."""

from gram_client._async_client import AsyncClient
from gram_client._board import draw
from gram_client._client import Client
from gram_client._errors import (
    BadRequest,
    ConfigInvalid,
    ConnectionFailed,
    GramError,
    NoAnswer,
    NotFound,
    PuzzleInvalid,
    QueueFull,
    ResponseInvalid,
    ServerFailure,
    ServerUnavailable,
    StatusError,
    TimedOut,
    Unauthorized,
)
from gram_client._models import (
    Answer,
    BestAttempt,
    Completeness,
    First,
    Health,
    Issue,
    ModelInfo,
    PuzzleInfo,
    Solution,
    SolveResult,
    Usage,
    Violation,
)
from gram_client._protocol import Puzzle
from gram_client._version import __version__

__all__ = [
    "Answer",
    "AsyncClient",
    "BadRequest",
    "BestAttempt",
    "Client",
    "Completeness",
    "ConfigInvalid",
    "ConnectionFailed",
    "First",
    "GramError",
    "Health",
    "Issue",
    "ModelInfo",
    "NoAnswer",
    "NotFound",
    "Puzzle",
    "PuzzleInfo",
    "PuzzleInvalid",
    "QueueFull",
    "ResponseInvalid",
    "ServerFailure",
    "ServerUnavailable",
    "Solution",
    "SolveResult",
    "StatusError",
    "TimedOut",
    "Unauthorized",
    "Usage",
    "Violation",
    "__version__",
    "draw",
]
