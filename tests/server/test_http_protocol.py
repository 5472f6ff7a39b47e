import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import uvicorn

from gram_server.http_protocol import MAX_HEADER_BYTES, patient_protocol

TIMEOUT_S = 0.5


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"fine"})


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=patient_protocol(TIMEOUT_S), log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join()
    listener.close()


def read_all(connection: socket.socket) -> bytes:
    parts = []
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


def test_an_ordinary_client_notices_nothing(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=20.0) as connection:
        for _ in range(3):
            connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            time.sleep(TIMEOUT_S * 1.5)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
