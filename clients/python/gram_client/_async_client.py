"""The asynchronous client: the calls of the synchronous one, awaited.

The docstrings of ``Client`` and ``Jobs`` explain them.
"""

import asyncio
import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterable
from contextlib import aclosing
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar, Unpack, cast, overload

import httpx

from gram_client import _settings
from gram_client._calls import Configured, Flow, OnError, Reply, Sleep, Window
from gram_client._client import Client, Jobs, RawClient, RawJobs
from gram_client._errors import GramError
from gram_client._events import AnyEvent
from gram_client._inputs import Puzzle
from gram_client._job_models import JobSummary
from gram_client._models import SolveResult
from gram_client._options import CallOptions, ClientOptions, MapOptions
from gram_client._requests import RawResponse, Request
from gram_client._stream import EventStreamState

P = ParamSpec("P")
T = TypeVar("T")


def awaited(
    call: Callable[Concatenate[Any, P], T],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """Return a call of a synchronous class for its asynchronous one, whose ``_run`` is awaited."""

    @functools.wraps(call)
    async def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        answer: T = await cast("Any", call(self, *args, **kwargs))
        return answer

    return method


def streamed(
    call: Callable[Concatenate[Any, P], Generator[T]],
) -> Callable[Concatenate[Any, P], AsyncGenerator[T]]:
    """Return a stream of a synchronous class for its asynchronous one, likewise."""
    return cast("Callable[Concatenate[Any, P], AsyncGenerator[T]]", call)


class AsyncClient(Configured):
    """Talks to one server over one pool of connections; belongs to one event loop.

    Takes the arguments of ``Client`` and has its calls, awaited.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        http_client: httpx.AsyncClient | None = None,
        cancel_on_exit: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        **options: Unpack[ClientOptions],
    ) -> None:
        """The first call opens a connection."""
        super().__init__(_settings.resolve(base_url, api_key, **options))
        _settings.check_connections(http_client, httpx.AsyncClient)
        self._cancel_on_exit = cancel_on_exit
        self._sleep = sleep
        self._http = http_client or httpx.AsyncClient(verify=_settings.tls_context())

    solve = awaited(Client.solve)
    generate = awaited(Client.generate)
    solve_stream = streamed(Client.solve_stream)
    puzzles = awaited(Client.puzzles)
    models = awaited(Client.models)
    health = awaited(Client.health)

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
            flow = self._calls.solve_one_of_many(puzzle, options, on_error, window.patience)
            return asyncio.create_task(self._run(flow))

        try:
            for ready in window.run(puzzles, start):
                yield await ready
        finally:
            for task in window.open:
                task.cancel()
            await asyncio.gather(*window.open, return_exceptions=True)

    async def aclose(self) -> None:
        """Close the connections, after cancelling open jobs where ``cancel_on_exit`` is set."""
        if not self._owns_connections:
            return
        try:
            if self._cancel_on_exit:
                await self.jobs.cancel_open()
        finally:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.aclose()

    def _use(self, settings: _settings.Settings) -> None:
        super()._use(settings)
        self.jobs = AsyncJobs(self)
        self.with_raw_response = AsyncRawClient(self)

    async def _run(self, flow: Flow[T]) -> T:
        return (await self._run_raw(flow)).parsed

    async def _run_raw(self, flow: Flow[T]) -> RawResponse[T]:
        reply: Reply = None
        while True:
            try:
                step = flow.send(reply)
            except StopIteration as end:
                return RawResponse(end.value, cast("httpx.Response", reply))
            reply = await self._carry_out(step)

    async def _carry_out(self, step: Request | Sleep) -> Reply:
        if isinstance(step, Sleep):
            await self._sleep(step.seconds)
            return None
        try:
            return await self._http.send(step.build(self._http, self.settings))
        except httpx.RequestError as error:
            return error

    async def _follow(self, stream: EventStreamState) -> AsyncGenerator[AnyEvent]:
        while not stream.has_ended:
            failure: httpx.RequestError | None = None
            try:
                request = stream.request().build(self._http, self.settings)
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

    create = awaited(Jobs.create)
    create_batch = awaited(Jobs.create_batch)
    get = awaited(Jobs.get)
    wait = awaited(Jobs.wait)
    cancel = awaited(Jobs.cancel)
    events = streamed(Jobs.events)
    list = awaited(Jobs.list)
    cancel_open = awaited(Jobs.cancel_open)

    async def all(
        self, *, limit: int | None = None, **options: Unpack[CallOptions]
    ) -> AsyncGenerator[JobSummary]:
        """Yield every job of the API key, newest first; ``limit`` are asked for at a time."""
        cursor, is_first = None, True
        while is_first or cursor is not None:
            page = await self.list(limit=limit, cursor=cursor, **options)
            for job in page.jobs:
                yield job
            cursor, is_first = page.cursor, False


class AsyncRawClient:
    """The calls of ``AsyncClient``, which return their responses."""

    def __init__(self, client: AsyncClient) -> None:
        self._run = client._run_raw
        self._calls = client._calls
        self.jobs = AsyncRawJobs(self)

    solve = awaited(RawClient.solve)
    generate = awaited(RawClient.generate)
    puzzles = awaited(RawClient.puzzles)
    models = awaited(RawClient.models)
    health = awaited(RawClient.health)


class AsyncRawJobs:
    """The calls of ``AsyncJobs``, which return their responses."""

    def __init__(self, client: AsyncRawClient) -> None:
        self._run = client._run
        self._calls = client._calls

    create = awaited(RawJobs.create)
    create_batch = awaited(RawJobs.create_batch)
    get = awaited(RawJobs.get)
    wait = awaited(RawJobs.wait)
    cancel = awaited(RawJobs.cancel)
    list = awaited(RawJobs.list)
