"""What the clients send, without I/O: one function for each call."""

import hashlib
import secrets
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

import httpx

from gram_client._drawing import PuzzleShape
from gram_client._errors import ConfigInvalid
from gram_client._inputs import Puzzle, encode, encode_batch, text_or_body
from gram_client._options import GenerateOptions, JobOptions, SolveOptions, StreamOptions
from gram_client._settings import Settings, header_value
from gram_client._version import __version__

JSON = "application/json"
EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call, ready to be sent any number of times."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    shape: PuzzleShape = field(default_factory=PuzzleShape)
    """What drawing the answer needs to know of the puzzle."""
    hold_s: float = 0.0
    """Seconds that the server is asked to hold its answer back; patience begins after them."""
    timeout_s: float | None = None
    """Silence after which an attempt is given up, beside ``hold_s``; the client's where None."""

    def build(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """Return the request as httpx sends it."""
        timeout_s = http.timeout.read if self.timeout_s is None else self.timeout_s
        return http.build_request(
            self.method,
            self.path,
            params=self.params,
            headers=self.headers,
            content=self.content,
            timeout=self.hold_s + (timeout_s or 0.0),
        )


def default_headers(settings: Settings) -> dict[str, str]:
    """Return the headers that every call carries."""
    headers = {"User-Agent": f"gram-client/{__version__}"}
    if settings.api_key is not None:
        headers["Authorization"] = f"Bearer {settings.api_key}"
    return headers


def get_request(path: str) -> Request:
    """Return the request that reads a path."""
    return Request(method="GET", path=path, headers={"Accept": JSON})


def solve_request(
    puzzle: Puzzle, options: SolveOptions | StreamOptions, *, accept: str = JSON
) -> Request:
    """Return the request that solves a puzzle; without a seed one is drawn.

    The seed fixes the answer, so a repeated attempt repeats the same work.
    """
    content_type, content = encode(puzzle)
    known = StreamOptions if accept == EVENT_STREAM else SolveOptions
    return Request(
        method="POST",
        path="/solve",
        params=_params(options, known.__optional_keys__),
        headers={"Content-Type": content_type, "Accept": accept},
        content=content,
        shape=PuzzleShape.read(text_or_body(puzzle)),
    )


def generate_request(puzzle: str, options: GenerateOptions) -> Request:
    """Return the request that generates boards; without a seed one is drawn."""
    params = {"puzzle": puzzle, **_params(options, GenerateOptions.__optional_keys__)}
    return Request(method="POST", path="/generate", params=params, headers={"Accept": JSON})


def submit_request(puzzle: Puzzle, options: JobOptions, *, key: str | None = None) -> Request:
    """Return the request that hands in a job, under a key that makes it safe to repeat."""
    return _submission(*encode(puzzle), options, key)


def batch_request(
    puzzles: Iterable[Puzzle], options: JobOptions, *, key: str | None = None
) -> Request:
    """Return the request that hands in a batch."""
    return _submission(JSON, encode_batch(puzzles), options, key)


def job_request(job_id: str, *, method: str = "GET", wait_s: int = 0) -> Request:
    """Return the request that shows a job, at the latest after a while, or cancels it."""
    return Request(
        method=method,
        path=_job_path(job_id),
        params={"wait": str(wait_s)} if wait_s else {},
        headers={"Accept": JSON},
        hold_s=wait_s,
    )


def events_request(job_id: str, *, after: int = 0) -> Request:
    """Return the request that follows a job, from after an event that is known."""
    headers = {"Accept": EVENT_STREAM}
    if after:
        headers["Last-Event-ID"] = str(after)
    return Request(method="GET", path=f"{_job_path(job_id)}/events", headers=headers)


def list_request(*, limit: int | None, cursor: str | None) -> Request:
    """Return the request that lists jobs."""
    values = {"limit": limit, "cursor": cursor}
    params = {name: str(value) for name, value in values.items() if value is not None}
    return Request(method="GET", path="/jobs", params=params, headers={"Accept": JSON})


def _submission(content_type: str, content: bytes, options: JobOptions, key: str | None) -> Request:
    key = uuid.uuid4().hex if key is None else header_value("idempotency_key", key)
    headers = {"Content-Type": content_type, "Accept": JSON, "Idempotency-Key": key}
    # The seed follows from the key, so that both stand for the same work.
    params = _params(options, JobOptions.__optional_keys__, drawn_seed=_seed_of(key))
    return Request(method="POST", path="/jobs", params=params, headers=headers, content=content)


def _job_path(job_id: str) -> str:
    if not (isinstance(job_id, str) and job_id):
        raise ConfigInvalid(f"job_id={job_id!r}: must be the id of a job")
    return f"/jobs/{quote(job_id, safe='')}"


def _seed_of(key: str) -> int:
    """Return the seed, below 2**53, that belongs to an idempotency key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7]) >> 3


def _params(
    options: Mapping[str, object], known: frozenset[str], *, drawn_seed: int | None = None
) -> dict[str, str]:
    """Return the query of a call, with a seed; refuse options that the call does not have."""
    unknown = options.keys() - known
    if unknown:
        raise TypeError(f"unexpected options: {', '.join(sorted(unknown))}")
    seed = options.get("seed")
    if seed is None:
        seed = secrets.randbits(53) if drawn_seed is None else drawn_seed
    values = {**options, "seed": seed}
    return {name: _text(value) for name, value in values.items() if value is not None}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
