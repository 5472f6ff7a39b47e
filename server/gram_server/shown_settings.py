"""The settings without secrets, and the secrets to hide in logs."""

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
    """Return the settings by part, with passwords hidden."""
    values = asdict(settings)
    if settings.redis.store is not None:
        values["redis"]["store"] = redact_url(settings.redis.store)
    return values


def secret_texts(settings: Settings, environ: Mapping[str, str] | None = None) -> set[str]:
    """Return the texts to hide in logs: passwords in URLs, and headers of OTLP requests."""
    environ = os.environ if environ is None else environ
    texts = secrets_within(settings.redis.store or "")
    for name in OTEL_ENDPOINTS:
        texts |= secrets_within(environ.get(name, ""))
    for name in OTEL_HEADERS:
        for header in environ.get(name, "").split(","):
            # The separator is =; a : is a common mistake.
            value = header.replace(":", "=", 1).partition("=")[2].strip()
            texts |= {header.strip(), value, unquote(value)}
    return {text for text in texts if len(text) >= MIN_SECRET}
