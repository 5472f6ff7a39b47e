"""Jobs that go on without their client, synchronously."""

import time
from collections.abc import Callable, Generator, Iterable
from typing import Protocol, Unpack

import httpx

from gram_client._course import Course
from gram_client._errors import GramError, NoAnswer, TimedOut
from gram_client._events import AnyEvent
from gram_client._inputs import Puzzle
from gram_client._models import Job, JobPage
from gram_client._options import JobOptions
from gram_client._protocol import (
    LONG_POLL_S,
    Request,
    batch_request,
    events_request,
    job_request,
    list_request,
    read,
    read_job,
    settle,
    submit_request,
)


class Send(Protocol):
    """Sends a request, again where that can help."""

    def __call__(
        self, request: Request, timeout_s: float | None = None
    ) -> httpx.Response | NoAnswer:
        """Return the answer."""
        ...


class Jobs:
    """What a client does under ``/jobs``."""

    def __init__(
        self, send: Send, follow: Callable[[Course, float | None], Generator[AnyEvent]]
    ) -> None:
        self._send = send
        self._follow = follow
        self._open: set[str] = set()

    def create(
        self,
        puzzle: Puzzle,
        *,
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Hand in a puzzle, and return its job at once.

        Args:
            puzzle: As in ``solve``.
            idempotency_key: Stands for this one job for a day; drawn where None, so that the
                call may be repeated after a lost answer.
            timeout_s: Replaces the client's for this call.
            options: As in ``solve``, ``decodes`` for its events, and ``priority``.
        """
        request = submit_request(puzzle, options, key=idempotency_key)
        return self._begin(read_job(self._send(request, timeout_s)))

    def create_batch(
        self,
        puzzles: Iterable[Puzzle],
        *,
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Hand in many puzzles as one job, accepted whole or refused whole."""
        request = batch_request(puzzles, options, key=idempotency_key)
        return self._begin(read_job(self._send(request, timeout_s)))

    def get(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """Return a job as it stands."""
        return self._note(read_job(self._send(job_request(job_id), timeout_s)))

    def wait(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """Return a job once it is final; raise ``TimedOut`` where that takes longer.

        Args:
            job_id: The job.
            timeout_s: How long to wait in all; None waits for as long as it takes.
        """
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = LONG_POLL_S if until_s is None else until_s - time.monotonic()
            wait_s = max(0, min(LONG_POLL_S, int(left_s)))
            request = job_request(job_id, wait_s=wait_s)
            job = self._note(read_job(self._send(request)))
            if job.is_final:
                return job
            if until_s is not None and time.monotonic() >= until_s:
                raise TimedOut(f"job {job_id} is still {job.state} after {timeout_s} s")
            if not wait_s:
                time.sleep(min(0.1, max(0.0, left_s)))

    def cancel(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """End a job that is not final yet, and return it; a final one stays as it is."""
        request = job_request(job_id, method="DELETE")
        return self._note(read_job(self._send(request, timeout_s)))

    def events(
        self, job_id: str, *, after: int = 0, timeout_s: float | None = None
    ) -> Generator[AnyEvent]:
        """Yield what happens to a job, from the start or after an event that is known.

        A connection that breaks is taken up where it was. Leaving the iterator ends nothing.

        Args:
            job_id: The job.
            after: Id of the last event that is known.
            timeout_s: Replaces the client's for this call; the server is never silent for long.
        """
        course = Course(events_request(job_id, after=after), is_replayed=True)
        return self._follow(course, timeout_s)

    def list(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        timeout_s: float | None = None,
    ) -> JobPage:
        """Return a part of the jobs of the API key, newest first; ``cursor`` turns the page."""
        request = list_request(limit=limit, cursor=cursor)
        return read(JobPage, settle(self._send(request, timeout_s)))

    def cancel_open(self) -> None:
        """Cancel the jobs made here that nobody saw end, as far as the server can be told."""
        for job_id in list(self._open):
            try:
                self.cancel(job_id)
            except GramError:
                # The client is closing: the job ends by itself, if the server still has it.
                self._open.discard(job_id)

    def _begin(self, job: Job) -> Job:
        self._open.add(job.id)
        return self._note(job)

    def _note(self, job: Job) -> Job:
        """Take note of whether a job is still to be cancelled at the end."""
        if job.is_final:
            self._open.discard(job.id)
        return job
