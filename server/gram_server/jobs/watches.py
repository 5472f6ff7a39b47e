"""Wakes those who wait for news of a job. Knows ids, and neither jobs nor where news come from."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

MAX_EARLY = 1000
"""Watches kept for jobs that nobody waits for yet; most jobs in hand are never waited for."""


class Told(NamedTuple):
    """What news say of a job that has ended."""

    record: bytes
    heard_s: float
    """``time.time()``."""


class Watch:
    """One who waits for news of one job."""

    def __init__(self, *, is_for_end: bool, is_early: bool = False) -> None:
        self._news = asyncio.Event()
        self.is_for_end = is_for_end
        self.is_early = is_early
        """Whether it began before the job did: without news there is nothing to look at."""
        self.told: Told | None = None

    def expect(self) -> None:
        """Take what happened so far as known; to be called before looking."""
        self._news.clear()

    async def wait(self, timeout_s: float) -> None:
        """Return at the next news, or after a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._news.wait()

    def wake(self, told: Told | None = None) -> None:
        """There is news."""
        self.told = told or self.told
        self._news.set()


class Watches:
    """All who wait, by job."""

    def __init__(self) -> None:
        self._open: dict[str, set[Watch]] = {}
        # A dict keeps the order in which they were begun.
        self._early: dict[str, Watch] = {}
        self.num_open = 0

    def begin(self, job_id: str) -> None:
        """Watch for the end of a job before it is queued; who waits for it first takes over."""
        self.drop(job_id)
        if len(self._early) >= MAX_EARLY:
            self.drop(next(iter(self._early)))
        watch = self._early[job_id] = Watch(is_for_end=True, is_early=True)
        self._add(job_id, watch)

    def drop(self, job_id: str) -> None:
        """Let go of what ``begin`` began, unless somebody has taken it over."""
        if watch := self._early.pop(job_id, None):
            self._remove(job_id, watch)

    @contextmanager
    def open(self, job_id: str, *, is_for_end: bool = False) -> Iterator[Watch]:
        """Wait for news of a job, or for its end only, for as long as the context lasts."""
        watch = self._early.pop(job_id, None) if is_for_end else None
        if watch is None:
            watch = Watch(is_for_end=is_for_end)
            self._add(job_id, watch)
        self.num_open += 1
        try:
            yield watch
        finally:
            self.num_open -= 1
            self._remove(job_id, watch)

    def wake(self, job_id: str, *, is_end: bool, told: Told | None = None) -> None:
        """Wake those who wait for what happened to a job, and tell them how it ended."""
        for watch in self._open.get(job_id, ()):
            if is_end or not watch.is_for_end:
                watch.wake(told)

    def wake_all(self) -> None:
        """Wake everyone."""
        for watches in self._open.values():
            for watch in watches:
                watch.wake()

    def _add(self, job_id: str, watch: Watch) -> None:
        self._open.setdefault(job_id, set()).add(watch)

    def _remove(self, job_id: str, watch: Watch) -> None:
        watches = self._open[job_id]
        watches.discard(watch)
        if not watches:
            self._open.pop(job_id)
