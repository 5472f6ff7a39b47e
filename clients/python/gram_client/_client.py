"""The synchronous client: performs the requests and pauses of ``_calls``."""

import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Literal, Self, TypeVar, Unpack, cast, overload

import httpx

from gram_client import _settings
from gram_client._calls import (
    Configured,
    Flow,
    OnError,
    Reply,
    Sleep,
    Window,
    is_interruption,
)
from gram_client._errors import GramError
from gram_client._events import AnyEvent
from gram_client._inputs import Puzzle, encode, encode_batch
from gram_client._job_models import Job, JobPage, JobSummary
from gram_client._models import GenerateResult, SolveResult
from gram_client._options import (
    CallOptions,
    ClientOptions,
    GenerateOptions,
    JobOptions,
    MapOptions,
    SolveOptions,
    StreamOptions,
)
from gram_client._requests import JSON, RawResponse, Request, job_path, plain, raw
from gram_client._server_models import Health, ModelInfo, PuzzleInfo
from gram_client._stream import EventStreamState

T = TypeVar("T")


class Client(Configured):
    """Talks to one server over one pool of connections; safe to share between threads.

    ``jobs`` has the calls under ``/jobs``, ``with_raw_response`` those that return their responses.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        http_client: httpx.Client | None = None,
        cancel_on_exit: bool = False,
        sleep: Callable[[float], object] = time.sleep,
        **options: Unpack[ClientOptions],
    ) -> None:
        """The first call opens a connection.

        Args:
            base_url: The server; ``GRAM_BASE_URL`` or http://127.0.0.1:8000 where None.
            api_key: Bearer token; ``GRAM_API_KEY`` where None.
            http_client: Carries the requests, for a proxy, certificates or tests; its timeouts are
                not used, and it is closed with this client.
            cancel_on_exit: Cancel, on closing, the jobs of this client that were not seen to end.
            sleep: Waits between attempts.
            options: See ``ClientOptions``.
        """
        super().__init__(_settings.resolve(base_url, api_key, **options))
        _settings.check_connections(http_client, httpx.Client)
        self._cancel_on_exit = cancel_on_exit
        self._sleep = sleep
        self._http = http_client or httpx.Client(verify=_settings.tls_context())

    def solve(self, puzzle: Puzzle, **options: Unpack[SolveOptions]) -> SolveResult:
        """Solve a puzzle; an unsolved one is a result too, see ``SolveResult.status``.

        Args:
            puzzle: Text, rows of numbers, a numpy array, a networkx graph, or a JSON body.
            options: See ``SolveOptions``.
        """
        return self._run(self._calls.solve(puzzle, options))

    def generate(
        self, puzzle: str = "sudoku", **options: Unpack[GenerateOptions]
    ) -> GenerateResult:
        """Generate valid boards; ``validity`` says how many trajectories ended in one.

        Args:
            puzzle: Name of the family.
            options: See ``GenerateOptions``.
        """
        return self._run(self._calls.generate(puzzle, options))

    def solve_stream(self, puzzle: Puzzle, **options: Unpack[StreamOptions]) -> Generator[AnyEvent]:
        """Solve a puzzle, and yield its events: accepted, solutions as they are found, done.

        After a broken connection the same work is requested again and continued. Leaving the
        iterator ends the work.

        Args:
            puzzle: As in ``solve``.
            options: See ``StreamOptions``.
        """
        return self._follow(self._calls.solve_stream(puzzle, options))

    @overload
    def map(
        self,
        puzzles: Iterable[Puzzle],
        *,
        on_error: Literal["raise"] = "raise",
        **options: Unpack[MapOptions],
    ) -> Generator[SolveResult]: ...

    @overload
    def map(
        self, puzzles: Iterable[Puzzle], *, on_error: OnError, **options: Unpack[MapOptions]
    ) -> Generator[SolveResult | GramError]: ...

    def map(
        self,
        puzzles: Iterable[Puzzle],
        *,
        on_error: OnError = "raise",
        **options: Unpack[MapOptions],
    ) -> Generator[SolveResult | GramError]:
        """Solve many puzzles, and yield their results in the order of the puzzles.

        Puzzles are taken only as they are solved, so there may be endlessly many. Leaving the
        iterator waits for those under way, Ctrl-C does not.

        Args:
            puzzles: As in ``solve``, any number.
            on_error: ``return`` yields the error in the place of the result.
            options: See ``MapOptions``.
        """
        window: Window[Future[SolveResult | GramError]] = Window(options)
        pool = ThreadPoolExecutor(window.size, thread_name_prefix="gram-map")

        def start(puzzle: Puzzle) -> Future[SolveResult | GramError]:
            flow = self._calls.solve_one_of_many(puzzle, options, on_error, window.patience)
            return pool.submit(self._run, flow)

        try:
            with closing(window.run(puzzles, start)) as work:
                for ready in work:
                    yield ready.result()
        except BaseException as error:
            # What is interrupted may hold a lock of the pool, which ends once it is forgotten.
            if not is_interruption(error):
                pool.shutdown(cancel_futures=True)
            raise
        pool.shutdown()

    def puzzles(self, **options: Unpack[CallOptions]) -> list[PuzzleInfo]:
        """Return the puzzle families the server knows."""
        return self._run(self._calls.puzzles(options))

    def models(self, **options: Unpack[CallOptions]) -> list[ModelInfo]:
        """Return the models the server has loaded."""
        return self._run(self._calls.models(options))

    def health(self, **options: Unpack[CallOptions]) -> Health:
        """Return whether the server takes work now; asks once and does not retry."""
        return self._run(self._calls.health(options))

    def close(self) -> None:
        """Close the connections, after cancelling open jobs where ``cancel_on_exit`` is set."""
        if not self._owns_connections:
            return
        try:
            if self._cancel_on_exit:
                self.jobs.cancel_open()
        finally:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _use(self, settings: _settings.Settings) -> None:
        super()._use(settings)
        self.jobs = Jobs(self)
        self.with_raw_response = RawClient(self)

    def _run(self, flow: Flow[T]) -> T:
        return self._run_raw(flow).parsed

    def _run_raw(self, flow: Flow[T]) -> RawResponse[T]:
        reply: Reply = None
        while True:
            try:
                step = flow.send(reply)
            except StopIteration as end:
                return RawResponse(end.value, cast("httpx.Response", reply))
            reply = self._carry_out(step)

    def _carry_out(self, step: Request | Sleep) -> Reply:
        if isinstance(step, Sleep):
            self._sleep(step.seconds)
            return None
        try:
            return self._http.send(step.build(self._http, self.settings))
        except httpx.RequestError as error:
            return error

    def _follow(self, stream: EventStreamState) -> Generator[AnyEvent]:
        while not stream.has_ended:
            failure: httpx.RequestError | None = None
            try:
                request = stream.request().build(self._http, self.settings)
                with closing(self._http.send(request, stream=True)) as response:
                    if not response.is_success:
                        response.read()
                    stream.open(response)
                    for chunk in response.iter_bytes():
                        yield from stream.feed(chunk)
            except httpx.RequestError as error:
                failure = error
            if not stream.has_ended:
                self._sleep(stream.closed_early(failure))


class Jobs:
    """The calls under ``/jobs``: work that continues without the client."""

    def __init__(self, client: Client) -> None:
        self._run = client._run
        self._follow = client._follow
        self._calls = client._calls

    def create(self, puzzle: Puzzle, **options: Unpack[JobOptions]) -> Job:
        """Submit a puzzle, and return its job at once.

        Args:
            puzzle: As in ``solve``.
            options: See ``JobOptions``.
        """
        return self._run(self._calls.create_job(*encode(puzzle), options))

    def create_batch(self, puzzles: Iterable[Puzzle], **options: Unpack[JobOptions]) -> Job:
        """Submit many puzzles as one job, accepted or refused as a whole."""
        return self._run(self._calls.create_job(JSON, encode_batch(puzzles), options))

    def get(self, job_id: str, **options: Unpack[CallOptions]) -> Job:
        """Return the current state of a job."""
        return self._run(self._calls.job(plain("GET", job_path(job_id), options)))

    def wait(self, job_id: str, **options: Unpack[CallOptions]) -> Job:
        """Return a job once it is final; raise ``TimedOut`` after ``timeout_s``.

        Args:
            job_id: The job.
            options: ``timeout_s`` is how long to wait in all, without it for as long as it takes.
        """
        return self._run(self._calls.wait_for_job(job_id, options))

    def cancel(self, job_id: str, **options: Unpack[CallOptions]) -> Job:
        """Cancel a job that is not final yet, and return it; a final one is unchanged."""
        return self._run(self._calls.job(plain("DELETE", job_path(job_id), options)))

    def events(
        self, job_id: str, *, after: int = 0, **options: Unpack[CallOptions]
    ) -> Generator[AnyEvent]:
        """Yield the events of a job, from the start or after a known event.

        A broken connection is resumed. Leaving the iterator does not end the job.

        Args:
            job_id: The job.
            after: Id of the last known event.
            options: See ``CallOptions``; the server is never silent for long.
        """
        return self._follow(self._calls.job_events(job_id, after, options))

    def list(
        self, *, limit: int | None = None, cursor: str | None = None, **options: Unpack[CallOptions]
    ) -> JobPage:
        """Return a page of the jobs of the API key, newest first, from ``cursor`` on."""
        return self._run(self._calls.list_jobs(limit, cursor, options))

    def all(
        self, *, limit: int | None = None, **options: Unpack[CallOptions]
    ) -> Generator[JobSummary]:
        """Yield every job of the API key, newest first; ``limit`` are asked for at a time."""
        cursor, is_first = None, True
        while is_first or cursor is not None:
            page = self.list(limit=limit, cursor=cursor, **options)
            yield from page.jobs
            cursor, is_first = page.cursor, False

    def cancel_open(self) -> None:
        """Cancel this client's jobs that were not seen to end; errors are ignored."""
        return self._run(self._calls.cancel_open_jobs())


class RawClient:
    """The calls of ``Client``, which return their responses."""

    def __init__(self, client: Client) -> None:
        self._run = client._run_raw
        self._calls = client._calls
        self.jobs = RawJobs(self)

    solve = raw(Client.solve)
    generate = raw(Client.generate)
    puzzles = raw(Client.puzzles)
    models = raw(Client.models)
    health = raw(Client.health)


class RawJobs:
    """The calls of ``Jobs``, which return their responses."""

    def __init__(self, client: RawClient) -> None:
        self._run = client._run
        self._calls = client._calls

    create = raw(Jobs.create)
    create_batch = raw(Jobs.create_batch)
    get = raw(Jobs.get)
    wait = raw(Jobs.wait)
    cancel = raw(Jobs.cancel)
    list = raw(Jobs.list)
