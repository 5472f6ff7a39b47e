"""OpenTelemetry traces across processes: always propagated, recorded if configured."""

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind

from gram_server.tracing.export import open_tracer
from gram_server.tracing.tracer import (
    Attributes,
    Tracer,
    below,
    fail,
    headers_of,
    log_ids,
    read_trace,
    to_ns,
)

__all__ = [
    "Attributes",
    "Context",
    "Span",
    "SpanKind",
    "Tracer",
    "below",
    "fail",
    "headers_of",
    "log_ids",
    "open_tracer",
    "read_trace",
    "to_ns",
]
