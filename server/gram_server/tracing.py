"""OpenTelemetry traces across processes: always propagated, recorded if configured.

The ``OTEL_*`` names of the environment decide whether this process records spans, which needs the
extra ``otel``; OpenTelemetry itself reads endpoint, sampling and service name. Attributes never
hold a puzzle or an answer, nor the text of an error.
"""

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context as Context
from opentelemetry.trace import Span as Span
from opentelemetry.trace import SpanKind as SpanKind
from opentelemetry.trace import StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gram_server import __version__
from gram_server.errors import require
from gram_server.job import PRIORITY_CLASSES, Job
from gram_server.logs import logged_with

MAX_STATE_CHARS = 512
"""Longer ``tracestate`` values are dropped, as the standard allows."""
MAX_PARENT_CHARS = 128
"""This version of the standard takes 55; later versions may take more."""

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
EXPORTER = "OTEL_TRACES_EXPORTER"
DISABLED = "OTEL_SDK_DISABLED"
PROTOCOL = "http/protobuf"
CLOSE_S = 2.0
"""Seconds to send the last spans at exit."""

Attributes = Mapping[str, str | int | float | bool]

_PROPAGATOR = TraceContextTextMapPropagator()

logger = logging.getLogger(__name__)


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
        self, name: str, *, parent: Context | None = None, kind: SpanKind = SpanKind.INTERNAL
    ) -> Iterator[Span]:
        """Run the body in a span, and add its ids to log lines."""
        span = self.start(name, parent=parent, kind=kind)
        if not span.get_span_context().is_valid:
            # Neither recorded nor passed on.
            yield span
            return
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


def open_tracer(
    service: str, *, instance: str | None = None, environ: Mapping[str, str] | None = None
) -> Tracer:
    """Return a tracer that records if the environment asks for it, else one that does not.

    Args:
        service: name of the process, if the environment gives none.
        instance: distinguishes processes of one service.
        environ: the environment; None is that of the process.
    """
    if not is_wanted(os.environ if environ is None else environ):
        return Tracer()
    try:
        return _exporting_tracer(service, instance)
    except ImportError:
        logger.warning("no traces: they need the extra otel, in a checkout pip install '.[otel]'")
        return Tracer()


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment names an endpoint for traces, or the exporter ``otlp``."""
    if _value(environ, DISABLED) == "true":
        return False
    exporter = _value(environ, EXPORTER)
    require(exporter in ("", "none", "otlp"), EXPORTER, exporter, "must be otlp or none")
    has_endpoint = any(_value(environ, name) for name in ENDPOINTS)
    if exporter == "none" or not (exporter or has_endpoint):
        return False
    for name in PROTOCOLS:
        protocol = _value(environ, name)
        require(protocol in ("", PROTOCOL), name, protocol, f"must be {PROTOCOL}")
    return True


def _exporting_tracer(service: str, instance: str | None) -> Tracer:
    # An optional extra, and slow to import.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = OTELResourceDetector().detect().attributes
    attributes = {
        "service.name": service,
        "service.version": __version__,
        "service.instance.id": instance or f"{socket.gethostname()}-{os.getpid()}",
    }
    resource = Resource.create({**attributes, **named})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))

    def close() -> None:
        # The provider's own timeout is longer than a process manager's.
        closing = threading.Thread(target=provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_S)

    return Tracer(provider.get_tracer("gram_server", __version__), close=close)


def _value(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip().lower()


class JobTrace:
    """Spans of a job's wait in the queue, and of a worker's work from its claim to its end."""

    def __init__(self, tracer: Tracer, job: Job, *, claimed_s: float) -> None:
        """``claimed_s`` is when the job left the queue, on the clock of ``time.time()``."""
        self._tracer = tracer
        self._job = job
        self._claimed_s = claimed_s
        parent = read_trace(job.traceparent, job.tracestate)
        queued_s = min(job.submitted_s, claimed_s)
        tracer.start("queue", parent=parent, start_s=queued_s).end(to_ns(claimed_s))
        self._span = tracer.start(
            "solve" if job.sampling is None else "generate",
            parent=parent,
            kind=SpanKind.CONSUMER,
            start_s=claimed_s,
            attributes={
                "messaging.operation.type": "process",
                "messaging.message.id": job.id,
                "gram.puzzle": job.puzzle,
                "gram.model": job.model,
                "gram.width": job.options.width,
                "gram.priority": PRIORITY_CLASSES[job.priority],
                "gram.attempt": job.attempt,
            },
        )
        if job.attempt:
            # The lost worker's span is missing; the trace and the job are the same.
            self._span.add_event("redelivered", attributes={"gram.attempt": job.attempt})

    @contextmanager
    def logged(self) -> Iterator[None]:
        with logged_with(**{**self._job.log_ids, **log_ids(self._span)}):
            yield

    @contextmanager
    def step(self, name: str, kind: SpanKind = SpanKind.INTERNAL) -> Iterator[None]:
        with self.logged(), self._tracer.span(name, parent=below(self._span), kind=kind):
            yield

    def engine_ended(
        self, *, queue_s: float, engine_s: float, found_s: Sequence[float], **counts: int
    ) -> None:
        """Record the engine's spans from its report: the wait for a slot, then the steps.

        ``found_s`` is when each solution was found after the wait.
        """
        if not self._span.is_recording():
            return
        admitted_s = self._claimed_s + queue_s
        # The engine took the job a moment after the claim.
        ended_s = min(admitted_s + engine_s, time.time())
        engine = self._begin("engine", self._span, self._claimed_s)
        engine.set_attributes({f"gram.{name}": number for name, number in counts.items()})
        self._begin("admission", engine, self._claimed_s).end(to_ns(admitted_s))
        steps = self._begin("steps", engine, admitted_s)
        if found_s:
            steps.add_event("first solution", timestamp=to_ns(admitted_s + min(found_s)))
        steps.end(to_ns(ended_s))
        engine.end(to_ns(ended_s))

    def end(self, outcome: str, *, is_failure: bool = False) -> None:
        """``outcome`` says how the job ended, or why it failed."""
        self._span.set_attribute("gram.outcome", outcome)
        if is_failure:
            fail(self._span, outcome)
        self._span.end()

    def _begin(self, name: str, parent: Span, start_s: float) -> Span:
        return self._tracer.start(name, parent=below(parent), start_s=start_s)
