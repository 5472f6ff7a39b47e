"""A request as data, and the parts that several calls share."""

import hashlib
import secrets
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

import httpx

from gram_client._drawing import PuzzleShape
from gram_client._errors import ConfigInvalid
from gram_client._settings import Settings
from gram_client._version import __version__

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
LOCAL_OPTIONS = frozenset(
    {"timeout_s", "idempotency_key", "max_concurrency", "progress", "patience_s"}
)
"""Options of calls that are not sent in the query."""
OLD_NAMES = {"count": "count_solutions", "decodes": "show_trajectories", "clues": "reduce_clues"}


@dataclass(frozen=True, slots=True)
class Request:
    """One call, which can be sent repeatedly."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    timeout_s: float | None = None
    """Silence beyond ``hold_s`` after which an attempt is given up; the client's where None."""
    hold_s: float = 0.0
    """Seconds that the server may delay its response."""
    shape: PuzzleShape = field(default_factory=PuzzleShape)
    """What drawing the answer needs of the puzzle."""

    def build(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        timeout_s = http.timeout.read if self.timeout_s is None else self.timeout_s
        return http.build_request(
            self.method,
            self.path,
            params=self.params,
            headers={"Accept": JSON, **self.headers},
            content=self.content,
            timeout=self.hold_s + (timeout_s or 0.0),
        )


def default_headers(settings: Settings) -> dict[str, str]:
    headers = {"User-Agent": f"gram-client/{__version__}"}
    if settings.api_key is not None:
        headers["Authorization"] = f"Bearer {settings.api_key}"
    return headers


def job_path(job_id: str) -> str:
    if not (isinstance(job_id, str) and job_id):
        raise ConfigInvalid(f"job_id={job_id!r}: must be the id of a job")
    return f"/jobs/{quote(job_id, safe='')}"


def query(options: Mapping[str, object], known: frozenset[str]) -> dict[str, str]:
    """Return the query of a call; refuse unknown options."""
    unknown = options.keys() - known
    if unknown:
        raise TypeError(f"unexpected options: {', '.join(sorted(unknown))}")
    for old, new in OLD_NAMES.items():
        # generate has a count of its own.
        if old in options and new in known:
            message = f"the option {old} goes in version 0.3: use {new}"
            warnings.warn(message, DeprecationWarning, stacklevel=_caller_depth())
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in options.items()
        if value is not None and name not in LOCAL_OPTIONS
    }


def random_seed() -> str:
    """Return a seed for a call without one: it makes a repeated attempt repeat the same work."""
    return str(secrets.randbits(53))


def seed_of(key: str) -> str:
    """Return the seed that belongs to an idempotency key, so that both stand for the same work."""
    return str(int.from_bytes(hashlib.sha256(key.encode()).digest()[:7]) >> 3)


def _caller_depth() -> int:
    """Return the stack depth, seen from the caller, of the first frame outside the package."""
    depth, frame = 0, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("gram_client."):
        depth, frame = depth + 1, frame.f_back
    return depth + 1
