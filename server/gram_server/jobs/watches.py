"""Wakes those who wait for news of a job. Knows ids, and neither jobs nor where news come from."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Watch:
    """One who waits for news of one job."""

    def __init__(self, *, is_for_end: bool) -> None:
        self._news = asyncio.Event()
        self.is_for_end = is_for_end

    def expect(self) -> None:
        """Take what happened so far as known; to be called before looking."""
        self._news.clear()

    async def wait(self, timeout_s: float) -> None:
        """Return at the next news, or after a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._news.wait()

    def wake(self) -> None:
        """There is news."""
        self._news.set()


class Watches:
    """All who wait, by job."""

    def __init__(self) -> None:
        self._open: dict[str, set[Watch]] = {}
        self.num_open = 0

    @contextmanager
    def open(self, job_id: str, *, is_for_end: bool = False) -> Iterator[Watch]:
        """Wait for news of a job, or for its end only, for as long as the context lasts."""
        watch = Watch(is_for_end=is_for_end)
        watches = self._open.setdefault(job_id, set())
        watches.add(watch)
        self.num_open += 1
        try:
            yield watch
        finally:
            self.num_open -= 1
            watches.discard(watch)
            if not watches:
                self._open.pop(job_id, None)

    def wake(self, job_id: str, *, is_end: bool) -> None:
        """Wake those who wait for what happened to a job."""
        for watch in self._open.get(job_id, ()):
            if is_end or not watch.is_for_end:
                watch.wake()

    def wake_all(self) -> None:
        """Wake everyone."""
        for watches in self._open.values():
            for watch in watches:
                watch.wake()
