"""Background tasks of a store, repeated with jitter and reliably cancelled."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from gram_server.errors import StoreUnavailable
from gram_server.logs import SparseLog

END_S = 0.5

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """Work that is repeated until cancelled."""

    every_s: float
    work: Callable[[], Awaitable[object]]
    _log: SparseLog = field(default_factory=lambda: SparseLog(logger), repr=False)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(jittered(self.every_s))
            try:
                await self.work()
            except StoreUnavailable:
                logger.debug("a periodic task waits for Redis")
            except Exception as error:
                # The next run may succeed, and no other task does this work.
                self._log.say(logging.ERROR, "a periodic task broke: %r", error, exc_info=error)


async def end_tasks(tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Cancel tasks until they have ended: a client library may lose a cancellation."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=END_S)


def jittered(duration_s: float) -> float:
    """Return 0.7 to 1.0 times a duration, at random."""
    return duration_s * random.uniform(0.7, 1.0)
