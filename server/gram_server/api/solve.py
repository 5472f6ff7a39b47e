"""``POST /solve`` and ``POST /generate``: requests that wait for the answer of their job.

Each outcome is counted exactly once. A request that ends without an answer withdraws its job.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from gram_core.errors import UserError as CoreUserError
from gram_server.api.dispatch import (
    CLIENT_CLOSED_REQUEST,
    ClientLeft,
    EventStream,
    charged,
    count_refusal,
    format_event,
    json_response,
    run_while_connected,
    submit,
    wants_stream,
)
from gram_server.api.errors import failure_of, problem_of
from gram_server.api.openapi import GENERATE_RESPONSES, SOLVE_RESPONSES, solve_request_body
from gram_server.api.queries import GenerateQuery, SolveQuery, bounded, describe
from gram_server.api.requests import ParsedRequest, parse_generate, parse_solve
from gram_server.api.schemas import deadline_result
from gram_server.api.state import AppState, request_id_of
from gram_server.errors import (
    JobFailed,
    JobInterrupted,
    JobNotFound,
    LinkClosed,
    NotReady,
    ServerError,
    StoreUnavailable,
    UserError,
)
from gram_server.job import Event, EventKind, Job, JobRecord, JobState, ModelReport, outcome_of
from gram_server.metrics import Outcome

CHECK_S = 1.0
"""Seconds between checks that a worker for the job is left."""

Result = Mapping[str, Any]
"""The body of a 200 answer."""


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
        many trajectories ended in a valid board is given as `validity`.
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


@dataclass(slots=True, kw_only=True)
class PendingRequest:
    """An accepted job whose request waits for the answer."""

    state: AppState
    job: Job
    model: ModelReport
    started_s: float
    outcome: Outcome | None = None

    @property
    def duration_s(self) -> float:
        return time.perf_counter() - self.started_s

    def finish(self, record: JobRecord) -> Result:
        """Return the answer in a final record; raise where there is none."""
        self.outcome = "failed"
        if record.state is JobState.FAILED and record.error is not None:
            raise failure_of(record.error.code, record.error.detail)
        if record.state is JobState.CANCELLED and self.state.lifecycle.has_given_up:
            raise JobInterrupted("the server stopped before the job was done")
        if record.state is JobState.CANCELLED:
            self.outcome = "cancelled"
            raise JobFailed("the job was cancelled")
        now_s = self.state.clock()
        result = record.result or deadline_result(record, self.model, now_s=now_s)
        self.outcome = outcome_of(record.state, result)
        self.state.metrics.observe_result(self.job, result)
        return result


@asynccontextmanager
async def track(
    state: AppState, parsed: ParsedRequest, *, request_id: str
) -> AsyncIterator[PendingRequest]:
    """Submit a job; leaving without an outcome withdraws it."""
    job, model = parsed.job, parsed.model
    try:
        await submit(state, job, request_id=request_id)
    except LinkClosed as error:
        raise NotReady("the server is stopping and takes no new work") from error
    pending = PendingRequest(state=state, job=job, model=model, started_s=time.perf_counter())
    state.lifecycle.inflight.add(job.id)
    try:
        yield pending
    except LinkClosed as error:
        pending.outcome = "failed"
        raise JobInterrupted("the server stopped before the job was done") from error
    finally:
        state.lifecycle.inflight.discard(job.id)
        if pending.outcome is None:
            await state.store.withdraw(job.id)
        outcome = pending.outcome or "cancelled"
        state.metrics.count_request(outcome, model=job.model, priority=job.priority)
        state.metrics.observe_request(pending.duration_s, model=job.model)


async def wait_for_end(state: AppState, job: Job) -> JobRecord:
    """Return the record of a job once it is final; raise ``NotReady`` where no worker is left."""
    if not state.workers.is_remote:
        # A child worker is restarted.
        return await state.store.wait(job.id, timeout_s=None)
    waiting = asyncio.ensure_future(state.store.wait(job.id, timeout_s=None))
    try:
        while not (await asyncio.wait((waiting,), timeout=CHECK_S))[0]:
            state.workers.check_served(job)
        return waiting.result()
    finally:
        await give_up(waiting)


async def give_up(work: asyncio.Future[Any]) -> None:
    """Cancel work, or drop its result."""
    if not work.done():
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    elif not work.cancelled():
        # Retrieved here, as asyncio warns of exceptions that are never retrieved.
        work.exception()
