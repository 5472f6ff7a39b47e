"""Decides by the ``OTEL_*`` names of the environment whether this process records traces.

OpenTelemetry itself reads endpoint, sampling and service name. Recording needs the extra ``otel``.
"""

import logging
import os
import socket
import threading
from collections.abc import Mapping

from gram_server.errors import ConfigError
from gram_server.tracing.tracer import Tracer
from gram_server.version import __version__

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
EXPORTER = "OTEL_TRACES_EXPORTER"
DISABLED = "OTEL_SDK_DISABLED"
PROTOCOL = "http/protobuf"

CLOSE_S = 2.0
"""Seconds to send the last spans at exit."""

logger = logging.getLogger(__name__)


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
        logger.warning("no traces: they need the extra, pip install 'gram-server[otel]'")
        return Tracer()


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment names an endpoint for traces, or the exporter ``otlp``."""
    if _value(environ, DISABLED) == "true":
        return False
    exporter = _value(environ, EXPORTER)
    _require(exporter in ("", "none", "otlp"), EXPORTER, exporter, "must be otlp or none")
    has_endpoint = any(_value(environ, name) for name in ENDPOINTS)
    if exporter == "none" or not (exporter or has_endpoint):
        return False
    for name in PROTOCOLS:
        protocol = _value(environ, name)
        _require(protocol in ("", PROTOCOL), name, protocol, f"must be {PROTOCOL}")
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


def _require(condition: bool, name: str, value: str, reason: str) -> None:
    if not condition:
        raise ConfigError(name, value, reason)
