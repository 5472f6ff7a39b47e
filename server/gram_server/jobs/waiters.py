"""Wakes those who wait for news of a job. Knows ids, and neither jobs nor where news come from."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

MAX_PREREGISTERED = 1000
"""Waiters kept for jobs that nobody waits for yet; most jobs in hand are never waited for."""


class CompletionNotice(NamedTuple):
    """What news say of a job that has ended."""

    record: bytes
    heard_s: float
    """``time.time()``."""


class Waiter:
    """One who waits for news of one job."""

    def __init__(self, *, is_for_end: bool, is_preregistered: bool = False) -> None:
        self._news = asyncio.Event()
        self.is_for_end = is_for_end
        self.is_preregistered = is_preregistered
        """Whether it began before the job did: without news there is nothing to look at."""
        self.notice: CompletionNotice | None = None

    def expect(self) -> None:
        """Take what happened so far as known; to be called before looking."""
        self._news.clear()

    async def wait(self, timeout_s: float) -> None:
        """Return at the next news, or after a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._news.wait()

    def wake(self, notice: CompletionNotice | None = None) -> None:
        """There is news."""
        self.notice = notice or self.notice
        self._news.set()


class Waiters:
    """All who wait, by job."""

    def __init__(self) -> None:
        self._open: dict[str, set[Waiter]] = {}
        # A dict keeps the order in which they were begun.
        self._preregistered: dict[str, Waiter] = {}
        self.num_open = 0

    def preregister(self, job_id: str) -> None:
        """Waiter for the end of a job before it is queued; who waits for it first takes over."""
        self.drop(job_id)
        if len(self._preregistered) >= MAX_PREREGISTERED:
            self.drop(next(iter(self._preregistered)))
        waiter = self._preregistered[job_id] = Waiter(is_for_end=True, is_preregistered=True)
        self._add(job_id, waiter)

    def drop(self, job_id: str) -> None:
        """Let go of what ``begin`` began, unless somebody has taken it over."""
        if waiter := self._preregistered.pop(job_id, None):
            self._remove(job_id, waiter)

    @contextmanager
    def open(self, job_id: str, *, is_for_end: bool = False) -> Iterator[Waiter]:
        """Wait for news of a job, or for its end only, for as long as the context lasts."""
        waiter = self._preregistered.pop(job_id, None) if is_for_end else None
        if waiter is None:
            waiter = Waiter(is_for_end=is_for_end)
            self._add(job_id, waiter)
        self.num_open += 1
        try:
            yield waiter
        finally:
            self.num_open -= 1
            self._remove(job_id, waiter)

    def wake(self, job_id: str, *, is_end: bool, notice: CompletionNotice | None = None) -> None:
        """Wake those who wait for what happened to a job, and tell them how it ended."""
        for waiter in self._open.get(job_id, ()):
            if is_end or not waiter.is_for_end:
                waiter.wake(notice)

    def wake_all(self) -> None:
        """Wake everyone."""
        for waiters in self._open.values():
            for waiter in waiters:
                waiter.wake()

    def _add(self, job_id: str, waiter: Waiter) -> None:
        self._open.setdefault(job_id, set()).add(waiter)

    def _remove(self, job_id: str, waiter: Waiter) -> None:
        waiters = self._open[job_id]
        waiters.discard(waiter)
        if not waiters:
            self._open.pop(job_id)
