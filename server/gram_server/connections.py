"""Limits of connections: the time, number and size of request headers, and file descriptors.

uvicorn waits without limit for the first request of a connection. Every connection takes a
descriptor; without one, the event loop closes new connections silently.
"""

import asyncio
import logging
import os
import resource
import sys
from typing import Any, NoReturn

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES = 64 << 10
MAX_HEADERS = 100
"""Each lookup of a header scans all of them."""
MAX_TARGET_BYTES = 8 << 10
"""Of path and query."""

POLL_S = 1.0
RESERVE = 32
"""Descriptors left below which an error is logged."""

_TOO_SLOW = b"408 Request Timeout"
_TOO_LONG = b"414 URI Too Long"
_TOO_LARGE = b"431 Request Header Fields Too Large"

logger = logging.getLogger(__name__)


class Refused(Exception):
    """The connection was answered and closed: parsing stops."""


class LimitedProtocol(HttpToolsProtocol):
    """A connection with limits on its request headers."""

    header_timeout_s = 10.0
    _timer: asyncio.TimerHandle | None = None
    _num_bytes = 0
    _num_headers = 0
    _num_unread = 0
    """Bytes since the last parser callback: part of an unfinished header."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._num_unread += len(data)
        super().data_received(data)
        if self._num_unread > MAX_HEADER_BYTES:
            self._answer(_TOO_LARGE)

    def send_400_response(self, msg: str) -> None:
        """Answer 400, unless the connection was already answered."""
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def on_message_begin(self) -> None:
        self._start_timer()
        self._num_bytes = self._num_headers = self._num_unread = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(url)
        if self._num_bytes > MAX_TARGET_BYTES:
            self._refuse(_TOO_LONG)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name + value)
        self._num_headers += 1
        if self._num_headers > MAX_HEADERS:
            self._refuse(_TOO_LARGE)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._stop_timer()
        self._num_unread = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._num_unread = 0
        super().on_body(body)

    def _count(self, part: bytes) -> None:
        self._num_unread = 0
        self._num_bytes += len(part)
        if self._num_bytes > MAX_HEADER_BYTES:
            self._refuse(_TOO_LARGE)

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self.header_timeout_s, self._answer, _TOO_SLOW)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: bytes) -> NoReturn:
        self._answer(status)
        # Otherwise the parser would pass the rest on to the application.
        raise Refused

    def _answer(self, status: bytes) -> None:
        self._stop_timer()
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            self.transport.close()


def limited_protocol(header_timeout_s: float) -> type[asyncio.Protocol]:
    return type("Connection", (LimitedProtocol,), {"header_timeout_s": header_timeout_s})


def raise_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            logger.debug("the limit of open files stays at %d: %s", soft, error)


def num_left() -> int:
    """Return a cheap lower bound of the descriptors left."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    try:
        # dup returns the lowest free descriptor.
        lowest = os.dup(2)
    except OSError:
        return 0
    os.close(lowest)
    return limit - lowest


async def watch_descriptors() -> None:
    """Log when descriptors run short and when they suffice again, until cancelled."""
    is_short = False
    while True:
        left = num_left()
        if left < RESERVE and not is_short:
            is_short = True
            logger.error(
                "%d file descriptors are left: new connections will be closed unheard until others "
                "end (ulimit -n)",
                left,
            )
        elif left > 2 * RESERVE and is_short:
            is_short = False
            logger.info("there are enough file descriptors again")
        await asyncio.sleep(POLL_S)
