"""Gives every request an id, which answers, problems and log lines carry.

Pure ASGI: it sees each message and holds back none, so that a disconnect stays visible behind it.
"""

import re
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"

_ACCEPTED = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


class RequestId:
    """Takes the caller's request id where it has a plain form, else draws one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its id, and put the id on the response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _choose(Headers(scope=scope).get(HEADER))
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id)


def request_id_of(scope: Scope) -> str:
    """Return the id of a request."""
    return str(scope.get("state", {}).get("request_id", ""))


def _choose(offered: str | None) -> str:
    if offered is not None and _ACCEPTED.fullmatch(offered):
        return offered
    return secrets.token_hex(16)
