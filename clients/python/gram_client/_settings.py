"""Where the server is and how patient a client is: argument, environment, default, in this order.

The only module of the package that reads the environment.
"""

import os
from dataclasses import dataclass

import httpx

from gram_client._errors import ConfigInvalid

DEFAULT_BASE_URL = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT_S = 120.0
DEFAULT_MAX_RETRIES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Resolved settings of one client."""

    base_url: str = DEFAULT_BASE_URL
    api_key: str | None = None
    """Sent as a bearer token."""
    timeout_s: float = DEFAULT_TIMEOUT_S
    """Silence after which an attempt is given up; the server answers a solve when it is done."""
    max_retries: int = DEFAULT_MAX_RETRIES

    def __post_init__(self) -> None:
        """Refuse what no call could use."""
        try:
            url = httpx.URL(self.base_url)
        except httpx.InvalidURL as error:
            raise ConfigInvalid(f"base_url={self.base_url!r}: {error}") from error
        if url.scheme not in ("http", "https") or not url.host:
            raise ConfigInvalid(f"base_url={self.base_url!r}: must be an http or https URL")
        if not self.timeout_s > 0:
            raise ConfigInvalid(f"timeout_s={self.timeout_s!r}: must be above 0")
        if self.max_retries < 0:
            raise ConfigInvalid(f"max_retries={self.max_retries!r}: must be at least 0")


def resolve(
    base_url: str | None, api_key: str | None, *, timeout_s: float, max_retries: int
) -> Settings:
    """Fill what was not given from ``GRAM_BASE_URL`` and ``GRAM_API_KEY``, then the defaults."""
    return Settings(
        base_url=base_url or os.environ.get("GRAM_BASE_URL") or DEFAULT_BASE_URL,
        api_key=api_key or os.environ.get("GRAM_API_KEY") or None,
        timeout_s=timeout_s,
        max_retries=max_retries,
    )
