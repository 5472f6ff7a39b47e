"""HTTP connections with limits on the time, number and size of request headers.

uvicorn waits without limit for the first request of a connection.
"""

import asyncio
from typing import Any, NoReturn

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES = 64 << 10
MAX_HEADERS = 100
"""Each lookup of a header scans all of them."""
MAX_TARGET_BYTES = 8 << 10
"""Of path and query."""

_TOO_SLOW = b"408 Request Timeout"
_TOO_LONG = b"414 URI Too Long"
_TOO_LARGE = b"431 Request Header Fields Too Large"


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
