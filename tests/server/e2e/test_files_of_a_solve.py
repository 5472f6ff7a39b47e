"""How many files of ours one ``POST /solve`` runs through, in the API and its worker together."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import gram_core
import gram_kernels
import gram_server
from tests.server.e2e.conftest import MakeServer

pytestmark = pytest.mark.slow

EASY = ".234341221434321"
MAX_FILES = 42
SOLVES = 4
"""What runs beside a solve now and then (signs of life, reports of the worker) is not in each."""
WATCH = {"supervisor.py", "child.py"}
"""The watch over the worker runs beside a solve too: on a busy machine, beside each."""
PACKAGES = [Path(module.__path__[0]) for module in (gram_core, gram_kernels, gram_server)]

# Every Python process of the server runs it first.
TRACER = """
import itertools, os, sys, threading, time
from pathlib import Path

FOLDER = Path(os.environ["TRACE_FOLDER"])
is_on = False
seen = set()

def note(frame, event, argument):
    if is_on and event == "call":
        seen.add(frame.f_code.co_filename)

def watch():
    global is_on
    for solve in itertools.count():
        flag = FOLDER / f"flag{solve}"
        while not flag.exists():
            time.sleep(0.01)
        seen.clear()
        is_on = True
        (FOLDER / f"on{solve}.{os.getpid()}").touch()
        while flag.exists():
            time.sleep(0.01)
        is_on = False
        part = FOLDER / f"part{solve}.{os.getpid()}"
        part.write_text("\\n".join(seen))
        part.rename(FOLDER / f"seen{solve}.{os.getpid()}")

threading.Thread(target=watch, daemon=True).start()
threading.setprofile(note)
sys.setprofile(note)
"""


def start_traced(checkpoint: Path, folder: Path) -> "subprocess.Popen[str]":
    (folder / "sitecustomize.py").write_text(TRACER)
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "TRACE_FOLDER": str(folder)}
    command = [sys.executable, "-m", "gram_server.cli", "serve", "--port", "0", "--num-threads=1"]
    return subprocess.Popen(
        [*command, f"--model={checkpoint}"], stderr=subprocess.PIPE, text=True, env=environment
    )


def test_a_solve_crosses_few_files(
    checkpoint: Path, tmp_path: Path, make_server: MakeServer
) -> None:
    server = make_server(start_traced(checkpoint, tmp_path))

    def solve() -> None:
        answer = httpx.post(f"{server.url}/solve?seed=1", content=EASY)
        assert answer.json()["status"] == "solved"

    def files(number: int) -> set[str]:
        flag = tmp_path / f"flag{number}"
        flag.touch()
        server.wait(lambda: len(list(tmp_path.glob(f"on{number}.*"))) >= 2)
        solve()
        flag.unlink()
        server.wait(lambda: len(list(tmp_path.glob(f"seen{number}.*"))) >= 2)
        return {
            name
            for part in tmp_path.glob(f"seen{number}.*")
            for name in part.read_text().splitlines()
            if any(Path(name).is_relative_to(package) for package in PACKAGES)
        }

    solve()
    in_each = set.intersection(*(files(number) for number in range(SOLVES)))
    crossed = {name for name in in_each if Path(name).name not in WATCH}
    assert {"engine.py", "solve.py"} <= {Path(name).name for name in crossed}
    assert len(crossed) <= MAX_FILES, "\n".join(sorted(crossed))
