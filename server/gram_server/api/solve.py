"""``POST /solve`` and ``POST /generate``: requests that wait for the answer of their job."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from gram_core.errors import UserError as CoreUserError
from gram_server.api.errors import problem_of
from gram_server.api.openapi import GENERATE_RESPONSES, SOLVE_RESPONSES, solve_request_body
from gram_server.api.pending import charged, count_refusal, give_up, track, wait_for_end
from gram_server.api.queries import GenerateQuery, SolveQuery, bounded, describe
from gram_server.api.requests import ParsedRequest, parse_generate, parse_solve
from gram_server.api.responses import (
    CLIENT_CLOSED_REQUEST,
    ClientLeft,
    EventStream,
    format_event,
    json_response,
    run_while_connected,
    wants_stream,
)
from gram_server.api.state import AppState, request_id_of
from gram_server.errors import JobNotFound, NotReady, ServerError, StoreUnavailable, UserError
from gram_server.job import Event, EventKind, Job, JobRecord


def solve_router(state: AppState) -> APIRouter:
    router = APIRouter(tags=["solve"])
    query = bounded(SolveQuery, state.settings)

    @router.post(
        "/solve",
        summary="Solve a puzzle",
        operation_id="solve",
        responses=SOLVE_RESPONSES,
        openapi_extra={"parameters": describe(query), "requestBody": solve_request_body()},
    )
    async def solve(request: Request) -> Response:
        """Sample `width` trajectories and return the distinct solutions, exactly verified.

        With `Accept: text/event-stream` the solutions come as they are found: events `accepted`,
        `solution`, then `done` with the whole answer, or `error` with a problem; and with
        `show_trajectories`, at most ten times a second, `progress` with what trajectories answer
        so far. A client that disconnects stops its work.
        """
        return await _run_job(state, request, parse_solve(state, request, query))

    return router


def generate_router(state: AppState) -> APIRouter:
    router = APIRouter(tags=["generate"])
    query = bounded(GenerateQuery, state.settings)

    @router.post(
        "/generate",
        summary="Generate boards",
        operation_id="generate",
        responses=GENERATE_RESPONSES,
        openapi_extra={"parameters": describe(query)},
    )
    async def generate(request: Request) -> Response:
        """Sample trajectories from an empty board and return `count` valid boards.

        Trajectories are taken in their order, so a seed repeats the boards and their order. How
        many trajectories ended in a valid board is told as `validity`.
        With `Accept: text/event-stream` the boards come as they are found: events `accepted`,
        `solution`, then `done` with the whole answer, or `error` with a problem.
        A client that disconnects stops its work.
        """
        return await _run_job(state, request, parse_generate(state, request, query))

    return router


async def _run_job(
    state: AppState, request: Request, parsing: Awaitable[ParsedRequest]
) -> Response:
    """Answer a request as JSON or as a stream.

    When the client leaves, the job ends within a tick.
    """
    try:
        parsed = await parsing
        state.workers.check_served(parsed.job)
        async with charged(state, request.scope, lambda: parsed.charge):
            request_id = request_id_of(request.scope)
            if not wants_stream(request):
                work = _answer(state, parsed, request_id=request_id)
                return await run_while_connected(work, request.receive)
            events = _events(state, parsed, request_id=request_id)
            # A refusal raises here, before the response starts.
            first = await anext(events)
            return EventStream(first, events, heartbeat_s=state.settings.http.sse_heartbeat_s)
    except ClientLeft:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    except (UserError, CoreUserError, NotReady, StoreUnavailable) as error:
        count_refusal(state, error)
        raise


async def _answer(state: AppState, parsed: ParsedRequest, *, request_id: str) -> Response:
    async with track(state, parsed, request_id=request_id) as pending:
        result = pending.finish(await wait_for_end(state, parsed.job))
        total_ms = pending.duration_s * 1e3
    usage = result["usage"]
    parts = (("queue", usage["queue_ms"]), ("engine", usage["engine_ms"]), ("total", total_ms))
    timing = ", ".join(f"{name};dur={duration_ms:.3f}" for name, duration_ms in parts)
    return json_response(result, headers={"Server-Timing": timing})


async def _events(
    state: AppState, parsed: ParsedRequest, *, request_id: str
) -> AsyncGenerator[bytes]:
    """Yield the server-sent events of a job, the last of which is its answer or a problem."""
    last = 0
    try:
        async with track(state, parsed, request_id=request_id) as pending:
            # The future keeps the record even after the store has dropped the job.
            ending = asyncio.create_task(wait_for_end(state, parsed.job))
            try:
                async with aclosing(_follow(state, parsed.job, ending)) as events:
                    async for event in events:
                        last = event.id
                        if not event.kind.is_final:
                            yield format_event(event.kind, event.data, number=event.id)
                result = pending.finish(await ending)
            finally:
                await give_up(ending)
        yield format_event(EventKind.DONE, result, number=last)
    except ServerError as error:
        if not last:
            # Refused before the stream started.
            raise
        problem = problem_of(error).document(request_id)
        yield format_event(EventKind.ERROR, problem, number=last)


async def _follow(
    state: AppState, job: Job, ending: asyncio.Future[JobRecord]
) -> AsyncGenerator[Event]:
    """Yield the events of a job until it ends, or until the wait for its end fails."""
    # Both stores return a generator that holds the job until it is closed.
    async with aclosing(cast("AsyncGenerator[Event]", state.store.events(job.id))) as events:
        while True:
            coming = asyncio.ensure_future(anext(events, None))
            try:
                await asyncio.wait((coming, ending), return_when=asyncio.FIRST_COMPLETED)
                if not coming.done() and ending.exception() is not None:
                    ending.result()
                # The job ended without an error: its last events are available.
                event = await coming
            except JobNotFound:
                # It ended and was dropped while the client read slowly.
                return
            finally:
                await give_up(coming)
            if event is None:
                return
            yield event
