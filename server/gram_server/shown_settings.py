"""The settings as they may be shown: everything that is in force, and no secret."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import unquote

from gram_server.settings import Settings
from gram_server.store_url import MIN_SECRET, redact_url, secrets_within

OTEL_HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
OTEL_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def shown(settings: Settings) -> dict[str, Any]:
    """Return every setting by the part it belongs to, passwords hidden."""
    values = asdict(settings)
    if settings.redis.store is not None:
        values["redis"]["store"] = redact_url(settings.redis.store)
    return values


def secret_texts(settings: Settings, environ: Mapping[str, str] | None = None) -> set[str]:
    """Return what no line of a log may hold: passwords of URLs, and headers of traces."""
    environ = os.environ if environ is None else environ
    texts = secrets_within(settings.redis.store or "")
    for name in OTEL_ENDPOINTS:
        texts |= secrets_within(environ.get(name, ""))
    for name in OTEL_HEADERS:
        for header in environ.get(name, "").split(","):
            # Name and value are divided by =, or where it is written wrongly by another sign.
            value = header.replace(":", "=", 1).partition("=")[2].strip()
            texts |= {header.strip(), value, unquote(value)}
    return {text for text in texts if len(text) >= MIN_SECRET}
