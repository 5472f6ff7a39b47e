"""Answers as JSON and as server-sent events, and cancellation when a client disconnects."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "text/event-stream"
CLIENT_CLOSED_REQUEST = 499
"""Status in the log when the client left."""
KEEP_ALIVE = b": keep-alive\n\n"

_T = TypeVar("_T")
_to_json = json.JSONEncoder(separators=(",", ":")).encode


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
