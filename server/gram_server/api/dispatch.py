"""What the routes of jobs share: they charge and submit work, count refusals, and send answers.

Answers go as JSON or as server-sent events; work is cancelled when its client disconnects.
"""

import asyncio
import json
import logging
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gram_server.api.errors import problem_of
from gram_server.api.state import AppState, key_of
from gram_server.errors import (
    JobGone,
    JobInterrupted,
    KeyConflict,
    NotReady,
    QueueFull,
    RateLimited,
    StoreUnavailable,
)
from gram_server.job import PRIORITY_CLASSES, Job
from gram_server.jobs.store import IdempotencyKey
from gram_server.logs import also_logged_with
from gram_server.tracing import Attributes, SpanKind, headers_of

MEDIA_TYPE = "text/event-stream"
CLIENT_CLOSED_REQUEST = 499
"""Status in the log when the client left."""
KEEP_ALIVE = b": keep-alive\n\n"
BURST_S = 10.0
"""Burst of an idle key, in seconds of its rate."""
MAX_WAIT_S = 86400.0
"""Upper bound of ``retry_after_s``."""
NOT_DONE = (QueueFull, KeyConflict, JobGone, NotReady, JobInterrupted, StoreUnavailable)
"""Refusals after which tokens are refunded."""

_T = TypeVar("_T")
_to_json = json.JSONEncoder(separators=(",", ":")).encode

logger = logging.getLogger(__name__)


async def submit(
    state: AppState,
    job: Job,
    *,
    request_id: str,
    parts: Sequence[Job] = (),
    ticket: IdempotencyKey | None = None,
) -> str:
    """Submit a job, or the parts of a batch, and return its id, as ``JobStore.submit`` does."""
    with state.tracer.span("enqueue", kind=SpanKind.PRODUCER) as span:
        if span.is_recording():
            span.set_attributes(_attributes(state, job))
        trace = headers_of(span)
        sender: dict[str, Any] = {
            "request_id": request_id,
            "traceparent": trace.get("traceparent"),
            "tracestate": trace.get("tracestate"),
        }
        try:
            job_id = await state.store.submit(
                replace(job, **sender),
                parts=[replace(part, **sender) for part in parts],
                ticket=ticket,
            )
        except (StoreUnavailable, asyncio.CancelledError):
            # The store may have it all the same. With a ticket the client can retry.
            if ticket is None:
                await state.store.withdraw(job.id)
            raise
    also_logged_with(job_id=job_id)
    return job_id


def _attributes(state: AppState, job: Job) -> Attributes:
    redis = state.settings.redis
    attributes: Attributes = {
        "messaging.system": "memory" if redis.store is None else "redis",
        "messaging.destination.name": redis.queue_name,
        "messaging.operation.type": "send",
        "messaging.message.id": job.id,
        "gram.puzzle": job.puzzle,
        "gram.priority": PRIORITY_CLASSES[job.priority],
    }
    if job.num_parts:
        return {**attributes, "messaging.batch.message_count": job.num_parts}
    return {**attributes, "gram.model": job.model, "gram.width": job.options.width}


def count_refusal(state: AppState, error: Exception) -> None:
    kind = problem_of(error).type
    state.metrics.count_request("rejected" if kind.is_retryable else "invalid")
    state.metrics.count_rejected(kind.code)


@asynccontextmanager
async def charged(state: AppState, scope: Scope, charge: Callable[[], int]) -> AsyncIterator[None]:
    """Take tokens for trajectories from the request's key; raise ``RateLimited`` without any.

    One request may take more tokens than there are: the key then waits longer. Refusals refund
    them.
    """
    key = key_of(scope)
    if key is None or key.trajectories_per_s is None:
        yield
        return
    width = charge()
    wait_s = await _take_tokens(state, scope, width)
    if wait_s > 0:
        raise RateLimited(
            f"key {key.name} may ask for {key.trajectories_per_s:g} trajectories per second",
            retry_after_s=round(min(max(1.0, wait_s + 0.5), MAX_WAIT_S)),
        )
    try:
        yield
    except NOT_DONE:
        await give_back(state, scope, width)
        raise


async def give_back(state: AppState, scope: Scope, width: int) -> None:
    try:
        await _take_tokens(state, scope, -width)
    except StoreUnavailable as error:
        logger.warning("%d trajectories stay charged: %s", width, error)


async def _take_tokens(state: AppState, scope: Scope, width: int) -> float:
    key = key_of(scope)
    if key is None or key.trajectories_per_s is None:
        return 0.0
    rate = key.trajectories_per_s
    return await state.store.take_tokens(key.name, width, rate=rate, burst=rate * BURST_S)


class ClientLeft(Exception):
    """The client closed the connection."""


class Released(Exception):
    """The server is stopping: clients that follow a job must disconnect."""


class EventStream(Response):
    """Sends events, and comments to keep alive, until the client leaves."""

    media_type = MEDIA_TYPE

    def __init__(self, first: bytes, events: AsyncGenerator[bytes], *, heartbeat_s: float) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._first = first
        self._events = events
        self._heartbeat_s = heartbeat_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await run_while_connected(self._send_all(send), receive)
        except ClientLeft:
            return

    async def _send_all(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        await send({"type": "http.response.body", "body": self._first, "more_body": True})
        async with aclosing(with_heartbeat(self._events, self._heartbeat_s)) as chunks:
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def json_response(
    content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(_to_json(content), status, headers, "application/json")


def wants_stream(request: Request) -> bool:
    return MEDIA_TYPE in request.headers.get("accept", "")


def format_event(kind: str, data: Mapping[str, object], *, number: int) -> bytes:
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()


async def with_heartbeat(
    events: AsyncGenerator[bytes], heartbeat_s: float
) -> AsyncGenerator[bytes]:
    """Yield the events, and a comment after each ``heartbeat_s`` of silence."""
    async with aclosing(events):
        while True:
            coming = asyncio.ensure_future(anext(events, None))
            try:
                while not (await asyncio.wait((coming,), timeout=heartbeat_s))[0]:
                    yield KEEP_ALIVE
            finally:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
            event = coming.result()
            if event is None:
                return
            yield event


async def run_while_connected(work: Awaitable[_T], receive: Receive) -> _T:
    """Return what work returns; cancel it and raise ``ClientLeft`` when the client leaves first.

    The body of the request must have been read to its end.
    """

    async def leave() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    return await _race(work, leave(), ClientLeft)


async def run_until_released(work: Awaitable[_T], released: asyncio.Event) -> _T:
    """Return what work returns; cancel it and raise ``Released`` if that is set first."""
    return await _race(work, released.wait(), Released)


async def followed(events: AsyncIterator[_T], released: asyncio.Event) -> AsyncGenerator[_T]:
    """Yield the events; raise ``Released`` when that is set before the last."""
    while (event := await run_until_released(anext(events, None), released)) is not None:
        yield event


async def _race(work: Awaitable[_T], other: Awaitable[object], error: type[Exception]) -> _T:
    working, ending = asyncio.ensure_future(work), asyncio.ensure_future(other)
    try:
        await asyncio.wait((working, ending), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise error
    finally:
        for task in (working, ending):
            task.cancel()
        await asyncio.gather(working, ending, return_exceptions=True)
