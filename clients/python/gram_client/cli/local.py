"""A local server for the duration of a command, where gram-server is installed."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from queue import Empty, SimpleQueue

import click

from gram_client._client import Client

START_S = 120.0
LISTENING = "listening on "


@contextmanager
def local_server() -> Iterator[str]:
    """Run a server with the shipped models; yield its address once it is ready."""
    if find_spec("gram_server") is None:
        raise click.UsageError("--local needs gram-server: pip install gram-server")
    click.echo("starting the shipped models", err=True)
    command = [sys.executable, "-m", "gram_server.cli", "serve", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    log, found = process.stderr, SimpleQueue[str]()
    assert log is not None

    def read_log() -> None:
        """Read the server's log to its end, so that its pipe never fills."""
        with log:
            for line in log:
                message = json.loads(line).get("message", "") if line.startswith("{") else ""
                if message.startswith(LISTENING):
                    found.put(message.removeprefix(LISTENING))

    reader = threading.Thread(target=read_log, daemon=True)
    reader.start()
    try:
        yield _wait_until_ready(process, found)
    finally:
        process.terminate()
        process.wait()
        reader.join()


def _wait_until_ready(process: "subprocess.Popen[str]", found: "SimpleQueue[str]") -> str:
    give_up_s = time.monotonic() + START_S
    address = ""
    while time.monotonic() < give_up_s and process.poll() is None:
        try:
            address = address or found.get(timeout=0.1)
        except Empty:
            continue
        with Client(address) as client:
            if client.health().is_ready:
                return address
        time.sleep(0.1)
    raise click.ClickException("the local server did not start")
