"""Traces every request, goes on with its caller's trace, and logs a line when it is answered.

Pure ASGI: it sees each message and holds back none, so that a disconnect stays visible behind it.
"""

import logging
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gram_server.api.request_id import request_id_of
from gram_server.logs import logged_with
from gram_server.tracing import Attributes, Context, Span, SpanKind, Tracer, fail, read_trace

PARENT_HEADER = "traceparent"
STATE_HEADER = "tracestate"
QUIET = ("/livez", "/readyz", "/startupz", "/metrics")
"""Paths that machines ask for every few seconds: not traced, and logged at debug alone."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
UNANSWERED = 500
MAX_CLIENT_CHARS = 64

logger = logging.getLogger(__name__)


class Observation:
    """Takes note of what is asked and how it is answered, never of what is in it."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer
        self._silent = Tracer()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on inside a span."""
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


def _parent(headers: Headers) -> Context:
    """Return where a request stands in its caller's trace; what is malformed counts for nothing."""
    parents = headers.getlist(PARENT_HEADER)
    parent = parents[0] if len(parents) == 1 else None
    return read_trace(parent, ",".join(headers.getlist(STATE_HEADER)))


def _client(scope: Scope) -> str | None:
    """Return the address of who asks, as far as the proxies before us are believed."""
    client = scope.get("client")
    return None if client is None else str(client[0])[:MAX_CLIENT_CHARS]


def _method(scope: Scope) -> str:
    """Return the method, of which there are only so many."""
    return scope["method"] if scope["method"] in METHODS else "_OTHER"


def _route(scope: Scope) -> str:
    """Return the template of the path; empty where there is none."""
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
