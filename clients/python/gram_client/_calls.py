"""Every call without I/O, written once for both clients.

A call is a generator: it yields the requests to send and the pauses to make, receives the
responses, and returns its result. Of ``map``, the bound on concurrent work is here too.
"""

import copy
import json
import logging
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable
from dataclasses import dataclass, replace
from typing import Generic, Literal, Self, TypeVar, Unpack

import click
import httpx
from pydantic import BaseModel, ValidationError

from gram_client._drawing import PuzzleShape
from gram_client._errors import (
    ConfigInvalid,
    GramError,
    NoAnswer,
    ResponseInvalid,
    StatusError,
    TimedOut,
)
from gram_client._inputs import Graph, Puzzle, encode
from gram_client._job_models import Job, JobPage
from gram_client._models import GenerateResult, Response, SolveResult
from gram_client._options import (
    CallOptions,
    ClientOptions,
    GenerateOptions,
    JobOptions,
    MapOptions,
    SolveOptions,
    StreamOptions,
)
from gram_client._problems import no_answer, status_error
from gram_client._requests import (
    EVENT_STREAM,
    JSON,
    Request,
    job_path,
    plain,
    query,
    random_seed,
    request_id_of,
    seed_of,
    shown,
)
from gram_client._retry import DEFAULT_PATIENCE_S, Patience, Retry
from gram_client._server_models import Health, ModelInfo, ModelList, PuzzleInfo, PuzzleList
from gram_client._settings import Settings, header_value, is_dumb
from gram_client._stream import EventStreamState

logger = logging.getLogger(__name__)

DEFAULT_CONCURRENCY = 8
LONG_POLL_S = 20
"""Seconds that one request waits for the end of a job."""

