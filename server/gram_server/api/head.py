"""Answers HEAD wherever GET is answered: with the headers that GET has, and nothing else.

Balancers and monitors ask so. Pure ASGI; the routes know of GET alone.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadRequests:
    """Passes HEAD on as GET, and lets go of the answer when its headers are sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            # A stream would go on for as long as its job.
            raise _Answered

        asked = {**scope, "method": "GET"}
        try:
            await self._app(asked, receive, send_head)
        except _Answered:
            return
        finally:
            # The template of the path, for the log.
            scope["route"] = asked.get("route")


class _Answered(Exception):
    """The headers are sent: the rest of the work is for nobody."""
