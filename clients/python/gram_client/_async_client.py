"""The asynchronous client: the calls of the synchronous one, awaited.

Its docstrings explain the arguments.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Literal, Self, TypeVar, Unpack, overload

import httpx

from gram_client import _settings
from gram_client._calls import Calls, Flow, OnError, Reply, Sleep
from gram_client._errors import GramError
from gram_client._events import AnyEvent
from gram_client._inputs import Puzzle
from gram_client._map import Window
from gram_client._models import (
    GenerateResult,
    Job,
    JobPage,
    SolveResult,
)
from gram_client._options import (
    GenerateOptions,
    JobOptions,
    MapOptions,
    SolveOptions,
    StreamOptions,
)
from gram_client._requests import Request, default_headers
from gram_client._server_models import Health, ModelInfo, PuzzleInfo
from gram_client._stream import EventStreamState

T = TypeVar("T")


class AsyncClient:
    """Talks to one server over one pool of connections; belongs to one event loop.

    Takes the arguments of ``Client`` and has its calls, awaited.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float = _settings.DEFAULT_TIMEOUT_S,
        max_retries: int = _settings.DEFAULT_MAX_RETRIES,
        cancel_on_exit: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """The first call opens a connection."""
        self.settings = _settings.resolve(
            base_url, api_key, timeout_s=timeout_s, max_retries=max_retries
        )
        self._calls = Calls(self.settings)
        self.jobs = AsyncJobs(self)
        self._cancel_on_exit = cancel_on_exit
        self._sleep = sleep
        self._http = httpx.AsyncClient(
            base_url=self.settings.base_url,
            headers=default_headers(self.settings),
            timeout=timeout_s,
            verify=_settings.tls_context(),
        )

    async def solve(self, puzzle: Puzzle, **options: Unpack[SolveOptions]) -> SolveResult:
        """Solve a puzzle; an unsolved one is a result too, see ``SolveResult.status``."""
        return await self._run(self._calls.solve(puzzle, options))

    async def generate(
        self, puzzle: str = "sudoku", **options: Unpack[GenerateOptions]
    ) -> GenerateResult:
        """Generate valid boards; ``validity`` says how many trajectories ended in one."""
        return await self._run(self._calls.generate(puzzle, options))

    def solve_stream(
        self, puzzle: Puzzle, **options: Unpack[StreamOptions]
    ) -> AsyncGenerator[AnyEvent]:
        """Solve a puzzle, and yield its events: accepted, solutions as they are found, done.

        After a broken connection the same work is requested again and continued. Leaving the
        iterator ends the work.
        """
        return self._follow(self._calls.solve_stream(puzzle, options))

    @overload
    def map(
        self,
        puzzles: Iterable[Puzzle],
        *,
        on_error: Literal["raise"] = "raise",
        **options: Unpack[MapOptions],
    ) -> AsyncGenerator[SolveResult]: ...

    @overload
    def map(
        self, puzzles: Iterable[Puzzle], *, on_error: OnError, **options: Unpack[MapOptions]
    ) -> AsyncGenerator[SolveResult | GramError]: ...

    async def map(
        self,
        puzzles: Iterable[Puzzle],
        *,
        on_error: OnError = "raise",
        **options: Unpack[MapOptions],
    ) -> AsyncGenerator[SolveResult | GramError]:
        """Solve many puzzles, and yield their results in the order of the puzzles.

        Puzzles are taken only as they are solved, so there may be endlessly many. Leaving the
        iterator cancels those under way.
        """
        window: Window[asyncio.Task[SolveResult | GramError]] = Window(options)

        def start(puzzle: Puzzle) -> asyncio.Task[SolveResult | GramError]:
            flow = self._calls.solve_one_of_many(puzzle, options, on_error)
            return asyncio.create_task(self._run(flow))

        try:
            for ready in window.run(puzzles, start):
                yield await ready
        finally:
            for task in window.open:
                task.cancel()
            await asyncio.gather(*window.open, return_exceptions=True)

    async def puzzles(self, *, timeout_s: float | None = None) -> list[PuzzleInfo]:
        """Return the puzzle families the server knows."""
        return await self._run(self._calls.puzzles(timeout_s))

    async def models(self, *, timeout_s: float | None = None) -> list[ModelInfo]:
        """Return the models the server has loaded."""
        return await self._run(self._calls.models(timeout_s))

    async def health(self, *, timeout_s: float | None = None) -> Health:
        """Return whether the server takes work now; asks once and does not retry."""
        return await self._run(self._calls.health(timeout_s))

    async def aclose(self) -> None:
        """Close the connections, after cancelling open jobs where ``cancel_on_exit`` is set."""
        try:
            if self._cancel_on_exit:
                await self.jobs.cancel_open()
        finally:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.aclose()

    async def _run(self, flow: Flow[T]) -> T:
        reply: Reply = None
        while True:
            try:
                step = flow.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = await self._carry_out(step)

    async def _carry_out(self, step: Request | Sleep) -> Reply:
        if isinstance(step, Sleep):
            await self._sleep(step.seconds)
            return None
        try:
            return await self._http.send(step.build(self._http))
        except httpx.RequestError as error:
            return error

    async def _follow(self, stream: EventStreamState) -> AsyncGenerator[AnyEvent]:
        while not stream.has_ended:
            failure: httpx.RequestError | None = None
            try:
                request = stream.request().build(self._http)
                response = await self._http.send(request, stream=True)
                async with aclosing(response):
                    if not response.is_success:
                        await response.aread()
                    stream.open(response)
                    async for chunk in response.aiter_bytes():
                        for event in stream.feed(chunk):
                            yield event
            except httpx.RequestError as error:
                failure = error
            if not stream.has_ended:
                await self._sleep(stream.closed_early(failure))


class AsyncJobs:
    """The calls under ``/jobs``, as in ``Jobs``: work that continues without the client."""

    def __init__(self, client: AsyncClient) -> None:
        self._run = client._run
        self._follow = client._follow
        self._calls = client._calls

    async def create(self, puzzle: Puzzle, **options: Unpack[JobOptions]) -> Job:
        """Submit a puzzle, and return its job at once."""
        return await self._run(self._calls.create_job(puzzle, options))

    async def create_batch(self, puzzles: Iterable[Puzzle], **options: Unpack[JobOptions]) -> Job:
        """Submit many puzzles as one job, accepted or refused as a whole."""
        return await self._run(self._calls.create_batch(puzzles, options))

    async def get(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """Return the current state of a job."""
        return await self._run(self._calls.get_job(job_id, timeout_s))

    async def wait(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """Return a job once it is final; raise ``TimedOut`` after ``timeout_s``."""
        return await self._run(self._calls.wait_for_job(job_id, timeout_s))

    async def cancel(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """Cancel a job that is not final yet, and return it; a final one is unchanged."""
        return await self._run(self._calls.cancel_job(job_id, timeout_s))

    def events(
        self, job_id: str, *, after: int = 0, timeout_s: float | None = None
    ) -> AsyncGenerator[AnyEvent]:
        """Yield the events of a job, from the start or after a known event.

        A broken connection is resumed. Leaving the iterator does not end the job.
        """
        return self._follow(self._calls.job_events(job_id, after, timeout_s))

    async def list(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        timeout_s: float | None = None,
    ) -> JobPage:
        """Return a page of the jobs of the API key, newest first, from ``cursor`` on."""
        return await self._run(self._calls.list_jobs(limit, cursor, timeout_s))

    async def cancel_open(self) -> None:
        """Cancel this client's jobs that were not seen to end; errors are ignored."""
        await self._run(self._calls.cancel_open_jobs())
