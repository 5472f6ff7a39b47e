"""The answers of a server that stops: each ends its connection, and one cut off says why.

Pure ASGI: it sees each message and holds back none, so that a disconnect stays visible behind it.
"""

import asyncio

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gram_server.api.context import Lifecycle
from gram_server.api.errors import problem_of
from gram_server.api.request_id import request_id_of
from gram_server.errors import NotReady


class Stopping:
    """Sends clients of a stopping server elsewhere, with a problem where they have no answer."""

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle) -> None:
        self._app = app
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_started = False

        async def send_closing(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                if self._lifecycle.is_draining:
                    MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        try:
            await self._app(scope, receive, send_closing)
        except asyncio.CancelledError:
            if not self._lifecycle.is_closed:
                raise
            # The server ends what is open too long after its drain.
            if not has_started:
                problem = problem_of(NotReady("the server stopped before the request was done"))
                await problem.response(request_id_of(scope))(scope, receive, send_closing)
