"""Server-sent events: the solutions of a job as they are found."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gram_server.api.disconnect import ClientLeft, run_while_connected

MEDIA_TYPE = "text/event-stream"
KEEP_ALIVE = b": keep-alive\n\n"


class EventStream(Response):
    """Sends events one by one, a comment when nothing happens, and stops when the client leaves."""

    media_type = MEDIA_TYPE

    def __init__(self, first: bytes, events: AsyncGenerator[bytes], *, heartbeat_s: float) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._first = first
        self._events = events
        self._heartbeat_s = heartbeat_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        try:
            await run_while_connected(self._send_all(send), receive)
        except ClientLeft:
            # The work was cancelled with the stream: there is nobody to tell.
            return

    async def _send_all(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        await send({"type": "http.response.body", "body": self._first, "more_body": True})
        async with aclosing(with_heartbeat(self._events, self._heartbeat_s)) as chunks:
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def wants_stream(request: Request) -> bool:
    """Say whether a request asks for a stream of events."""
    return MEDIA_TYPE in request.headers.get("accept", "")


def format_event(kind: str, data: Mapping[str, object], *, number: int) -> bytes:
    """Return one event in the form of server-sent events."""
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
