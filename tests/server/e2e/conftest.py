"""Real servers: a uvicorn process with its worker process, on a small model that can solve."""

import json
import math
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest
import torch

from gram_core import puzzles
from gram_core.catalog import CONFIG_FILE, find_model
from gram_core.checkpoint import save_model
from tests.server.conftest import copying_model

START_S = 60.0
EASY = ".234341221434321"
"""A 4x4 sudoku with one open cell."""


@dataclass(slots=True)
class Server:
    """A running ``gram-server serve``."""

    process: subprocess.Popen[str]
    started_s: float = field(default_factory=time.monotonic)
    lines: list[dict[str, str]] = field(default_factory=list)
    talk: list[str] = field(default_factory=list)
    url: str = ""
    reader: threading.Thread = field(init=False)
    ready_after_s: float = 0.0
    ready_cpu_s: float = 0.0

    def begin(self) -> "Server":
        """Read its log from now on, and return once it is ready."""
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()
        self.wait_ready()
        return self

    def read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith("{"):
                self.lines.append(json.loads(line))
                message = self.lines[-1]["message"]
                if message.startswith("listening on "):
                    self.url = message.removeprefix("listening on ")
            else:
                self.talk.append(line)

    @property
    def worker_pids(self) -> list[int]:
        messages = [line["message"] for line in self.lines]
        starts = [text for text in messages if text.startswith("worker pid=") and "started" in text]
        return [int(text.split()[1].removeprefix("pid=")) for text in starts]

    def wait_ready(self) -> None:
        self.wait(lambda: bool(self.url) and self._is_ready())
        self.ready_after_s = time.monotonic() - self.started_s
        api = psutil.Process(self.process.pid)
        times = [process.cpu_times() for process in (api, *api.children(recursive=True))]
        self.ready_cpu_s = sum(spent.user + spent.system for spent in times)

    def wait(self, condition: Callable[[], bool], *, timeout_s: float = START_S) -> None:
        end_s = time.monotonic() + timeout_s
        while not condition():
            assert self.process.poll() is None, "\n".join(self.talk) or self.lines[-5:]
            assert time.monotonic() < end_s, (self.talk, self.lines[-5:])
            time.sleep(0.02)

    def metrics(self) -> dict[str, float]:
        """Return every sample of GET /metrics by its text."""
        text = httpx.get(f"{self.url}/metrics").text
        samples = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in samples}

    def is_running(self) -> bool:
        """Say whether a worker holds a job."""
        return self.metrics()["gram_running_jobs"] > 0

    @contextmanager
    def solving(
        self, params: Mapping[str, str | int], content: str = EASY
    ) -> Iterator["Future[httpx.Response]"]:
        """Post a puzzle beside the test, which goes on once a worker holds a job."""
        url = f"{self.url}/solve"
        with ThreadPoolExecutor(1) as pool:
            posted = pool.submit(httpx.post, url, params=params, content=content, timeout=240.0)
            self.wait(self.is_running)
            yield posted

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20.0)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()

    def _is_ready(self) -> bool:
        return httpx.get(f"{self.url}/readyz").status_code == 200


Start = Callable[..., Server]
MakeServer = Callable[["subprocess.Popen[str]"], Server]


def is_whole(board: str) -> bool:
    """Judge a sudoku by its rows, columns and boxes, written out here."""
    side = math.isqrt(len(board))
    box = math.isqrt(side)
    rows = [board[start : start + side] for start in range(0, side * side, side)]
    columns = ["".join(row[place] for row in rows) for place in range(side)]
    boxes = [
        "".join(row[c : c + box] for row in rows[r : r + box])
        for r in range(0, side, box)
        for c in range(0, side, box)
    ]
    digits = [str(digit) for digit in range(1, side + 1)]
    return all(sorted(group) == digits for group in rows + columns + boxes)


def save_guesser(path: Path, task_name: str, *, guesses: tuple[int, int] | None = None) -> Path:
    """Save a random model that keeps the givens and guesses the rest: one of two, or anything."""
    task = puzzles.task(task_name)
    model = copying_model(task)
    if guesses is not None:
        direction = torch.randn_like(model.decoder.weight[0])
        model.decoder.weight.zero_()
        for token, sign in zip(guesses, (1.0, -1.0), strict=True):
            model.decoder.weight[token] = sign * direction
    save_model(path, model, name=task_name, task=task, depth=16, dtype=torch.float32)
    return path


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_guesser(tmp_path_factory.mktemp("weights") / "sudoku-4x4", "sudoku-4x4")


@pytest.fixture(scope="session")
def maze_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "maze-2x3"
    return save_guesser(path, "maze-2x3", guesses=(puzzles.BLANK, puzzles.FIRST_VALUE))


@pytest.fixture(scope="session")
def generating(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped 4x4 weights, which fill an empty board too, told to generate."""
    path = tmp_path_factory.mktemp("weights") / "sudoku-4x4-generate"
    shutil.copytree(find_model("sudoku-4x4").path, path)
    config = json.loads((path / CONFIG_FILE).read_text())
    config |= {"name": path.name, "purpose": "generate"}
    (path / CONFIG_FILE).write_text(json.dumps(config))
    return path


@pytest.fixture(scope="session")
def start_server(checkpoint: Path) -> Iterator[Start]:
    """Start a server with flags of its own; it is stopped at the end."""
    servers: list[Server] = []

    def start(*flags: str) -> Server:
        command = [sys.executable, "-m", "gram_server.cli", "serve", "--port", "0"]
        command += ["--model", str(checkpoint), "--num-threads", "1", *flags]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        servers.append(Server(process))
        return servers[-1].begin()

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def make_server() -> Iterator[MakeServer]:
    """Look after a server that a test starts in its own way; return it once it is ready."""
    servers: list[Server] = []

    def make(process: "subprocess.Popen[str]") -> Server:
        servers.append(Server(process))
        return servers[-1].begin()

    yield make
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def server(start_server: Start, maze_checkpoint: Path, generating: Path) -> Server:
    """One server for every test that leaves it as it was."""
    models = (str(maze_checkpoint), str(generating), "sudoku-9x9")
    # Answers are compared with those of the plain model.
    flags = ("--precision", "fp32")
    return start_server(*flags, *(word for model in models for word in ("--model", model)))
