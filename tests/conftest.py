"""Settings every test shares, and the real Redis that tests marked redis talk to."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from gram_core.errors import ExactUnavailable

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")

# Triton reads this when it is first imported, by whichever test comes first: kernels run natively
# on a GPU, else in its interpreter.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    """Skip a test that asks for the exact side where it is not installed, as on a bare GPU host."""
    try:
        return (yield)
    except ExactUnavailable as error:
        if find_spec("ortools") is None:
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tensors here are too small for two threads, which wait for each other on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@dataclass(slots=True)
class RedisServer:
    """A redis-server process of the tests' own, on a port of its own."""

    folder: Path
    flags: tuple[str, ...] = ()
    port: int = 0
    process: "subprocess.Popen[bytes]" = field(init=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> "RedisServer":
        """Start it, or start it again with what it kept on disk."""
        self.port = self.port or free_port()
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", str(self.folder), "--save", "", "--enable-debug-command", "yes"]
        log = self.folder / "redis.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen([*command, *self.flags], stdout=output, stderr=output)
        end_s = time.monotonic() + 20.0
        while not self._answers():
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < end_s, log.read_text()
            time.sleep(0.01)
        return self

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(20.0)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20.0)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


StartRedis = Callable[..., RedisServer]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def redis_binary() -> str:
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("there is no redis-server on this machine: install it to run this test")
    return binary


@pytest.fixture
def start_redis(redis_binary: str, tmp_path: Path) -> Iterator[StartRedis]:
    """Start a Redis of the test's own, with flags such as ``--appendonly yes``."""
    servers: list[RedisServer] = []

    def start(*flags: str) -> RedisServer:
        folder = tmp_path / f"redis{len(servers)}"
        folder.mkdir()
        servers.append(RedisServer(folder, flags).start())
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def redis_url(redis_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Redis for all tests that leave nothing behind, or empty it first."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server.url
    server.stop()
