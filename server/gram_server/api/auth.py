"""API keys, scopes and origin checks; denies what it does not know.

A loopback server without keys would trust every page that is open on the machine: a page can post
to any address, and read the answers of a name that it made resolve to this machine (DNS rebinding).
Programs send neither an origin nor a foreign host name. Pure ASGI, so that a disconnect stays
visible behind it.
"""

import ipaddress
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gram_server.api.errors import problem_of, request_id_of
from gram_server.api.keys import Key, KeyFile
from gram_server.errors import KeyInvalid, KeyMissing, OriginRefused, ScopeMissing, UserError
from gram_server.logs import also_logged_with
from gram_server.settings import HttpConfig

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
READING = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing; no page of another origin can read what they return."""
MAX_HOST_CHARS = 255


class AuthMiddleware:
    """Checks the API key of a request before anything else handles it."""

    def __init__(self, app: ASGIApp, keys: KeyFile | None) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._keys is not None and not is_public(scope["path"]):
            try:
                key = scope.setdefault("state", {})["key"] = _authorize(self._keys, scope)
                also_logged_with(key=key.name)
            except UserError as error:
                headers = {"WWW-Authenticate": "Bearer"} if _is_unknown(error) else {}
                response = problem_of(error).response(request_id_of(scope), headers)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


class OriginCheck:
    """Refuses browsers' requests from other origins and to foreign host names."""

    def __init__(self, app: ASGIApp, config: HttpConfig) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in config.allowed_hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in config.allowed_origins)
        self._is_open = config.keys is None and is_local(config.host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self._check(scope)
            except OriginRefused as error:
                response = problem_of(error).response(request_id_of(scope))
                await response(scope, receive, send)
                return
            # The framework parses cookies for every route, and no route reads any.
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"cookie"]
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        is_named = bool(self._hosts) or self._is_for_all_on_the_machine(scope)
        if not is_named and not self._origins:
            return
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if is_named and not self._are_our_names(hosts):
            raise OriginRefused(
                "the server does not go by this name: see allowed_hosts", field="Host"
            )
        host = hosts[0].lower() if hosts else ""
        if scope["method"] not in READING and not self._may_send(headers, host):
            raise OriginRefused(
                "pages of other origins may send nothing: see allowed_origins", field="Origin"
            )

    def _is_for_all_on_the_machine(self, scope: Scope) -> bool:
        server = scope.get("server")
        return self._is_open and server is not None and is_local(server[0])

    def _are_our_names(self, hosts: Sequence[str]) -> bool:
        """Whether the one host is ours; the probes of some balancers send none."""
        if not any(hosts):
            return True
        if len(hosts) > 1 or len(hosts[0]) > MAX_HOST_CHARS:
            return False
        name = name_of(hosts[0])
        return bool(self._hosts & {"*", name}) or is_safe(name)

    def _may_send(self, headers: Headers, host: str) -> bool:
        origin = headers.get("origin", "").lower()
        if self._origins & {"*", origin}:
            return True
        # The browser's own verdict also holds behind a proxy that changes the host.
        if site := headers.get("sec-fetch-site"):
            return site in ("same-origin", "none")
        return not origin or origin.partition("://")[2] == host


def key_of(scope: Scope) -> Key | None:
    """Return the key of a request; None where the server has no keys."""
    key: Key | None = scope.get("state", {}).get("key")
    return key


def owner_of(scope: Scope) -> str:
    """Return the owner of the jobs of a request; '' for all without keys."""
    key = key_of(scope)
    return "" if key is None else key.name


def client_of(scope: Scope) -> str:
    """Return the client for fair sharing: the name of a key, else an address."""
    host, _ = scope.get("client") or ("", 0)
    return owner_of(scope) or str(host)


def is_admin(scope: Scope) -> bool:
    key = key_of(scope)
    return key is not None and "admin" in key.scopes


def is_public(path: str) -> bool:
    return path == INDEX or any(
        path == public or path.startswith(f"{public}/") for public in PUBLIC
    )


def scope_for(path: str) -> str:
    return NEEDED.get("/" + path.lstrip("/").partition("/")[0], "admin")


def _authorize(keys: KeyFile, scope: Scope) -> Key:
    token = _token(Headers(scope=scope))
    if not token:
        raise KeyMissing("send the key as Authorization: Bearer KEY")
    key = keys.find(token)
    if key is None:
        raise KeyInvalid("the key is not known")
    if key.expires_s is not None and key.expires_s <= time.time():
        raise KeyInvalid("the key has expired")
    needed = scope_for(scope["path"])
    if needed != ANY and needed not in key.scopes and "admin" not in key.scopes:
        raise ScopeMissing(f"the key has no scope {needed}")
    return key


def _token(headers: Headers) -> str:
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _is_unknown(error: UserError) -> bool:
    return isinstance(error, KeyMissing | KeyInvalid)


def name_of(host: str) -> str:
    """Return the name or address in a ``Host`` header, without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().removesuffix(".")


def is_safe(name: str) -> bool:
    """Whether DNS rebinding cannot use a name: an address, or a name without a dot."""
    is_local_name = name.endswith(".localhost") or "." not in name
    return bool(name) and (is_local_name or _address(name) is not None)


@lru_cache(maxsize=64)
def is_local(host: str) -> bool:
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
