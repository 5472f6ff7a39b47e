import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import uvicorn

from gram_server.connections import (
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    MAX_TARGET_BYTES,
    limited_protocol,
)

TIMEOUT_S = 0.5


num_asked = 0


async def app(scope: Any, receive: Any, send: Any) -> None:
    global num_asked
    num_asked += 1
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"fine"})


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=limited_protocol(TIMEOUT_S), log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join()
    listener.close()


def read_all(connection: socket.socket) -> bytes:
    parts = []
    # Who was answered before all was read may see the connection reset after the answer.
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("start", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nhost: x\r\na: "])
def test_a_client_that_never_ends_its_headers_is_let_go(
    address: tuple[str, int], start: bytes
) -> None:
    with socket.create_connection(address, timeout=20.0) as connection:
        started_s = time.monotonic()
        connection.sendall(start)
        assert read_all(connection).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - started_s >= TIMEOUT_S * 0.9


def test_a_client_that_drips_its_headers_is_let_go_too(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=20.0) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n")
        started_s = time.monotonic()
        connection.settimeout(0.05)
        answer = b""
        while not answer and time.monotonic() - started_s < 10.0:
            connection.sendall(b"a: b\r\n")
            with suppress(TimeoutError):
                answer = connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_headers_without_end_are_too_many(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=20.0) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n")
        line = b"a: " + b"b" * 1000 + b"\r\n"
        connection.sendall(line * (MAX_HEADER_BYTES // len(line) + 2))
        assert connection.recv(64).startswith(b"HTTP/1.1 431 ")


@pytest.mark.slow
def test_an_ordinary_client_notices_nothing(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=20.0) as connection:
        for _ in range(3):
            connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            time.sleep(TIMEOUT_S * 1.5)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")


REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n"
TOO_MUCH = {
    "one header": (REQUEST + b"a: " + b"b" * MAX_HEADER_BYTES + b"\r\n\r\n", b"431"),
    "many headers": (REQUEST + b"a:\r\n" * MAX_HEADERS + b"\r\n", b"431"),
    "a long path": (b"GET /" + b"a" * MAX_TARGET_BYTES + REQUEST[5:] + b"\r\n", b"414"),
    "a long query": (b"GET /?" + b"a&" * (MAX_TARGET_BYTES // 2) + REQUEST[5:] + b"\r\n", b"414"),
}


@pytest.mark.parametrize(("request_", "status"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_a_request_that_is_too_much_never_reaches_the_application(
    address: tuple[str, int], request_: bytes, status: bytes
) -> None:
    num_before = num_asked
    with socket.create_connection(address, timeout=20.0) as connection:
        connection.sendall(request_ + REQUEST + b"\r\n")
        answer = read_all(connection)
    # A reset may overtake the answer where much was left unread.
    if answer or len(request_) < MAX_HEADER_BYTES:
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert answer.count(b"HTTP/1.1 ") == 1
    assert num_asked == num_before


@pytest.mark.parametrize(
    "start",
    [
        REQUEST + b"a: ",
        REQUEST,
        b"GET /",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\na: ",
    ],
    ids=["value", "name", "path", "trailer"],
)
def test_what_has_no_end_is_not_collected(address: tuple[str, int], start: bytes) -> None:
    num_sent = 0
    with socket.create_connection(address, timeout=20.0) as connection, suppress(OSError):
        connection.sendall(start)
        while num_sent < 64 << 20:
            connection.sendall(b"b" * 65536)
            num_sent += 65536
    # What the system buffers between the two is sent, too.
    assert num_sent < 16 << 20


def test_the_most_that_is_read_is_read(address: tuple[str, int]) -> None:
    lines = [b"GET /?" + b"a" * (MAX_TARGET_BYTES - 2) + b" HTTP/1.1\r\n"]
    lines += [b"a%d: " % number + b"b" * 500 + b"\r\n" for number in range(MAX_HEADERS)]
    with socket.create_connection(address, timeout=20.0) as connection:
        connection.sendall(b"".join(lines) + b"\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    body = b"b" * (4 << 20)
    with socket.create_connection(address, timeout=20.0) as connection:
        head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
