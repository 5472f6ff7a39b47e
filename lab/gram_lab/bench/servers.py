"""Starts the compared servers, waits until they are ready, and stops them and their children."""

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
from dataclasses import dataclass
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
    """Follow ``python``; the port and other flags are appended."""
    health: str = "/health"
    form: Form = "body"


OURS = "gram-server"
_BASELINES = ("-m", "gram_lab.bench.baselines")
_SERVE = ("serve", "--log-level", "warning")
CONTENDERS: Mapping[str, Contender] = {
    "naive": Contender(name="a naive FastAPI loop", arguments=(*_BASELINES, "naive")),
    "litserve": Contender(
        name="LitServe, dynamic batches of 8 requests", arguments=(*_BASELINES, "litserve")
    ),
    "static": Contender(
        name="our engine, static batching",
        arguments=("-m", "gram_lab.bench.static_batching", *_SERVE),
        health="/readyz",
        form="query",
    ),
    OURS: Contender(
        name=OURS, arguments=("-m", "gram_server.cli", *_SERVE), health="/readyz", form="query"
    ),
}


class Started(NamedTuple):
    """A server that is ready."""

    target: Target
    pid: int
    ready_s: float
    """From the start of its process."""


@contextmanager
def running(
    contender: Contender,
    *,
    models: Sequence[str],
    num_threads: int,
    log: Path = Path(os.devnull),
    timeout_s: float = 60.0,
) -> Iterator[Started]:
    """Run a server for as long as the context is open, or until SIGTERM ends this process.

    Only in the main thread.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    command = [sys.executable, *contender.arguments, "--port", str(port)]
    command += ["--num-threads", str(num_threads)]
    command += [part for model in models for part in ("--model", model)]
    # All servers spin alike; gram-server's command line sets the same value.
    environment = {**os.environ, "GOMP_SPINCOUNT": "3000"}
    started_s = time.perf_counter()
    signals: list[int] = []
    # A signal between the start and the try would leave the server running.
    previous = signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        if signals:
            sys.exit(1)
        _wait_ready(process, url + contender.health, contender.name)
        target = Target(url=url, form=contender.form, timeout_s=timeout_s)
        yield Started(target, process.pid, time.perf_counter() - started_s)
    finally:
        # A second signal must not interrupt the cleanup.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with suppress(subprocess.TimeoutExpired):
            process.terminate()
            process.wait(STOP_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        signal.signal(signal.SIGTERM, previous)


def _wait_ready(process: "subprocess.Popen[bytes]", url: str, name: str) -> None:
    end_s = time.monotonic() + START_S
    while time.monotonic() < end_s:
        if process.poll() is not None:
            raise TargetNotReady(f"{name} ended with status {process.returncode}")
        with suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(url, timeout=5.0).close()
            return
        time.sleep(0.05)
    raise TargetNotReady(f"{name} is not ready after {START_S:.0f} s")
