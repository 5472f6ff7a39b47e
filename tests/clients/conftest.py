"""A scripted server for each test, and both clients to call it with."""

import socket
from collections.abc import Iterator

import pytest

from tests.clients.scripted import Caller, ScriptedServer


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.close()


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, server: ScriptedServer) -> Caller:
    return Caller(
        is_async=request.param == "async",
        base_url=server.url,
        received=server.received,
        say=server.say,
    )


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
