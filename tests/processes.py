"""Processes of gram-server, what they log, and waiting for what they come to."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

WAIT_S = 100.0
"""Far more than anything takes where a machine is not busy; less than a test may take."""


@dataclass(slots=True)
class Running:
    """A process of ours, and the file it logs to."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def text(self) -> str:
        return self.log.read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20.0)

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def line(self, is_wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the only line of a kind, which may be a moment behind what it is about."""

        def found() -> list[dict[str, Any]]:
            texts = self.text.splitlines(keepends=True)
            # The last one may be only half written; what is no JSON, a library has said.
            whole = [text for text in texts if text.startswith("{") and text.endswith("\n")]
            return [line for line in map(json.loads, whole) if is_wanted(line)]

        wait_for(lambda: bool(found()), lambda: self.text)
        [line] = found()
        return line

    def access(self, request_id: str) -> dict[str, Any]:
        """Return the line about a request that has its answer."""
        return self.line(lambda line: line.get("request_id") == request_id and "status" in line)

    def url(self, words: str = "listening on ") -> str:
        """Return where it listens."""
        return str(self.line(lambda line: words in line["message"])["message"]).removeprefix(words)


@contextmanager
def running(
    log: Path,
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    python: str | Path = sys.executable,
    folder: Path | None = None,
) -> Iterator[Running]:
    """Run a command of gram-server, and end it as its supervisor would."""
    command = [str(python), "-m", "gram_server.cli", *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stderr=output, env=environ or os.environ, cwd=folder)
    try:
        yield Running(process, log)
        process.terminate()
        assert process.wait(WAIT_S) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def wait_for(
    condition: Callable[[], bool],
    explain: Callable[[], str] = lambda: "it never comes so far",
    *,
    timeout_s: float = WAIT_S,
) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, explain()
        time.sleep(0.02)


async def until(
    condition: Callable[[], object], *, timeout_s: float = WAIT_S, every_s: float = 0.001
) -> None:
    """Wait for a condition, which may have to be awaited itself."""
    async with asyncio.timeout(timeout_s):
        # What is waited for may happen in another process.
        while not (await found if isinstance(found := condition(), Awaitable) else found):  # noqa: ASYNC110
            await asyncio.sleep(every_s)


def wait_until_ready(url: str) -> None:
    with httpx.Client(base_url=url, timeout=WAIT_S) as client:
        wait_for(lambda: client.get("/readyz").is_success, lambda: client.get("/readyz").text)
