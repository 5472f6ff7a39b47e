"""Spans: pieces of work with a beginning, an end and a place in a trace.

Uses the API of OpenTelemetry alone, which records nothing by itself and only carries the caller's
trace on. Attributes never hold a puzzle or an answer, nor the text of an error.
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
"""What a vendor's own part may take; a longer one is left out, as the standard allows."""

MAX_PARENT_CHARS = 128
"""Of which this version of the standard takes 55; versions to come may say more."""

Attributes = Mapping[str, str | int | float | bool]

_PROPAGATOR = TraceContextTextMapPropagator()


class Tracer:
    """Begins spans."""

    def __init__(
        self, tracer: trace.Tracer | None = None, *, close: Callable[[], None] = lambda: None
    ) -> None:
        """Record spans with a tracer of the SDK; without one, record none.

        Args:
            tracer: what makes the spans.
            close: sends what was recorded and not yet sent.
        """
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
        """Begin a span, now or at a moment of ``time.time()``; the caller ends it.

        Args:
            name: of the work.
            parent: what it is a part of; None is the span that this task is in.
            kind: what it is to the span above it.
            start_s: when it began.
            attributes: what is known of it.
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
        """Do work inside a span, and put its ids on what is logged meanwhile."""
        span = self.start(name, parent=parent, kind=kind, attributes=attributes)
        # What the SDK would record of an error holds its text, which may quote a puzzle.
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
    """Return where the work of a caller stands in its trace; nowhere if it says nothing valid.

    Args:
        parent: the value of ``traceparent``.
        state: the value of ``tracestate``, which vendors of tracing systems carry along.
    """
    # The lengths first: a stranger wrote them, and every process would carry them along.
    if parent is None or len(parent) > MAX_PARENT_CHARS:
        return Context()
    headers = {"traceparent": parent}
    if state and len(state) <= MAX_STATE_CHARS:
        headers["tracestate"] = state
    return _PROPAGATOR.extract(headers, Context())


def headers_of(span: Span) -> Mapping[str, str]:
    """Return ``traceparent`` and ``tracestate`` that let others go on below a span."""
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers, below(span))
    return headers


def below(span: Span) -> Context:
    """Return the parent of spans that are a part of this one."""
    return trace.set_span_in_context(span, Context())


def log_ids(span: Span) -> Mapping[str, str]:
    """Return what lines about the work carry."""
    context = span.get_span_context()
    if not context.is_valid:
        return {}
    ids = {"trace_id": trace.format_trace_id(context.trace_id)}
    if context.is_remote:
        # Of our caller: a tracer that records nothing makes no span of its own.
        return ids
    return {**ids, "span_id": trace.format_span_id(context.span_id)}


def fail(span: Span, reason: str) -> None:
    """Mark the work as failed, by a code or the name of an error."""
    span.set_attribute("error.type", reason)
    span.set_status(StatusCode.ERROR)


def to_ns(moment_s: float) -> int:
    """Return a moment of ``time.time()`` as OpenTelemetry takes it."""
    return int(moment_s * 1e9)
