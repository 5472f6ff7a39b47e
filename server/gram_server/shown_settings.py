"""The settings as they may be shown: everything that is in force, and no secret."""

from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from gram_server.settings import Settings

HIDDEN = "***"


def shown(settings: Settings) -> dict[str, Any]:
    """Return every setting by the part it belongs to, passwords hidden."""
    values = asdict(settings)
    if settings.redis.store is not None:
        values["redis"]["store"] = without_secrets(settings.redis.store)
    return values


def without_secrets(url: str) -> str:
    """Return a URL with its password, and those among its parameters, hidden."""
    parts = urlsplit(url)
    account, at, hosts = parts.netloc.rpartition("@")
    user, colon, _ = account.partition(":")
    query = [
        (name, HIDDEN if "password" in name else value) for name, value in parse_qsl(parts.query)
    ]
    return parts._replace(
        netloc=f"{user}{colon}{HIDDEN if colon else ''}{at}{hosts}",
        query=urlencode(query, safe="*/"),
    ).geturl()
