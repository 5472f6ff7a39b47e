"""Follows an admitted job to its answer: whole, or as a stream of server-sent events.

Shared by every route that waits for a job.
"""

import json
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from dataclasses import replace

from fastapi import Request
from starlette.responses import Response

from gram_core.errors import UserError as CoreUserError
from gram_server.api.access import client_of
from gram_server.api.account import Result, open_account
from gram_server.api.admission import Admitted
from gram_server.api.context import Context
from gram_server.api.disconnect import ClientLeft, run_while_connected
from gram_server.api.ending import ending_of, follow, wait_for_end
from gram_server.api.errors import problem_of
from gram_server.api.limits import charged
from gram_server.api.request_id import request_id_of
from gram_server.api.stream import EventStream, format_event, wants_stream
from gram_server.errors import NotReady, ServerError, StoreUnavailable, UserError
from gram_server.job import EventKind

CLIENT_CLOSED_REQUEST = 499
"""Status of an answer that nobody reads."""


async def respond(context: Context, request: Request, admission: Awaitable[Admitted]) -> Response:
    """Return the answer to a request as it wants it, or raise what is wrong with it.

    The client may leave at any time: the job then ends within a tick.
    """
    try:
        admitted = _from(client_of(request.scope), await admission)
        context.fleet.check_served(admitted.job)
        async with charged(context, request.scope, admitted.job.options.width):
            if wants_stream(request):
                return await _stream(context, request, admitted)
            return await _answer(context, request, admitted)
    except (UserError, CoreUserError, NotReady, StoreUnavailable) as error:
        count_refusal(context, error)
        raise


def _from(client: str, admitted: Admitted) -> Admitted:
    return admitted._replace(job=replace(admitted.job, client=client))


def count_refusal(context: Context, error: Exception) -> None:
    """Count a request that was not accepted."""
    is_ours = problem_of(error).type.is_retryable
    context.metrics.count_request("rejected" if is_ours else "invalid")
    context.metrics.count_rejected(problem_of(error).type.code)


async def _answer(context: Context, request: Request, admitted: Admitted) -> Response:
    try:
        work = _finish(context, admitted, request_id=request_id_of(request.scope))
        return await run_while_connected(work, request.receive)
    except ClientLeft:
        return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _finish(context: Context, admitted: Admitted, *, request_id: str) -> Response:
    async with open_account(context, *admitted, request_id=request_id) as account:
        result = account.close(await wait_for_end(context, admitted.job))
        timing = _server_timing(result, total_ms=account.duration_s * 1e3)
    content = json.dumps(result, separators=(",", ":"))
    return Response(content, 200, {"Server-Timing": timing}, "application/json")


async def _stream(context: Context, request: Request, admitted: Admitted) -> Response:
    events = _events(context, admitted, request_id=request_id_of(request.scope))
    # The job is in the queue, or refused, before the answer starts.
    first = await anext(events)
    heartbeat_s = context.settings.http.sse_heartbeat_s
    return EventStream(first, events, heartbeat_s=heartbeat_s)


async def _events(
    context: Context, admitted: Admitted, *, request_id: str
) -> AsyncGenerator[bytes]:
    last = 0
    try:
        async with (
            open_account(context, *admitted, request_id=request_id) as account,
            ending_of(context, admitted.job) as ending,
            aclosing(follow(context, admitted.job, ending)) as events,
        ):
            async for event in events:
                last = event.id
                if not event.kind.is_final:
                    yield format_event(event.kind, event.data, number=event.id)
            result = account.close(await ending)
        yield format_event(EventKind.DONE, result, number=last)
    except ServerError as error:
        if not last:
            # Not accepted: a refusal, which comes before the stream.
            raise
        problem = problem_of(error).document(request_id)
        yield format_event(EventKind.ERROR, problem, number=last)


def _server_timing(result: Result, *, total_ms: float) -> str:
    usage = result["usage"]
    parts = (("queue", usage["queue_ms"]), ("engine", usage["engine_ms"]), ("total", total_ms))
    return ", ".join(f"{name};dur={duration_ms:.3f}" for name, duration_ms in parts)
