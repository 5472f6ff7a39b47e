"""Wakes the waiters of a job. Knows ids, but neither jobs nor the source of notices."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

MAX_PREREGISTERED = 1000
"""Limit of waiters opened before anyone waits; most of them are never used."""


class CompletionNotice(NamedTuple):
    """Notice that a job has ended."""

    record: bytes
    heard_s: float
    """``time.time()``."""


class Waiter:
    """Waits for news of one job."""

    def __init__(self, *, is_for_end: bool, is_preregistered: bool = False) -> None:
        self._news = asyncio.Event()
        self.is_for_end = is_for_end
        self.is_preregistered = is_preregistered
        """Whether it was opened before its job was queued: before news there is nothing to poll."""
        self.notice: CompletionNotice | None = None

    def expect(self) -> None:
        """Clear earlier news; to be called before polling."""
        self._news.clear()

    async def wait(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._news.wait()

    def wake(self, notice: CompletionNotice | None = None) -> None:
        self.notice = notice or self.notice
        self._news.set()


class Waiters:
    """The open waiters by job."""

    def __init__(self) -> None:
        self._open: dict[str, set[Waiter]] = {}
        # Oldest first.
        self._preregistered: dict[str, Waiter] = {}
        self.num_open = 0

    def preregister(self, job_id: str) -> None:
        """Open a waiter before its job is queued; the first to wait for the end takes it over."""
        self.drop(job_id)
        if len(self._preregistered) >= MAX_PREREGISTERED:
            self.drop(next(iter(self._preregistered)))
        waiter = self._preregistered[job_id] = Waiter(is_for_end=True, is_preregistered=True)
        self._add(job_id, waiter)

    def drop(self, job_id: str) -> None:
        """Drop a preregistered waiter, unless it has been taken over."""
        if waiter := self._preregistered.pop(job_id, None):
            self._remove(job_id, waiter)

    @contextmanager
    def open(self, job_id: str, *, is_for_end: bool = False) -> Iterator[Waiter]:
        """Open a waiter for news of a job, or for its end only."""
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
        for waiter in self._open.get(job_id, ()):
            if is_end or not waiter.is_for_end:
                waiter.wake(notice)

    def wake_all(self) -> None:
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
