"""The synchronous client: performs the requests and pauses of ``_calls``."""

import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Literal, Self, TypeVar, Unpack, overload

import httpx

from gram_client import _settings
from gram_client._calls import Calls, Flow, OnError, Reply, Sleep, Window
from gram_client._errors import GramError
from gram_client._events import AnyEvent
from gram_client._inputs import Puzzle, encode, encode_batch
from gram_client._models import GenerateResult, Job, JobPage, SolveResult
from gram_client._options import (
    GenerateOptions,
    JobOptions,
    MapOptions,
    SolveOptions,
    StreamOptions,
)
from gram_client._requests import JSON, Request, default_headers, job_path
from gram_client._server_models import Health, ModelInfo, PuzzleInfo
from gram_client._stream import EventStreamState

T = TypeVar("T")


class Client:
    """Talks to one server over one pool of connections; safe to share between threads."""

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float = _settings.DEFAULT_TIMEOUT_S,
        max_retries: int = _settings.DEFAULT_MAX_RETRIES,
        cancel_on_exit: bool = False,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """The first call opens a connection.

        Args:
            base_url: The server; ``GRAM_BASE_URL`` or http://127.0.0.1:8000 where None.
            api_key: Bearer token; ``GRAM_API_KEY`` where None.
            timeout_s: Silence after which an attempt is given up.
            max_retries: Attempts after the first, for failures that may be temporary.
            cancel_on_exit: Cancel, on closing, the jobs of this client that were not seen to end.
            sleep: Waits between attempts.
        """
        self.settings = _settings.resolve(
            base_url, api_key, timeout_s=timeout_s, max_retries=max_retries
        )
        self._calls = Calls(self.settings)
        self.jobs = Jobs(self)
        self._cancel_on_exit = cancel_on_exit
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=self.settings.base_url,
            headers=default_headers(self.settings),
            timeout=timeout_s,
            verify=_settings.tls_context(),
        )

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
        iterator waits for those under way.

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
            for ready in window.run(puzzles, start):
                yield ready.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def puzzles(self, *, timeout_s: float | None = None) -> list[PuzzleInfo]:
        """Return the puzzle families the server knows."""
        return self._run(self._calls.puzzles(timeout_s))

    def models(self, *, timeout_s: float | None = None) -> list[ModelInfo]:
        """Return the models the server has loaded."""
        return self._run(self._calls.models(timeout_s))

    def health(self, *, timeout_s: float | None = None) -> Health:
        """Return whether the server takes work now; asks once and does not retry."""
        return self._run(self._calls.health(timeout_s))

    def close(self) -> None:
        """Close the connections, after cancelling open jobs where ``cancel_on_exit`` is set."""
        try:
            if self._cancel_on_exit:
                self.jobs.cancel_open()
        finally:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _run(self, flow: Flow[T]) -> T:
        reply: Reply = None
        while True:
            try:
                step = flow.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = self._carry_out(step)

    def _carry_out(self, step: Request | Sleep) -> Reply:
        if isinstance(step, Sleep):
            self._sleep(step.seconds)
            return None
        try:
            return self._http.send(step.build(self._http))
        except httpx.RequestError as error:
            return error

    def _follow(self, stream: EventStreamState) -> Generator[AnyEvent]:
        while not stream.has_ended:
            failure: httpx.RequestError | None = None
            try:
                request = stream.request().build(self._http)
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

    def get(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """Return the current state of a job."""
        return self._run(self._calls.job(Request("GET", job_path(job_id), timeout_s=timeout_s)))

    def wait(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """Return a job once it is final; raise ``TimedOut`` after ``timeout_s``.

        Args:
            job_id: The job.
            timeout_s: How long to wait in all; None waits for as long as it takes.
        """
        return self._run(self._calls.wait_for_job(job_id, timeout_s))

    def cancel(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """Cancel a job that is not final yet, and return it; a final one is unchanged."""
        return self._run(self._calls.job(Request("DELETE", job_path(job_id), timeout_s=timeout_s)))

    def events(
        self, job_id: str, *, after: int = 0, timeout_s: float | None = None
    ) -> Generator[AnyEvent]:
        """Yield the events of a job, from the start or after a known event.

        A broken connection is resumed. Leaving the iterator does not end the job.

        Args:
            job_id: The job.
            after: Id of the last known event.
            timeout_s: Replaces the client's for this call; the server is never silent for long.
        """
        return self._follow(self._calls.job_events(job_id, after, timeout_s))

    def list(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        timeout_s: float | None = None,
    ) -> JobPage:
        """Return a page of the jobs of the API key, newest first, from ``cursor`` on."""
        return self._run(self._calls.list_jobs(limit, cursor, timeout_s))

    def cancel_open(self) -> None:
        """Cancel this client's jobs that were not seen to end; errors are ignored."""
        return self._run(self._calls.cancel_open_jobs())
