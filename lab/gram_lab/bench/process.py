"""Starts a server to compare with, waits until it answers, and ends it with all its children."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from gram_lab.bench.client import Form, Target
from gram_server.errors import ServerError

START_S = 180.0
STOP_S = 20.0


class TargetNotReady(ServerError):
    """A server to compare with did not come up."""

    code = "target_not_ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """How one of the servers is started and asked."""

    name: str
    arguments: tuple[str, ...]
    """What follows ``python``; the port and the rest come after."""
    health: str = "/health"
    form: Form = "body"
    environment: Mapping[str, str] = field(default_factory=dict)


class Started(NamedTuple):
    """A server that is ready."""

    target: Target
    pid: int
    ready_s: float
    """From the start of its process."""


@contextmanager
def running(
    contender: Contender, *, models: Sequence[str], num_threads: int, log: Path, timeout_s: float
) -> Iterator[Started]:
    """Run a server for as long as the context is open, or until SIGTERM ends this process.

    Only in the main thread.
    """
    port = _free_port()
    command = [sys.executable, *contender.arguments, "--port", str(port)]
    command += ["--num-threads", str(num_threads)]
    command += [part for model in models for part in ("--model", model)]
    # All of them wait for their threads alike: see the command line's own setting.
    environment = {**os.environ, "GOMP_SPINCOUNT": "3000", **contender.environment}
    started_s = time.perf_counter()
    told: list[int] = []
    # Between its start and our care for it the server must not be left alone.
    previous = signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        if told:
            sys.exit(1)
        _wait_ready(process, url + contender.health, contender.name)
        target = Target(url=url, form=contender.form, timeout_s=timeout_s)
        yield Started(target, process.pid, time.perf_counter() - started_s)
    finally:
        # Told twice, this goes on with what it is about.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _end(process)
        signal.signal(signal.SIGTERM, previous)


def _wait_ready(process: "subprocess.Popen[bytes]", url: str, name: str) -> None:
    end_s = time.monotonic() + START_S
    while time.monotonic() < end_s:
        if process.poll() is not None:
            raise TargetNotReady(f"{name} ended with status {process.returncode}")
        if _answers(url):
            return
        time.sleep(0.05)
    raise TargetNotReady(f"{name} is not ready after {START_S:.0f} s")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5.0) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask for an end, then end the whole group, which is the server's own."""
    with suppress(subprocess.TimeoutExpired):
        process.terminate()
        process.wait(STOP_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
