"""A request as data, its response, and the parts that several calls share."""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast
from urllib.parse import quote

import httpx

from gram_client._drawing import PuzzleShape
from gram_client._errors import ConfigInvalid
from gram_client._options import CallOptions
from gram_client._settings import CONNECT_S, Settings, header_value
from gram_client._version import __version__

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
LOCAL_OPTIONS = CallOptions.__optional_keys__ | frozenset(
    {"idempotency_key", "max_concurrency", "progress", "patience_s"}
)
"""Options of calls that are not sent in the query."""
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """One call, which can be sent repeatedly."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    options: CallOptions = field(default_factory=CallOptions)
    """Those of the call; its ``timeout_s`` begins after ``hold_s``."""
    hold_s: float = 0.0
    """Seconds that the server may delay its response."""
    shape: PuzzleShape = field(default_factory=PuzzleShape)
    """What drawing the answer needs of the puzzle."""

    def build(self, http: httpx.Client | httpx.AsyncClient, settings: Settings) -> httpx.Request:
        """Return the request for a pool of connections that may belong to the caller."""
        headers = httpx.Headers({"User-Agent": f"gram-client/{__version__}"})
        if settings.api_key is not None:
            headers["Authorization"] = f"Bearer {settings.api_key}"
        headers.update(settings.default_headers or {})
        headers.update({"Accept": JSON, **self.headers})
        for name, value in (self.options.get("extra_headers") or {}).items():
            headers[name] = header_value(name, value)
        timeout_s = self.options.get("timeout_s")
        total_s = self.hold_s + (settings.timeout_s if timeout_s is None else timeout_s)
        return http.build_request(
            self.method,
            settings.base_url.rstrip("/") + self.path,
            params=self.params,
            headers=headers,
            content=self.content,
            timeout=httpx.Timeout(total_s, connect=min(CONNECT_S, total_s)),
        )


@dataclass(frozen=True, slots=True)
class RawResponse(Generic[T]):
    """A response, with what was read from it."""

    parsed: T
    http_response: httpx.Response
    """The last one, where a call takes several."""

    def parse(self) -> T:
        """Return what the call itself returns."""
        return self.parsed

    @property
    def status_code(self) -> int:
        """Its status."""
        return self.http_response.status_code

    @property
    def headers(self) -> httpx.Headers:
        """Its headers."""
        return self.http_response.headers

    @property
    def request_id(self) -> str | None:
        """Id of the request in the server's log."""
        return request_id_of(self.http_response)


def raw(call: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], RawResponse[T]]:
    """Return a call for a class whose ``_run`` returns raw responses."""
    return cast("Callable[Concatenate[Any, P], RawResponse[T]]", call)


def request_id_of(response: httpx.Response) -> str | None:
    request_id: str | None = response.headers.get("X-Request-ID")
    return request_id


def shown(response: httpx.Response) -> str:
    """Return a response for the log."""
    return f"{response.status_code}, request {request_id_of(response)}"


def plain(method: str, path: str, options: CallOptions, **more: Any) -> Request:
    """Return a call without a puzzle; refuse unknown options."""
    query(options, CallOptions.__optional_keys__)
    return Request(method, path, options=options, **more)


def job_path(job_id: str) -> str:
    if not (isinstance(job_id, str) and job_id):
        raise ConfigInvalid(f"job_id={job_id!r}: must be the id of a job")
    return f"/jobs/{quote(job_id, safe='')}"


def query(options: Mapping[str, object], known: frozenset[str]) -> dict[str, str]:
    """Return the query of a call; refuse unknown options."""
    unknown = options.keys() - known
    if unknown:
        raise TypeError(f"unexpected options: {', '.join(sorted(unknown))}")
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
