"""A local server for the duration of a command, where gram-server is installed."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec

import click

from gram_client._client import Client
from gram_client._errors import ConnectionFailed

START_S = 120.0


@contextmanager
def local_server() -> Iterator[str]:
    """Run a server with the shipped models; yield its address once it is ready."""
    if find_spec("gram_server") is None:
        raise click.UsageError("--local needs gram-server: in a checkout pip install .")
    click.echo("starting the shipped models", err=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gram_server.cli", "serve", "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield _wait_until_ready(process, f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()


def _wait_until_ready(process: "subprocess.Popen[bytes]", address: str) -> str:
    give_up_s = time.monotonic() + START_S
    with Client(address) as client:
        while time.monotonic() < give_up_s and process.poll() is None:
            with suppress(ConnectionFailed):
                if client.health().is_ready:
                    return address
            time.sleep(0.1)
    raise click.ClickException("the local server did not start")
