"""Client for gram-server: ``Client`` and ``AsyncClient``, typed results, one error tree."""

import warnings
from typing import Any

from gram_client import _deprecated_errors
from gram_client._async_client import AsyncClient, AsyncJobs
from gram_client._client import Client, Jobs
from gram_client._drawing import Answer, Grid, draw
from gram_client._errors import (
    BadRequest,
    ConfigInvalid,
    ConnectionFailed,
    GramError,
    NoAnswer,
    NotFound,
    PuzzleUnusable,
    ResponseInvalid,
    ServerFailure,
    ServerUnavailable,
    StatusError,
    TimedOut,
    TooManyRequests,
    Unauthorized,
)
from gram_client._events import Accepted, AnyEvent, Done, Found, PartEnded, Progress, TrajectoryView
from gram_client._inputs import Puzzle
from gram_client._job_models import BatchProgress, Job, JobFailure, JobPage, JobSummary
from gram_client._models import (
    BestAttempt,
    Board,
    Completeness,
    First,
    GenerateResult,
    Solution,
    SolveResult,
    Unsolvable,
    Usage,
    Violation,
)
from gram_client._options import (
    CallOptions,
    ClientOptions,
    GenerateOptions,
    JobOptions,
    MapOptions,
    SolveOptions,
    StreamOptions,
)
from gram_client._requests import RawResponse
from gram_client._server_models import Health, Issue, ModelInfo, PuzzleInfo
from gram_client._version import __version__
from gram_files import Entry, Unread, read_file

__all__ = [
    "Accepted",
    "Answer",
    "AnyEvent",
    "AsyncClient",
    "AsyncJobs",
    "BadRequest",
    "BatchProgress",
    "BestAttempt",
    "Board",
    "CallOptions",
    "Client",
    "ClientOptions",
    "Completeness",
    "ConfigInvalid",
    "ConnectionFailed",
    "Done",
    "Entry",
    "First",
    "Found",
    "GenerateOptions",
    "GenerateResult",
    "GramError",
    "Grid",
    "Health",
    "Issue",
    "Job",
    "JobFailure",
    "JobOptions",
    "JobPage",
    "JobSummary",
    "Jobs",
    "MapOptions",
    "ModelInfo",
    "NoAnswer",
    "NotFound",
    "PartEnded",
    "Progress",
    "Puzzle",
    "PuzzleInfo",
    "PuzzleUnusable",
    "RawResponse",
    "ResponseInvalid",
    "ServerFailure",
    "ServerUnavailable",
    "Solution",
    "SolveOptions",
    "SolveResult",
    "StatusError",
    "StreamOptions",
    "TimedOut",
    "TooManyRequests",
    "TrajectoryView",
    "Unauthorized",
    "Unread",
    "Unsolvable",
    "Usage",
    "Violation",
    "__version__",
    "draw",
    "read_file",
]


def __getattr__(name: str) -> Any:
    """Return the object that had this name in version 0.1."""
    kind = _deprecated_errors.CLASSES.get(name)
    if kind is not None:
        instead = f"catch {kind.__bases__[0].__name__} and look for code {kind.code!r}"
    elif name == "Sight":
        instead = "use TrajectoryView"
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(f"gram_client.{name} goes in 0.3: {instead}", DeprecationWarning, stacklevel=2)
    return kind or TrajectoryView
