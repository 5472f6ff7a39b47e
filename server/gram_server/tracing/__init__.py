"""Traces across processes: W3C Trace Context always, spans of OpenTelemetry where wanted."""

from gram_server.tracing.choice import open_tracer
from gram_server.tracing.context import TraceContext, current_trace
from gram_server.tracing.tracer import Attributes, Kind, Span, Tracer, reason_of

__all__ = [
    "Attributes",
    "Kind",
    "Span",
    "TraceContext",
    "Tracer",
    "current_trace",
    "open_tracer",
    "reason_of",
]
