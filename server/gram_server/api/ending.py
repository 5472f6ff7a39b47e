"""Waits for the end of a job on behalf of its request, as long as there is a worker for it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

from gram_server.api.context import Context
from gram_server.errors import JobNotFound
from gram_server.job import Event, Job, JobRecord

CHECK_S = 1.0
"""How often who waits looks whether anybody could still do the work."""

Ending = asyncio.Future[JobRecord]


async def wait_for_end(context: Context, job: Job) -> JobRecord:
    """Return the record of a job once it is final; raise ``NotReady`` where no worker is left."""
    if not context.fleet.is_remote:
        # The worker is a process of ours, which is started again.
        return await context.store.wait(job.id, timeout_s=None)
    waiting = asyncio.ensure_future(context.store.wait(job.id, timeout_s=None))
    try:
        while not (await asyncio.wait((waiting,), timeout=CHECK_S))[0]:
            context.fleet.check_served(job)
        return waiting.result()
    finally:
        await _end(waiting)


@asynccontextmanager
async def ending_of(context: Context, job: Job) -> AsyncIterator[Ending]:
    """Wait for the end of a job beside what goes on inside; leaving gives the wait up.

    The future has the record of the job, however long it is before somebody wants it: the store
    may have forgotten the job by then.
    """
    ending = asyncio.create_task(wait_for_end(context, job))
    try:
        yield ending
    finally:
        await _end(ending)


async def follow(context: Context, job: Job, ending: Ending) -> AsyncGenerator[Event]:
    """Yield the events of a job until it ends, or until the wait for its end fails."""
    # Both stores return a generator, which holds on to the job until it is closed.
    async with aclosing(cast("AsyncGenerator[Event]", context.store.events(job.id))) as events:
        while True:
            coming = asyncio.ensure_future(anext(events, None))
            try:
                event = await _first(coming, ending)
            except JobNotFound:
                # It ended and was forgotten while the reader took its time.
                return
            finally:
                await _end(coming)
            if event is None:
                return
            yield event


async def _first(coming: asyncio.Future[Event | None], ending: Ending) -> Event | None:
    await asyncio.wait((coming, ending), return_when=asyncio.FIRST_COMPLETED)
    if not coming.done() and ending.exception() is not None:
        ending.result()
    # The job has ended well: its last events are there.
    return await coming


async def _end(work: asyncio.Future[Any]) -> None:
    if not work.done():
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    elif not work.cancelled():
        # Nobody else may want to know how it failed.
        work.exception()
