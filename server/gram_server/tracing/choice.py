"""Whether this process records traces, by the standard ``OTEL_*`` names of the environment.

Where spans go, what is sampled and what a process is called is read by OpenTelemetry itself.
"""

import logging
import os
from collections.abc import Mapping

from gram_server.errors import ConfigError
from gram_server.tracing.tracer import Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
EXPORTER = "OTEL_TRACES_EXPORTER"
DISABLED = "OTEL_SDK_DISABLED"
PROTOCOL = "http/protobuf"

logger = logging.getLogger(__name__)


def open_tracer(
    service: str, *, instance: str | None = None, environ: Mapping[str, str] | None = None
) -> Tracer:
    """Return a tracer that records where the environment asks for it, else one that does not.

    Args:
        service: what the process is called where the environment gives it no name.
        instance: what tells it from others of that name.
        environ: the environment; None is that of the process.
    """
    if not is_wanted(os.environ if environ is None else environ):
        return Tracer()
    try:
        # An extra: without it the server runs as it does without traces.
        from gram_server.tracing.recording import exporting_tracer
    except ImportError:
        logger.warning("no traces: they need the extra, pip install 'gram-server[otel]'")
        return Tracer()
    return exporting_tracer(service, instance)


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Say whether the environment names a place for traces, or the exporter that knows one."""
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


def _value(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip().lower()


def _require(condition: bool, name: str, value: str, reason: str) -> None:
    if not condition:
        raise ConfigError(name, value, reason)
