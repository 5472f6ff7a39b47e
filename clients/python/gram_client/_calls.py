"""Every call without I/O, written once for both clients.

A call is a generator. It yields the requests to send and the pauses to make, is sent the answers,
and returns its result. The clients only carry out what it yields.
"""

import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from gram_client._drawing import PuzzleShape
from gram_client._errors import GramError, NoAnswer, ResponseInvalid, StatusError, TimedOut
from gram_client._inputs import Puzzle
from gram_client._models import (
    GenerateResult,
    Health,
    Job,
    JobPage,
    ModelInfo,
    ModelList,
    PuzzleInfo,
    PuzzleList,
    SolveResult,
)
from gram_client._options import GenerateOptions, JobOptions, SolveOptions, StreamOptions
from gram_client._problems import no_answer, status_error
from gram_client._requests import (
    EVENT_STREAM,
    Request,
    batch_request,
    events_request,
    generate_request,
    get_request,
    job_request,
    list_request,
    solve_request,
    submit_request,
)
from gram_client._retry import Retry
from gram_client._settings import Settings
from gram_client._stream import EventStreamState

LONG_POLL_S = 20
"""How long the server is asked to wait for the end of a job, again and again."""

T = TypeVar("T")
Read = TypeVar("Read", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Sleep:
    """A pause to make."""

    seconds: float


Reply = httpx.Response | httpx.RequestError | None
"""What came of a request; None after a pause."""
Flow = Generator[Request | Sleep, Reply, T]
OnError = Literal["raise", "return"]


class Calls:
    """The calls of one client; knows its settings, and the jobs it made that may still run."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._retry = Retry(max_retries=settings.max_retries)
        self._open_jobs: set[str] = set()

    def solve(
        self, puzzle: Puzzle, options: SolveOptions, timeout_s: float | None
    ) -> Flow[SolveResult]:
        request = solve_request(puzzle, options)
        answer = yield from self._send(request, timeout_s)
        return _read(SolveResult, answer, request.shape)

    def solve_one_of_many(
        self, puzzle: Puzzle, options: SolveOptions, timeout_s: float | None, on_error: OnError
    ) -> Flow[SolveResult | GramError]:
        try:
            return (yield from self.solve(puzzle, options, timeout_s))
        except GramError as error:
            if on_error == "raise":
                raise
            return error

    def generate(
        self, puzzle: str, options: GenerateOptions, timeout_s: float | None
    ) -> Flow[GenerateResult]:
        request = generate_request(puzzle, options)
        return _read(GenerateResult, (yield from self._send(request, timeout_s)))

    def solve_stream(
        self, puzzle: Puzzle, options: StreamOptions, timeout_s: float | None
    ) -> EventStreamState:
        request = solve_request(puzzle, options, accept=EVENT_STREAM)
        return self._stream(request, timeout_s, is_replayed=False)

    def puzzles(self, timeout_s: float | None) -> Flow[list[PuzzleInfo]]:
        answer = yield from self._send(get_request("/puzzles"), timeout_s)
        return list(_read(PuzzleList, answer).puzzles)

    def models(self, timeout_s: float | None) -> Flow[list[ModelInfo]]:
        answer = yield from self._send(get_request("/models"), timeout_s)
        return list(_read(ModelList, answer).models)

    def health(self, timeout_s: float | None) -> Flow[Health]:
        answer = yield from self._attempt(replace(get_request("/readyz"), timeout_s=timeout_s))
        if isinstance(answer, NoAnswer):
            raise answer
        if isinstance(answer, StatusError):
            return Health(is_ready=False, reason=answer.detail)
        return Health(is_ready=True)

    def create_job(
        self, puzzle: Puzzle, options: JobOptions, key: str | None, timeout_s: float | None
    ) -> Flow[Job]:
        request = submit_request(puzzle, options, key=key)
        return (yield from self._job(request, timeout_s))

    def create_batch(
        self,
        puzzles: Iterable[Puzzle],
        options: JobOptions,
        key: str | None,
        timeout_s: float | None,
    ) -> Flow[Job]:
        request = batch_request(puzzles, options, key=key)
        return (yield from self._job(request, timeout_s))

    def get_job(self, job_id: str, timeout_s: float | None) -> Flow[Job]:
        return (yield from self._job(job_request(job_id), timeout_s))

    def cancel_job(self, job_id: str, timeout_s: float | None = None) -> Flow[Job]:
        return (yield from self._job(job_request(job_id, method="DELETE"), timeout_s))

    def wait_for_job(self, job_id: str, timeout_s: float | None) -> Flow[Job]:
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = LONG_POLL_S if until_s is None else until_s - time.monotonic()
            wait_s = max(0, min(LONG_POLL_S, int(left_s)))
            job = yield from self._job(job_request(job_id, wait_s=wait_s), None)
            if job.is_final:
                return job
            if until_s is not None and time.monotonic() >= until_s:
                raise TimedOut(f"job {job_id} is still {job.state} after {timeout_s} s")
            if not wait_s:
                yield Sleep(min(0.1, max(0.0, left_s)))

    def job_events(self, job_id: str, after: int, timeout_s: float | None) -> EventStreamState:
        return self._stream(events_request(job_id, after=after), timeout_s, is_replayed=True)

    def list_jobs(
        self, limit: int | None, cursor: str | None, timeout_s: float | None
    ) -> Flow[JobPage]:
        answer = yield from self._send(list_request(limit=limit, cursor=cursor), timeout_s)
        return _read(JobPage, answer)

    def cancel_open_jobs(self) -> Flow[None]:
        for job_id in list(self._open_jobs):
            try:
                yield from self.cancel_job(job_id)
            except GramError:
                # The client is closing: the job ends by itself, if the server still has it.
                self._open_jobs.discard(job_id)

    def _job(self, request: Request, timeout_s: float | None) -> Flow[Job]:
        job = _read(Job, (yield from self._send(request, timeout_s)))
        if job.is_final:
            self._open_jobs.discard(job.id)
        elif request.method == "POST":
            self._open_jobs.add(job.id)
        return job

    def _stream(
        self, request: Request, timeout_s: float | None, *, is_replayed: bool
    ) -> EventStreamState:
        request = replace(request, timeout_s=timeout_s)
        return EventStreamState(request, self._settings, self._retry, is_replayed=is_replayed)

    def _send(self, request: Request, timeout_s: float | None) -> Flow[httpx.Response]:
        """Return a successful answer, after as many attempts as help; raise everything else."""
        request = replace(request, timeout_s=timeout_s)
        attempt = 0
        while True:
            answer = yield from self._attempt(request)
            if isinstance(answer, httpx.Response):
                return answer
            delay_s = self._retry.delay_s(answer, attempt=attempt)
            if delay_s is None:
                raise answer
            yield Sleep(delay_s)
            attempt += 1

    def _attempt(self, request: Request) -> Flow[httpx.Response | NoAnswer | StatusError]:
        reply = yield request
        assert reply is not None
        if isinstance(reply, httpx.RequestError):
            return no_answer(reply, self._settings)
        return reply if reply.is_success else status_error(reply)


def _read(kind: type[Read], response: httpx.Response, shape: PuzzleShape | None = None) -> Read:
    """Return the answer's JSON as an instance of ``kind``, which can draw boards of a shape."""
    try:
        return kind.model_validate_json(response.content, context=shape)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        message = f"{response.url.path} gave an unreadable answer: {where}: {first['msg']}"
        raise ResponseInvalid(
            message, status_code=response.status_code, body=response.content
        ) from error
