"""Streams the answer to a waiting request as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import cast

from fastapi import Request

from gram_server.api.connection import EventStream, format_event
from gram_server.api.errors import problem_of, request_id_of
from gram_server.api.pending import give_up, track, wait_for_end
from gram_server.api.requests import ParsedRequest
from gram_server.api.state import AppState
from gram_server.errors import JobNotFound, ServerError
from gram_server.job import Event, EventKind, Job, JobRecord

Ending = asyncio.Future[JobRecord]


async def stream(state: AppState, request: Request, parsed: ParsedRequest) -> EventStream:
    events = _events(state, parsed, request_id=request_id_of(request.scope))
    # A refusal raises here, before the response starts.
    first = await anext(events)
    return EventStream(first, events, heartbeat_s=state.settings.http.sse_heartbeat_s)


async def _events(
    state: AppState, parsed: ParsedRequest, *, request_id: str
) -> AsyncGenerator[bytes]:
    last = 0
    try:
        async with (
            track(state, parsed, request_id=request_id) as pending,
            _ending_of(state, parsed.job) as ending,
            aclosing(_follow(state, parsed.job, ending)) as events,
        ):
            async for event in events:
                last = event.id
                if not event.kind.is_final:
                    yield format_event(event.kind, event.data, number=event.id)
            result = pending.finish(await ending)
        yield format_event(EventKind.DONE, result, number=last)
    except ServerError as error:
        if not last:
            # Refused before the stream started.
            raise
        problem = problem_of(error).document(request_id)
        yield format_event(EventKind.ERROR, problem, number=last)


@asynccontextmanager
async def _ending_of(state: AppState, job: Job) -> AsyncIterator[Ending]:
    """Wait for the end of a job in the background; leaving cancels the wait.

    The future keeps the record even after the store has dropped the job.
    """
    ending = asyncio.create_task(wait_for_end(state, job))
    try:
        yield ending
    finally:
        await give_up(ending)


async def _follow(state: AppState, job: Job, ending: Ending) -> AsyncGenerator[Event]:
    """Yield the events of a job until it ends, or until the wait for its end fails."""
    # Both stores return a generator that holds the job until it is closed.
    async with aclosing(cast("AsyncGenerator[Event]", state.store.events(job.id))) as events:
        while True:
            coming = asyncio.ensure_future(anext(events, None))
            try:
                event = await _first(coming, ending)
            except JobNotFound:
                # It ended and was dropped while the client read slowly.
                return
            finally:
                await give_up(coming)
            if event is None:
                return
            yield event


async def _first(coming: asyncio.Future[Event | None], ending: Ending) -> Event | None:
    await asyncio.wait((coming, ending), return_when=asyncio.FIRST_COMPLETED)
    if not coming.done() and ending.exception() is not None:
        ending.result()
    # The job ended without an error: its last events are available.
    return await coming
