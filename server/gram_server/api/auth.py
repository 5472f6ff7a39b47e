"""Checks API keys and their scopes; denies what it does not know."""

import time
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gram_server.api.errors import problem_of
from gram_server.api.keys import Key, KeyFile
from gram_server.api.state import request_id_of
from gram_server.errors import KeyInvalid, KeyMissing, ScopeMissing, UserError
from gram_server.logs import also_logged_with

ANY = ""
"""Scope of paths that every key may use."""
PUBLIC = ("/livez", "/readyz", "/startupz", "/problems", "/page")
"""Paths, with all below them, that need no key."""
INDEX = "/"
"""The page, which needs no key; matched exactly."""
NEEDED: Mapping[str, str] = {
    "/solve": "solve",
    "/generate": "solve",
    "/jobs": "jobs",
    "/puzzles": ANY,
    "/models": ANY,
    "/openapi.json": ANY,
    "/docs": ANY,
}
"""Scope that a path needs, with all below it; every other path needs ``admin``."""


class AuthMiddleware:
    """Checks the API key of a request before anything else handles it."""

    def __init__(self, app: ASGIApp, keys: KeyFile) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_public(scope["path"]):
            try:
                key = scope.setdefault("state", {})["key"] = _authorize(self._keys, scope)
                also_logged_with(key=key.name)
            except UserError as error:
                is_unknown = isinstance(error, KeyMissing | KeyInvalid)
                headers = {"WWW-Authenticate": "Bearer"} if is_unknown else {}
                response = problem_of(error).response(request_id_of(scope), headers)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def is_public(path: str) -> bool:
    return path == INDEX or any(
        path == public or path.startswith(f"{public}/") for public in PUBLIC
    )


def _authorize(keys: KeyFile, scope: Scope) -> Key:
    kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise KeyMissing("send the key as Authorization: Bearer KEY")
    key = keys.find(token.strip())
    if key is None:
        raise KeyInvalid("the key is not known")
    if key.expires_s is not None and key.expires_s <= time.time():
        raise KeyInvalid("the key has expired")
    needed = NEEDED.get("/" + scope["path"].lstrip("/").partition("/")[0], "admin")
    if needed != ANY and needed not in key.scopes and "admin" not in key.scopes:
        raise ScopeMissing(f"the key has no scope {needed}")
    return key
