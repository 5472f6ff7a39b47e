"""HTTP connections that give up on a client whose headers never end: too slow, or too many.

uvicorn waits for the first request of a connection for as long as the client likes.
"""

import asyncio
from typing import Any, NoReturn

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES = 64 << 10
MAX_HEADERS = 100
"""Each is looked through for every header that is read."""
MAX_TARGET_BYTES = 8 << 10
"""Of path and query."""

_TOO_SLOW = b"408 Request Timeout"
_TOO_LONG = b"414 URI Too Long"
_TOO_LARGE = b"431 Request Header Fields Too Large"


class Refused(Exception):
    """The connection was answered and closed: nothing more of it is read."""


class LimitedProtocol(HttpToolsProtocol):
    """A connection that waits for headers only so long, and for only so many."""

    header_timeout_s = 10.0
    _timer: asyncio.TimerHandle | None = None
    _num_bytes = 0
    _num_headers = 0
    _num_unread = 0
    """Bytes since the parser last had something to tell: a part of one header without end."""

    def connection_made(self, transport: Any) -> None:
        """Wait for the headers of the first request."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, as long as there is an end to it."""
        self._num_unread += len(data)
        super().data_received(data)
        if self._num_unread > MAX_HEADER_BYTES:
            self._answer(_TOO_LARGE)

    def send_400_response(self, msg: str) -> None:
        """Say that a request cannot be read, unless another word was said of it."""
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """Wait for the rest of the headers."""
        self._start_timer()
        self._num_bytes = self._num_headers = self._num_unread = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a part of the path."""
        self._count(url)
        if self._num_bytes > MAX_TARGET_BYTES:
            self._refuse(_TOO_LONG)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._count(name + value)
        self._num_headers += 1
        if self._num_headers > MAX_HEADERS:
            self._refuse(_TOO_LARGE)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin with the request."""
        self._stop_timer()
        self._num_unread = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
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
        # The parser would go on with the rest of what came, up to the application.
        raise Refused

    def _answer(self, status: bytes) -> None:
        self._stop_timer()
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            self.transport.close()


def limited_protocol(header_timeout_s: float) -> type[asyncio.Protocol]:
    """Return the class of connections that wait that long for the headers of a request."""
    return type("Connection", (LimitedProtocol,), {"header_timeout_s": header_timeout_s})