T = TypeVar("T")
Item = TypeVar("Item")
Work = TypeVar("Work")
Read = TypeVar("Read", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Sleep:
    """A pause to make."""

    seconds: float


Reply = httpx.Response | httpx.RequestError | None
"""The response to a request; None after a pause."""
Flow = Generator[Request | Sleep, Reply, T]
OnError = Literal["raise", "return"]


def is_interruption(error: BaseException | None) -> bool:
    """Return whether Ctrl-C is behind an error; in the locks of threads it may become another."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


class Window(Generic[Work]):
    """Bounds concurrent work, and returns it in order."""

    def __init__(self, options: MapOptions) -> None:
        self.size = options.get("max_concurrency", DEFAULT_CONCURRENCY)
        if self.size < 1:
            raise ConfigInvalid(f"max_concurrency={self.size}: must be at least 1")
        self.patience = Patience(self.size * options.get("patience_s", DEFAULT_PATIENCE_S))
        self._has_bar = options.get("progress", False) and not is_dumb()
        self.open: deque[Work] = deque()

    def run(self, items: Iterable[Item], start: Callable[[Item], Work]) -> Generator[Work]:
        """Yield the oldest work whenever the window is full, then the rest."""
        if not self._has_bar:
            yield from self._run(items, start)
            return
        # The length of the bar: items without one are counted.
        counted: Collection[Item] = items if isinstance(items, Collection) else list(items)
        with click.progressbar(
            length=len(counted), label="solving", show_pos=True, file=sys.stderr
        ) as bar:
            for work in self._run(counted, start):
                yield work
                bar.update(1)

    def _run(self, items: Iterable[Item], start: Callable[[Item], Work]) -> Generator[Work]:
        failure, source = None, iter(items)
        while True:
            try:
                item = next(source)
            except StopIteration:
                break
            except Exception as error:
                # Where the items come from has failed: those before are solved all the same.
                failure = error
                break
            self.open.append(start(item))
            if len(self.open) >= self.size:
                yield self.open.popleft()
        while self.open:
            yield self.open.popleft()
        if failure is not None:
            raise failure


class Configured:
    """What both clients have: settings, calls, and copies with other settings."""

    _owns_connections = True

    def __init__(self, settings: Settings) -> None:
        self._open_jobs: set[str] = set()
        self._use(settings)

    def with_options(self, **options: Unpack[ClientOptions]) -> Self:
        """Return a client on the same connections with other options; it need not be closed.

        Args:
            options: See ``ClientOptions``; what is left out stays as it is.
        """
        old, new = self.settings.default_headers, options.get("default_headers")
        options["default_headers"] = {**(old or {}), **(new or {})}
        other = copy.copy(self)
        other._owns_connections = False
        other._use(replace(self.settings, **options))
        return other

    def _use(self, settings: Settings) -> None:
        self.settings = settings
        self._calls = Calls(settings, self._open_jobs)


class Calls:
    """The calls of one client; knows its settings, and the jobs it made that may still run."""

    def __init__(self, settings: Settings, open_jobs: set[str]) -> None:
        self._settings = settings
        self._retry = Retry(max_retries=settings.max_retries)
        self._open_jobs = open_jobs

    def solve(
        self,
        puzzle: Puzzle,
        options: SolveOptions,
        known: frozenset[str] = SolveOptions.__optional_keys__,
    ) -> Flow[SolveResult]:
        request = _solve_request(puzzle, options, known)
        return _read(SolveResult, (yield from self._send(request)), request.shape)

    def solve_stream(self, puzzle: Puzzle, options: StreamOptions) -> EventStreamState:
        request = _solve_request(puzzle, options, StreamOptions.__optional_keys__)
        request = replace(request, headers={**request.headers, "Accept": EVENT_STREAM})
        return EventStreamState(request, self._settings, self._retry, is_replayed=False)

    def solve_one_of_many(
        self, puzzle: Puzzle, options: MapOptions, on_error: OnError, patience: Patience
    ) -> Flow[SolveResult | GramError]:
        while True:
            try:
                result = yield from self.solve(puzzle, options, MapOptions.__optional_keys__)
            except GramError as error:
                delay_s = patience.delay_s(error)
                if delay_s is not None:
                    yield Sleep(delay_s)
                elif on_error == "raise":
                    raise
                else:
                    return error
            else:
                patience.waited_s = 0.0
                return result

    def generate(self, puzzle: str, options: GenerateOptions) -> Flow[GenerateResult]:
        params = query(options, GenerateOptions.__optional_keys__)
        params = {"puzzle": puzzle, "seed": random_seed(), **params}
        request = Request("POST", "/generate", params, options=options)
        return _read(GenerateResult, (yield from self._send(request)))

    def puzzles(self, options: CallOptions) -> Flow[list[PuzzleInfo]]:
        answer = yield from self._send(plain("GET", "/puzzles", options))
        return list(_read(PuzzleList, answer).puzzles)

    def models(self, options: CallOptions) -> Flow[list[ModelInfo]]:
        answer = yield from self._send(plain("GET", "/models", options))
        return list(_read(ModelList, answer).models)

    def health(self, options: CallOptions) -> Flow[Health]:
        answer = yield from self._attempt(plain("GET", "/readyz", options))
        if isinstance(answer, NoAnswer):
            raise answer
        if isinstance(answer, StatusError):
            health = Health(is_ready=False, reason=answer.detail)
            return health._of_request(answer.request_id)
        return Health(is_ready=True)._of_request(request_id_of(answer))

    def create_job(self, content_type: str, content: bytes, options: JobOptions) -> Flow[Job]:
        given = options.get("idempotency_key")
        key = uuid.uuid4().hex if given is None else header_value("idempotency_key", given)
        params = {"seed": seed_of(key), **query(options, JobOptions.__optional_keys__)}
        headers = {"Content-Type": content_type, "Idempotency-Key": key}
        job = yield from self.job(Request("POST", "/jobs", params, headers, content, options))
        if not job.is_final:
            self._open_jobs.add(job.id)
        return job

    def job(self, request: Request) -> Flow[Job]:
        job = _read(Job, (yield from self._send(request)))
        if job.is_final:
            self._open_jobs.discard(job.id)
        return job

    def wait_for_job(self, job_id: str, options: CallOptions) -> Flow[Job]:
        # That of the whole wait: each of its requests has the client's.
        timeout_s = options.get("timeout_s")
        options = {**options, "timeout_s": None}
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = LONG_POLL_S if until_s is None else until_s - time.monotonic()
            wait_s = max(0, min(LONG_POLL_S, int(left_s)))
            params = {"wait": str(wait_s)} if wait_s else {}
            request = plain("GET", job_path(job_id), options, params=params, hold_s=wait_s)
            job = yield from self.job(request)
            if job.is_final:
                return job
            if until_s is not None and time.monotonic() >= until_s:
                raise TimedOut(f"job {job_id} is still {job.state} after {timeout_s} s")
            if not wait_s:
                yield Sleep(min(0.1, max(0.0, left_s)))

    def job_events(self, job_id: str, after: int, options: CallOptions) -> EventStreamState:
        headers = {"Accept": EVENT_STREAM}
        if after:
            headers["Last-Event-ID"] = str(after)
        request = plain("GET", f"{job_path(job_id)}/events", options, headers=headers)
        return EventStreamState(request, self._settings, self._retry, is_replayed=True)

    def list_jobs(
        self, limit: int | None, cursor: str | None, options: CallOptions
    ) -> Flow[JobPage]:
        params = query({"limit": limit, "cursor": cursor}, frozenset({"limit", "cursor"}))
        answer = yield from self._send(plain("GET", "/jobs", options, params=params))
        return _read(JobPage, answer)

    def cancel_open_jobs(self) -> Flow[None]:
        for job_id in list(self._open_jobs):
            try:
                yield from self.job(Request("DELETE", job_path(job_id)))
            except GramError:
                # The client is closing: the job, if the server still has it, ends by itself.
                self._open_jobs.discard(job_id)

    def _send(self, request: Request) -> Flow[httpx.Response]:
        """Return a successful response, retrying where that may help; raise everything else."""
        attempt = 0
        while True:
            answer = yield from self._attempt(request)
            if isinstance(answer, httpx.Response):
                return answer
            delay_s = self._retry.delay_s(answer, attempt=attempt)
            if delay_s is None:
                raise answer
            logger.info("%s %s again in %.2f s", request.method, request.path, delay_s)
            yield Sleep(delay_s)
            attempt += 1

    def _attempt(self, request: Request) -> Flow[httpx.Response | NoAnswer | StatusError]:
        num_bytes, started_s = len(request.content or b""), time.perf_counter()
        logger.debug("%s %s %s, %d bytes", request.method, request.path, request.params, num_bytes)
        reply = yield request
        assert reply is not None
        answer: httpx.Response | NoAnswer | StatusError
        if isinstance(reply, httpx.RequestError):
            answer = no_answer(reply, self._settings)
        else:
            answer = reply if reply.is_success else status_error(reply)
        outcome = answer if isinstance(answer, GramError) else shown(answer)
        duration_ms = 1e3 * (time.perf_counter() - started_s)
        logger.info("%s %s in %.0f ms: %s", request.method, request.path, duration_ms, outcome)
        return answer


def _solve_request(puzzle: Puzzle, options: SolveOptions, known: frozenset[str]) -> Request:
    content_type, content = encode(puzzle)
    # As the server will read it: of a body, lists for tuples.
    posted = json.loads(content) if content_type == JSON else content.decode(errors="replace")
    return Request(
        "POST",
        "/solve",
        {"seed": random_seed(), **query(options, known)},
        {"Content-Type": content_type},
        content,
        options,
        shape=PuzzleShape(
            posted=posted, nodes=tuple(puzzle.nodes) if isinstance(puzzle, Graph) else ()
        ),
    )


def _read(kind: type[Read], response: httpx.Response, shape: PuzzleShape | None = None) -> Read:
    """Parse a response as ``kind``, whose answers can draw boards of a shape."""
    try:
        result = kind.model_validate_json(response.content, context=shape)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        message = f"{response.url.path} gave an unreadable answer: {where}: {first['msg']}"
        raise ResponseInvalid(
            message,
            status_code=response.status_code,
            body=response.content,
            request_id=request_id_of(response),
        ) from error
    if isinstance(result, Response):
        result._of_request(request_id_of(response))
    return result
