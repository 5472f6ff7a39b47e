"""HTTP connections that give up on a client whose headers never end: too slow, or too many.

uvicorn waits for the first request of a connection for as long as the client likes.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES = 64 << 10

_TOO_SLOW = b"408 Request Timeout"
_TOO_LARGE = b"431 Request Header Fields Too Large"


class PatientProtocol(HttpToolsProtocol):
    """A connection that waits for headers only so long, and for only so many."""

    header_timeout_s = 10.0
    _timer: asyncio.TimerHandle | None = None
    _num_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Wait for the headers of the first request."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_timer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Wait for the rest of the headers."""
        self._start_timer()
        self._num_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a part of the path."""
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._count(name + value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin with the request."""
        self._stop_timer()
        super().on_headers_complete()

    def _count(self, part: bytes) -> None:
        self._num_bytes += len(part)
        if self._num_bytes > MAX_HEADER_BYTES:
            self._refuse(_TOO_LARGE)

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self.header_timeout_s, self._refuse, _TOO_SLOW)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: bytes) -> None:
        self._stop_timer()
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            self.transport.close()


def patient_protocol(header_timeout_s: float) -> type[asyncio.Protocol]:
    """Return the class of connections that wait that long for the headers of a request."""
    return type("Connection", (PatientProtocol,), {"header_timeout_s": header_timeout_s})
