"""Spans that OpenTelemetry records. The only module that imports it; needs the extra ``otel``."""

import os
import socket
import threading
from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, TraceState

from gram_server.tracing.context import TraceContext
from gram_server.tracing.tracer import Attributes, Kind, Span, Tracer
from gram_server.version import __version__

FAREWELL_S = 2.0
"""How long a process that ends tries to send its last spans."""

_KINDS: Mapping[Kind, SpanKind] = {kind: SpanKind[kind.name] for kind in Kind}


class RecordedSpan(Span):
    """A piece of work that is recorded, if the sampler says so."""

    def __init__(self, span: trace.Span) -> None:
        super().__init__(_from_otel(span.get_span_context()))
        self._span = span
        self.is_recording = span.is_recording()

    @property
    def is_ours(self) -> bool:
        """Whether ``context`` is that of this span, and not of the one above it."""
        return True

    def rename(self, name: str) -> None:
        """Give the span the name that became known."""
        self._span.update_name(name)

    def set(self, attributes: Attributes) -> None:
        """Add what became known of the work."""
        self._span.set_attributes(attributes)

    def add_event(
        self, name: str, *, at_s: float | None = None, attributes: Attributes | None = None
    ) -> None:
        """Note a moment, on the clock of ``time.time()``; now without one."""
        self._span.add_event(name, attributes, _to_ns(at_s))

    def fail(self, reason: str) -> None:
        """Mark the work as failed, by a code or the name of an error."""
        self._span.set_attribute("error.type", reason)
        self._span.set_status(trace.StatusCode.ERROR)

    def end(self, at_s: float | None = None) -> None:
        """End the work."""
        self._span.end(_to_ns(at_s))


class RecordingTracer(Tracer):
    """Begins spans of a provider of OpenTelemetry."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("gram_server", __version__)

    def start(
        self,
        name: str,
        *,
        parent: TraceContext | None,
        kind: Kind = Kind.INTERNAL,
        start_s: float | None = None,
        attributes: Attributes | None = None,
    ) -> Span:
        """Begin a span, now or at a moment of ``time.time()``; the caller ends it."""
        span = self._tracer.start_span(
            name,
            context=_to_otel(parent),
            kind=_KINDS[kind],
            attributes=attributes,
            start_time=_to_ns(start_s),
        )
        return RecordedSpan(span)

    def close(self) -> None:
        """Send what was recorded and not yet sent, if a collector is there to take it."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(FAREWELL_S)


def exporting_tracer(service: str, instance: str | None) -> RecordingTracer:
    """Return a tracer that sends its spans where the standard ``OTEL_*`` names say."""
    named = OTELResourceDetector().detect().attributes
    attributes = {
        "service.name": service,
        "service.version": __version__,
        "service.instance.id": instance or f"{socket.gethostname()}-{os.getpid()}",
    }
    resource = Resource.create({**attributes, **named})
    # Closed by us, with patience of our own.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return RecordingTracer(provider)


def _to_otel(context: TraceContext | None) -> Context:
    if context is None:
        return Context()
    span_context = SpanContext(
        trace_id=int(context.trace_id, 16),
        span_id=int(context.span_id, 16),
        is_remote=context.is_remote,
        trace_flags=TraceFlags(context.flags),
        trace_state=TraceState.from_header([context.state] if context.state else []),
    )
    return trace.set_span_in_context(NonRecordingSpan(span_context), Context())


def _from_otel(context: SpanContext) -> TraceContext | None:
    if not context.is_valid:
        return None
    return TraceContext(
        trace_id=trace.format_trace_id(context.trace_id),
        span_id=trace.format_span_id(context.span_id),
        flags=int(context.trace_flags),
        state=context.trace_state.to_header(),
    )


def _to_ns(moment_s: float | None) -> int | None:
    return None if moment_s is None else int(moment_s * 1e9)
