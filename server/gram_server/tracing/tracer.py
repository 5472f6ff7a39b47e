"""Spans over the API of OpenTelemetry.

The API alone records nothing and only propagates the caller's trace. Attributes never hold a puzzle
or an answer, nor the text of an error.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gram_server.logs import logged_with

MAX_STATE_CHARS = 512
"""Longer ``tracestate`` values are dropped, as the standard allows."""

MAX_PARENT_CHARS = 128
"""This version of the standard takes 55; later versions may take more."""

Attributes = Mapping[str, str | int | float | bool]

_PROPAGATOR = TraceContextTextMapPropagator()


class Tracer:
    """Begins spans."""

    def __init__(
        self, tracer: trace.Tracer | None = None, *, close: Callable[[], None] = lambda: None
    ) -> None:
        """Record spans with an SDK tracer, if given; ``close`` flushes them."""
        self._tracer = tracer or trace.NoOpTracer()
        self.close = close

    def start(
        self,
        name: str,
        *,
        parent: Context | None,
        kind: SpanKind = SpanKind.INTERNAL,
        start_s: float | None = None,
        attributes: Attributes | None = None,
    ) -> Span:
        """Begin a span, now or at ``start_s`` (``time.time()``); the caller ends it.

        Without ``parent`` it is a child of the current span.
        """
        return self._tracer.start_span(
            name,
            context=parent,
            kind=kind,
            attributes=attributes,
            start_time=None if start_s is None else to_ns(start_s),
        )

    @contextmanager
    def span(
        self,
        name: str,
        *,
        parent: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
    ) -> Iterator[Span]:
        """Run the body in a span, and add its ids to log lines."""
        span = self.start(name, parent=parent, kind=kind, attributes=attributes)
        # The SDK would record an error's text, which may quote a puzzle.
        current = trace.use_span(
            span, end_on_exit=True, record_exception=False, set_status_on_exception=False
        )
        with current, logged_with(**log_ids(span)):
            try:
                yield span
            except (asyncio.CancelledError, GeneratorExit):
                span.add_event("cancelled")
                raise
            except BaseException as error:
                fail(span, str(getattr(error, "code", None) or type(error).__name__))
                raise


def read_trace(parent: str | None, state: str | None = None) -> Context:
    """Return the context in ``traceparent`` and ``tracestate``; empty if they are invalid."""
    # Lengths first: the values are untrusted, and every process would pass them on.
    if parent is None or len(parent) > MAX_PARENT_CHARS:
        return Context()
    headers = {"traceparent": parent}
    if state and len(state) <= MAX_STATE_CHARS:
        headers["tracestate"] = state
    return _PROPAGATOR.extract(headers, Context())


def headers_of(span: Span) -> Mapping[str, str]:
    """Return ``traceparent`` and ``tracestate`` for children of a span."""
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers, below(span))
    return headers


def below(span: Span) -> Context:
    """Return the parent context for children of a span."""
    return trace.set_span_in_context(span, Context())


def log_ids(span: Span) -> Mapping[str, str]:
    """Return the ids for log lines about a span."""
    context = span.get_span_context()
    if not context.is_valid:
        return {}
    ids = {"trace_id": trace.format_trace_id(context.trace_id)}
    if context.is_remote:
        # The caller's span: a tracer that records nothing makes none of its own.
        return ids
    return {**ids, "span_id": trace.format_span_id(context.span_id)}


def fail(span: Span, reason: str) -> None:
    span.set_attribute("error.type", reason)
    span.set_status(StatusCode.ERROR)


def to_ns(moment_s: float) -> int:
    return int(moment_s * 1e9)
