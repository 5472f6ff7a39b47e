"""The asynchronous client: the same calls as the synchronous one, awaited."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from types import TracebackType
from typing import Self, Unpack

import httpx

from gram_client import _settings
from gram_client._async_jobs import AsyncJobs
from gram_client._course import Course
from gram_client._errors import GramError, NoAnswer
from gram_client._events import AnyEvent
from gram_client._inputs import Puzzle
from gram_client._map import DEFAULT_CONCURRENCY, Mapped, OnError, Window, bar
from gram_client._models import (
    GenerateResult,
    Health,
    ModelInfo,
    ModelList,
    PuzzleInfo,
    PuzzleList,
    SolveResult,
)
from gram_client._options import Clues, Count, Fallback, Halt, SolveOptions, Stop, StreamOptions
from gram_client._protocol import (
    EVENT_STREAM,
    Request,
    default_headers,
    failure_of,
    generate_request,
    get_request,
    no_answer,
    read,
    read_health,
    read_result,
    settle,
    solve_request,
)
from gram_client._retry import Outcome, Retry


class AsyncClient:
    """Talks to one server over one pool of connections; belongs to one event loop."""

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
        """Open no connection yet.

        Args:
            base_url: The server; ``GRAM_BASE_URL`` or http://127.0.0.1:8000 where None.
            api_key: Bearer token; ``GRAM_API_KEY`` where None.
            timeout_s: Silence after which an attempt is given up.
            max_retries: Attempts after the first, for failures that a repetition can help.
            cancel_on_exit: Cancel the jobs made here that nobody saw end, when the client closes.
            sleep: Waits between attempts.
        """
        self.settings = _settings.resolve(
            base_url, api_key, timeout_s=timeout_s, max_retries=max_retries
        )
        self.jobs = AsyncJobs(self._send, self._follow)
        self._cancel_on_exit = cancel_on_exit
        self._retry = Retry(max_retries=max_retries)
        self._sleep = sleep
        self._http = httpx.AsyncClient(
            base_url=self.settings.base_url,
            headers=default_headers(self.settings),
            timeout=timeout_s,
        )

    async def solve(
        self,
        puzzle: Puzzle,
        *,
        width: int = 16,
        depth: int | None = None,
        max_solutions: int | None = None,
        deadline_ms: int | None = None,
        seed: int | None = None,
        augment: bool = True,
        halt: Halt = "verified",
        fallback: Fallback = "none",
        count: Count = "none",
        model: str | None = None,
        timeout_s: float | None = None,
    ) -> SolveResult:
        """Solve a puzzle; a puzzle nobody solved is a result too, see ``SolveResult.status``.

        Args:
            puzzle: Text, rows of numbers, a numpy array, a networkx graph, or a JSON body.
            width: Trajectories to sample.
            depth: Supervision steps a trajectory may take; the model's default where None.
            max_solutions: Stop at this many distinct solutions; None explores the whole width.
            deadline_ms: Return what there is after this time.
            seed: Repeats an earlier call; drawn where None, so that retries repeat their work.
            augment: Let each trajectory look at its own symmetry view of the puzzle.
            halt: When a trajectory leaves before ``depth``.
            fallback: ``exact`` answers by exact search where no trajectory did.
            count: ``exact`` fills ``completeness.total``.
            model: Name of the model; the puzzle's own where None.
            timeout_s: Replaces the client's for this call.
        """
        request = solve_request(
            puzzle,
            {
                "width": width,
                "depth": depth,
                "max_solutions": max_solutions,
                "deadline_ms": deadline_ms,
                "seed": seed,
                "augment": augment,
                "halt": halt,
                "fallback": fallback,
                "count": count,
                "model": model,
            },
        )
        return read_result(await self._send(request, timeout_s), request.posted)

    async def generate(
        self,
        puzzle: str = "sudoku",
        *,
        count: int = 1,
        size: int | None = None,
        distinct: bool = True,
        clues: Clues = "none",
        max_trajectories: int | None = None,
        depth: int | None = None,
        halt: Stop = "verified",
        augment: bool = False,
        deadline_ms: int | None = None,
        seed: int | None = None,
        model: str | None = None,
        timeout_s: float | None = None,
    ) -> GenerateResult:
        """Make up valid boards; ``validity`` says how many trajectories ended in one.

        Args:
            puzzle: Name of the family.
            count: Boards to return.
            size: Side of the boards; the largest that a loaded model makes where None.
            distinct: Return no board twice.
            clues: ``unique``, or a number of clues to stop at, thins each board to a puzzle whose
                only solution it is.
            max_trajectories: Trajectories to sample at most.
            depth: Supervision steps a trajectory may take; the model's default where None.
            halt: When a trajectory leaves before ``depth``.
            augment: Show each board through a symmetry of its own.
            deadline_ms: Return what there is after this time.
            seed: Repeats an earlier call; drawn where None, so that retries repeat their work.
            model: Name of the model; one trained to make up boards where None.
            timeout_s: Replaces the client's for this call.
        """
        request = generate_request(
            {
                "puzzle": puzzle,
                "count": count,
                "size": size,
                "distinct": distinct,
                "clues": clues,
                "max_trajectories": max_trajectories,
                "depth": depth,
                "halt": halt,
                "augment": augment,
                "deadline_ms": deadline_ms,
                "seed": seed,
                "model": model,
            }
        )
        return read(GenerateResult, settle(await self._send(request, timeout_s)))

    def solve_stream(
        self,
        puzzle: Puzzle,
        *,
        timeout_s: float | None = None,
        **options: Unpack[StreamOptions],
    ) -> AsyncGenerator[AnyEvent]:
        """Solve a puzzle, and yield what happens: accepted, solutions as they are found, done.

        Where the connection breaks, the same work is asked for again and goes on from there.
        Leaving the iterator ends the work.

        Args:
            puzzle: As in ``solve``.
            timeout_s: Replaces the client's for this call; the server is never silent for long.
            options: As in ``solve``, and ``decodes``.
        """
        request = solve_request(puzzle, options, accept=EVENT_STREAM)
        return self._follow(Course(request, is_replayed=False), timeout_s)

    async def map(
        self,
        puzzles: Iterable[Puzzle],
        *,
        max_concurrency: int = DEFAULT_CONCURRENCY,
        progress: bool = False,
        on_error: OnError = "raise",
        timeout_s: float | None = None,
        **options: Unpack[SolveOptions],
    ) -> AsyncGenerator[Mapped]:
        """Solve many puzzles, and yield their results in the order of the puzzles.

        No more puzzles are taken than are being solved, so that their number has no bound. Who
        leaves the iterator gives up those under way.

        Args:
            puzzles: As in ``solve``, any number.
            max_concurrency: Puzzles that are being solved at once.
            progress: Show a bar on standard error.
            on_error: ``return`` yields the error in the place of the result.
            timeout_s: Replaces the client's for each puzzle.
            options: As in ``solve``, the same for all.
        """
        window: Window[asyncio.Task[Mapped]] = Window(max_concurrency)

        async def attempt(puzzle: Puzzle) -> Mapped:
            try:
                return await self.solve(puzzle, timeout_s=timeout_s, **options)
            except GramError as error:
                if on_error == "raise":
                    raise
                return error

        def start(puzzle: Puzzle) -> asyncio.Task[Mapped]:
            return asyncio.create_task(attempt(puzzle))

        try:
            with bar(puzzles, is_shown=progress) as (items, step):
                for ready in window.run(items, start):
                    result = await ready
                    step()
                    yield result
        finally:
            for task in window.open:
                task.cancel()
            await asyncio.gather(*window.open, return_exceptions=True)

    async def puzzles(self, *, timeout_s: float | None = None) -> list[PuzzleInfo]:
        """Return the puzzle families the server knows."""
        answer = settle(await self._send(get_request("/puzzles"), timeout_s))
        return list(read(PuzzleList, answer).puzzles)

    async def models(self, *, timeout_s: float | None = None) -> list[ModelInfo]:
        """Return the models the server has loaded."""
        answer = settle(await self._send(get_request("/models"), timeout_s))
        return list(read(ModelList, answer).models)

    async def health(self, *, timeout_s: float | None = None) -> Health:
        """Say whether the server takes work now; asks once and does not retry."""
        return read_health(await self._attempt(get_request("/readyz"), timeout_s))

    async def aclose(self) -> None:
        """Close the connections, after cancelling jobs where that was asked for."""
        try:
            if self._cancel_on_exit:
                await self.jobs.cancel_open()
        finally:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _send(
        self, request: Request, timeout_s: float | None = None
    ) -> httpx.Response | NoAnswer:
        attempt = 0
        while True:
            outcome = await self._attempt(request, timeout_s)
            delay_s = self._retry.delay_s(outcome, attempt=attempt)
            if delay_s is None:
                return outcome
            await self._sleep(delay_s)
            attempt += 1

    async def _attempt(
        self, request: Request, timeout_s: float | None
    ) -> httpx.Response | NoAnswer:
        try:
            return await self._http.send(self._written(request, timeout_s))
        except httpx.RequestError as error:
            return no_answer(error, self.settings)

    async def _follow(self, course: Course, timeout_s: float | None) -> AsyncGenerator[AnyEvent]:
        """Yield the events of a stream, over as many connections as it takes."""
        attempt = 0
        while not course.has_ended():
            outcome: Outcome
            try:
                response = await self._http.send(
                    self._written(course.request(), timeout_s), stream=True
                )
                async with aclosing(response):
                    if not response.is_success:
                        await response.aread()
                        outcome = response
                    else:
                        course.open(response)
                        async for chunk in response.aiter_bytes():
                            for event in course.feed(chunk):
                                attempt = 0
                                yield event
                        outcome = course.broke()
            except httpx.RequestError as error:
                outcome = no_answer(error, self.settings)
            if course.has_ended():
                return
            delay_s = self._retry.delay_s(outcome, attempt=attempt)
            if delay_s is None:
                raise failure_of(outcome)
            await self._sleep(delay_s)
            attempt += 1

    def _written(self, request: Request, timeout_s: float | None) -> httpx.Request:
        return self._http.build_request(
            request.method,
            request.path,
            params=request.params,
            headers=request.headers,
            content=request.content,
            timeout=request.hold_s + (self.settings.timeout_s if timeout_s is None else timeout_s),
        )
