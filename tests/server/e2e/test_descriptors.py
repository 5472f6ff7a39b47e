"""A server that runs out of file descriptors says so, and serves again once there are some."""

import resource
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.server.e2e.conftest import MakeServer, Server

pytestmark = pytest.mark.slow

LIMIT = 128


def start(checkpoint: Path) -> "subprocess.Popen[str]":
    """Start a server that may open few files."""
    command = [sys.executable, "-m", "gram_server", "serve", "--port", "0", "--num-threads", "1"]
    return subprocess.Popen(
        [*command, "--model", str(checkpoint)],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT)),
    )


def test_a_server_without_descriptors_says_so_and_comes_back(
    checkpoint: Path, make_server: MakeServer
) -> None:
    server = make_server(start(checkpoint))
    host, port = server.url.removeprefix("http://").split(":")
    taken = [socket.create_connection((host, int(port))) for _ in range(LIMIT)]
    try:
        server.wait(lambda: said(server, "file descriptors are left"))
    finally:
        for connection in taken:
            connection.close()
    server.wait(lambda: said(server, "enough file descriptors again"))
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    samples = server.metrics()
    assert samples["process_max_fds"] == LIMIT
    assert samples["process_open_fds"] > 0
    assert samples["gram_worker_process_resident_memory_bytes"] > 1e7


def said(server: Server, words: str) -> bool:
    return any(words in line["message"] for line in server.lines)


def test_a_server_takes_as_many_files_as_it_may(server: Server) -> None:
    limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    assert limits[0] == limits[1]
