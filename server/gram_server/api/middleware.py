"""Middleware for the path prefix, ids, traces, log lines, shutdown, keys, origins and HEAD.

Pure ASGI without buffers, so that a disconnect stays visible behind it.
"""

import asyncio
import ipaddress
import logging
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gram_server.api.errors import REQUEST_ID_HEADER, problem_of
from gram_server.api.keys import Key, KeyFile
from gram_server.api.state import Lifecycle, request_id_of
from gram_server.errors import (
    KeyInvalid,
    KeyMissing,
    NotReady,
    OriginRefused,
    ScopeMissing,
    UserError,
)
from gram_server.logs import also_logged_with, logged_with
from gram_server.settings import HttpConfig
from gram_server.tracing import Attributes, Context, Span, SpanKind, Tracer, fail, read_trace

PARENT_HEADER = "traceparent"
STATE_HEADER = "tracestate"
QUIET = ("/livez", "/readyz", "/startupz", "/metrics")
"""Paths that are polled every few seconds: not traced, and logged at debug level."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
READING = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing; no page of another origin can read what they return."""
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
UNANSWERED = 500
MAX_CLIENT_CHARS = 64
MAX_HOST_CHARS = 255

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")

logger = logging.getLogger(__name__)


class RootPath:
    """Removes the path prefix of a proxy from requests."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            if path == self._path or path.startswith(f"{self._path}/"):
                scope["path"] = path.removeprefix(self._path) or "/"
        await self._app(scope, receive, send)


class RequestContext:
    """Gives each request an id, a trace and a log line, and closes connections during a stop.

    A well-formed id of the caller is used. The content of a request is never logged.
    """

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle, tracer: Tracer) -> None:
        self._app = app
        self._lifecycle = lifecycle
        self._tracer = tracer
        self._silent = Tracer()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, started_s, status = Headers(scope=scope), time.perf_counter(), 0
        request_id = headers.get(REQUEST_ID_HEADER, "")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = secrets.token_hex(16)
        scope.setdefault("state", {})["request_id"] = request_id
        tracer = self._silent if scope["path"] in QUIET else self._tracer
        # As uvicorn resolves it behind trusted proxies.
        address = scope.get("client")
        client = None if address is None else str(address[0])[:MAX_CLIENT_CHARS]

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = MutableHeaders(scope=message)
                answered[REQUEST_ID_HEADER] = request_id
                if self._lifecycle.is_draining:
                    answered["Connection"] = "close"
            await send(message)

        with (
            logged_with(request_id=request_id, client=client),
            tracer.span(_method(scope), kind=SpanKind.SERVER, parent=_parent(headers)) as span,
        ):
            try:
                await self._app(scope, receive, send_noting)
            except asyncio.CancelledError:
                if not self._lifecycle.is_closed:
                    raise
                # uvicorn cancels what is still open after the drain.
                if not status:
                    problem = problem_of(NotReady("the server stopped before the request was done"))
                    await problem.response(request_id)(scope, receive, send_noting)
            finally:
                _report(span, scope, status or UNANSWERED, time.perf_counter() - started_s)


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


class OriginCheck:
    """Refuses browsers' requests from other origins and to foreign host names.

    A loopback server without keys would trust every page that is open on the machine: a page can
    post to any address, and read the answers of a name that it made resolve to this machine (DNS
    rebinding). Programs send neither an origin nor a foreign host name.
    """

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
        server = scope.get("server")
        is_for_all_on_the_machine = self._is_open and server is not None and is_local(server[0])
        is_named = bool(self._hosts) or is_for_all_on_the_machine
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


class HeadRequests:
    """Handles HEAD as GET, and stops after the headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
    """The headers are sent: stop the handler."""


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


def name_of(host: str) -> str:
    """Return the name or address in a ``Host`` header, without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().removesuffix(".")


@lru_cache(maxsize=64)
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


def _parent(headers: Headers) -> Context:
    """Return the caller's trace context; malformed headers are ignored."""
    parents = headers.getlist(PARENT_HEADER)
    if len(parents) != 1:
        return Context()
    return read_trace(parents[0], ",".join(headers.getlist(STATE_HEADER)))


def _method(scope: Scope) -> str:
    """Return the method, with one name for all unknown methods."""
    return scope["method"] if scope["method"] in METHODS else "_OTHER"


def _report(span: Span, scope: Scope, status: int, duration_s: float) -> None:
    """Describe an answered request in its span, and in a line of the log."""
    # The template of the path, '' if no route matched.
    method, route = _method(scope), str(getattr(scope.get("route"), "path", ""))
    if span.is_recording():
        attributes: Attributes = {
            "http.request.method": method,
            "http.response.status_code": status,
            "url.scheme": scope["scheme"],
        }
        if route:
            span.update_name(f"{method} {route}")
            attributes = {**attributes, "http.route": route}
        span.set_attributes(attributes)
        if status >= UNANSWERED:
            fail(span, str(status))
    level = logging.DEBUG if scope["path"] in QUIET else logging.INFO
    duration_ms = round(duration_s * 1e3, 3)
    facts = {"method": method, "route": route, "status": status, "duration_ms": duration_ms}
    logger.log(level, "%s %s %d", method, route or "(no route)", status, extra=facts)
