"""Server address and timeouts: argument, environment, default, in this order.

The only module of the package that reads the environment.
"""

import logging
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Unpack

import httpx

from gram_client._errors import ConfigInvalid
from gram_client._options import ClientOptions

DEFAULT_BASE_URL = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT_S = 120.0
DEFAULT_MAX_RETRIES = 2
CONNECT_S = 5.0
"""Time for a connection; a server that is there takes one at once."""
LOG_LEVELS = ("debug", "info")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Resolved settings of one client."""

    base_url: str = field(default=DEFAULT_BASE_URL, repr=False)
    """May hold a user and a password; ``shown_url`` hides them."""
    shown_url: str = field(init=False)
    """The address without user and password, for messages."""
    api_key: str | None = field(default=None, repr=False)
    """Sent as a bearer token; never shown."""
    timeout_s: float = DEFAULT_TIMEOUT_S
    """Silence after which an attempt is given up; the server answers a solve when it is done."""
    max_retries: int = DEFAULT_MAX_RETRIES
    default_headers: Mapping[str, str] | None = field(default=None, repr=False)
    """Sent with every call; they may hold secrets."""

    def __post_init__(self) -> None:
        shown = str(self.base_url).rpartition("@")[2]
        try:
            url = httpx.URL(self.base_url)
        except (httpx.InvalidURL, TypeError) as error:
            raise ConfigInvalid(f"base_url={shown!r}: {error}") from error
        if url.scheme not in ("http", "https") or not url.host:
            raise ConfigInvalid(f"base_url={shown!r}: must be an http or https URL")
        if url.port is not None and not 0 < url.port < 1 << 16:
            raise ConfigInvalid(f"base_url={shown!r}: a port is at most 65535")
        object.__setattr__(self, "shown_url", str(url.copy_with(userinfo=b"")))
        if self.api_key is not None:
            header_value("api_key", self.api_key)
        if not (isinstance(self.timeout_s, int | float) and self.timeout_s > 0):
            raise ConfigInvalid(f"timeout_s={self.timeout_s!r}: must be a number above 0")
        if not (isinstance(self.max_retries, int) and self.max_retries >= 0):
            raise ConfigInvalid(f"max_retries={self.max_retries!r}: must be an int of at least 0")
        for name, value in (self.default_headers or {}).items():
            header_value(name, value)


def header_value(name: str, value: str) -> str:
    """Return a value that a header can carry; refuse others without printing them."""
    is_text = isinstance(value, str) and value.isascii() and value.isprintable()
    if not is_text or not value or value != value.strip():
        raise ConfigInvalid(f"{name}: must be printable ASCII without spaces at its ends")
    return value


def resolve(
    base_url: str | None, api_key: str | None, **options: Unpack[ClientOptions]
) -> Settings:
    """Fill missing values from ``GRAM_BASE_URL`` and ``GRAM_API_KEY``, then the defaults.

    ``GRAM_LOG`` shows the calls of every client on standard error.
    """
    if level := os.environ.get("GRAM_LOG", ""):
        if level.lower() not in LOG_LEVELS:
            raise ConfigInvalid(f"GRAM_LOG={level!r}: must be {' or '.join(LOG_LEVELS)}")
        logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s")
        logging.getLogger("gram_client").setLevel(level.upper())
    return Settings(
        base_url=base_url or os.environ.get("GRAM_BASE_URL") or DEFAULT_BASE_URL,
        api_key=api_key or os.environ.get("GRAM_API_KEY") or None,
        **options,
    )


def check_connections(http_client: object, kind: type[httpx.Client | httpx.AsyncClient]) -> None:
    """Refuse connections of another kind, with which no call would succeed."""
    if http_client is not None and not isinstance(http_client, kind):
        found = type(http_client).__name__
        raise ConfigInvalid(f"http_client: must be an httpx.{kind.__name__}, not {found}")


def has_colors() -> bool:
    """Return whether people who look at a terminal want colours on it (no-color.org)."""
    return not os.environ.get("NO_COLOR") and not is_dumb()


def is_dumb() -> bool:
    """Return whether the terminal can only add lines."""
    return os.environ.get("TERM") == "dumb"


def tls_context() -> ssl.SSLContext:
    """Return the TLS context that all clients share, as reading the roots is slow."""
    return _tls_context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _tls_context(file: str | None, folder: str | None) -> ssl.SSLContext:
    # httpx reads both variables itself.
    return httpx.create_ssl_context()
