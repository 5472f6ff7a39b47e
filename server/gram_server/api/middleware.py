"""Middleware for the path prefix, request ids, traces, log lines, HEAD and shutdown.

Pure ASGI without buffers, so that a disconnect stays visible behind it.
"""

import asyncio
import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gram_server.api.errors import REQUEST_ID_HEADER, problem_of, request_id_of
from gram_server.api.state import Lifecycle
from gram_server.errors import NotReady
from gram_server.logs import logged_with
from gram_server.tracing import Attributes, Context, Span, SpanKind, Tracer, fail, read_trace

PARENT_HEADER = "traceparent"
STATE_HEADER = "tracestate"
QUIET = ("/livez", "/readyz", "/startupz", "/metrics")
"""Paths that are polled every few seconds: not traced, and logged at debug level."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
UNANSWERED = 500
MAX_CLIENT_CHARS = 64

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


class RequestId:
    """Uses the caller's request id if it is well-formed, else draws one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _choose_id(Headers(scope=scope).get(REQUEST_ID_HEADER))
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id)


class TracingMiddleware:
    """Traces and logs requests, never their content."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer
        self._silent = Tracer()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        tracer = self._silent if scope["path"] in QUIET else self._tracer
        parent, method = _parent(Headers(scope=scope)), _method(scope)
        started_s, status = time.perf_counter(), UNANSWERED

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with (
            logged_with(request_id=request_id_of(scope), client=_client(scope)),
            tracer.span(method, kind=SpanKind.SERVER, parent=parent) as span,
        ):
            try:
                await self._app(scope, receive, send_noting)
            finally:
                _describe(span, scope, status)
                _log(scope, status, time.perf_counter() - started_s)


class Stopping:
    """Closes connections of a stopping server, with a problem if unanswered."""

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle) -> None:
        self._app = app
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
            # uvicorn cancels what is still open after the drain.
            if not has_started:
                problem = problem_of(NotReady("the server stopped before the request was done"))
                await problem.response(request_id_of(scope))(scope, receive, send_closing)


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


def _choose_id(offered: str | None) -> str:
    if offered is not None and _REQUEST_ID.fullmatch(offered):
        return offered
    return secrets.token_hex(16)


def _parent(headers: Headers) -> Context:
    """Return the caller's trace context; malformed headers are ignored."""
    parents = headers.getlist(PARENT_HEADER)
    parent = parents[0] if len(parents) == 1 else None
    return read_trace(parent, ",".join(headers.getlist(STATE_HEADER)))


def _client(scope: Scope) -> str | None:
    """Return the client's address, as uvicorn resolves it behind trusted proxies."""
    client = scope.get("client")
    return None if client is None else str(client[0])[:MAX_CLIENT_CHARS]


def _method(scope: Scope) -> str:
    """Return the method, with one name for all unknown methods."""
    return scope["method"] if scope["method"] in METHODS else "_OTHER"


def _route(scope: Scope) -> str:
    """Return the template of the path, '' if no route matched."""
    return str(getattr(scope.get("route"), "path", ""))


def _describe(span: Span, scope: Scope, status: int) -> None:
    if not span.is_recording():
        return
    method, route = _method(scope), _route(scope)
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


def _log(scope: Scope, status: int, duration_s: float) -> None:
    level = logging.DEBUG if scope["path"] in QUIET else logging.INFO
    if not logger.isEnabledFor(level):
        return
    method, route = _method(scope), _route(scope)
    facts = {
        "method": method,
        "route": route,
        "status": status,
        "duration_ms": round(duration_s * 1e3, 3),
    }
    logger.log(level, "%s %s %d", method, route or "(no route)", status, extra=facts)
