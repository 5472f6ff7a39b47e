"""Drains an API process within a time limit, and logs the jobs that are lost.

Accepted work is every request without its full answer, and every job that is lost with the process
because only its own store keeps it.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from gram_server.api.state import AppState
from gram_server.errors import ServerError
from gram_server.job import Job

POLL_S = 0.02
"""Seconds between checks for remaining work."""

READ_S = 5.0
"""Seconds that results of jobs that ended during the drain stay readable."""

CANCEL_S = 0.5
"""Seconds that the store may take to cancel the jobs of abandoned requests."""

logger = logging.getLogger(__name__)


class Drain:
    """Waits for accepted work up to the time limit."""

    def __init__(self, state: AppState) -> None:
        self._state = state
        self._lifecycle = state.lifecycle
        self._limit_s = state.settings.engine.drain_s

    async def run(self, cause: str) -> None:
        """Return once all work is done and read, or the rest is cancelled."""
        inflight = self._lifecycle.inflight
        logger.info(
            "%s: draining %d requests and %d jobs", cause, len(inflight), len(self._lone_jobs())
        )
        await asyncio.sleep(self._state.settings.http.drain_delay_s)
        end_s = time.monotonic() + self._limit_s
        self._lifecycle.is_closed = True
        if not self._state.store.open_jobs():
            # The jobs end in other processes, where clients can follow them.
            self._lifecycle.released.set()
        await self._wait_while(self._has_work, end_s)
        if self._has_work():
            await self._give_up()
            return
        await self._wait_while(self._has_unread, min(end_s, time.monotonic() + READ_S))
        if self._has_unread():
            logger.warning("the results of %d jobs were not read", len(self._lifecycle.unread))

    def _has_work(self) -> bool:
        open_jobs = self._state.store.open_jobs()
        self._lifecycle.unread.update(
            job.id for job in open_jobs if job.owner is not None and job.batch is None
        )
        return bool(self._lifecycle.inflight or open_jobs)

    def _has_unread(self) -> bool:
        return bool(self._lifecycle.unread)

    async def _wait_while(self, condition: Callable[[], bool], end_s: float) -> None:
        # Work ends in many places: polling is simpler than a notification from each.
        while condition() and time.monotonic() < end_s:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)

    async def _give_up(self) -> None:
        """Cancel unfinished jobs and answer the requests that wait for them."""
        inflight, lost = list(self._lifecycle.inflight), len(self._lone_jobs())
        if inflight:
            logger.warning("%d requests are given up after %g s", len(inflight), self._limit_s)
        if lost:
            logger.error("%d jobs are lost: not done after %g s", lost, self._limit_s)
        self._lifecycle.has_given_up = True
        with suppress(TimeoutError):
            async with asyncio.timeout(CANCEL_S):
                await asyncio.gather(*(self._cancel(job_id) for job_id in inflight))
        self._lifecycle.released.set()
        await self._state.store.close()

    async def _cancel(self, job_id: str) -> None:
        try:
            await self._state.store.cancel(job_id)
        except ServerError as error:
            logger.warning("job=%s goes on though nobody waits: %s", job_id, error)

    def _lone_jobs(self) -> list[Job]:
        """Return the jobs in this process's store that no request waits for."""
        waited_for = self._lifecycle.inflight
        open_jobs = self._state.store.open_jobs()
        return [job for job in open_jobs if not job.num_parts and job.id not in waited_for]
