"""How many files of ours one ``POST /solve`` runs through, in the API and its worker together."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import gram_core
import gram_kernels
import gram_server

pytestmark = pytest.mark.slow

EASY = ".234341221434321"
MAX_FILES = 54
"""Including what happens to run beside it: signs of life, and reports of the worker."""
PACKAGES = [Path(module.__path__[0]) for module in (gram_core, gram_kernels, gram_server)]

# Every Python process of the server runs it first.
TRACER = """
import os, sys, threading, time
from pathlib import Path

FLAG = Path(os.environ["TRACE_FLAG"])
is_on = False
seen = set()

def note(frame, event, argument):
    if is_on and event == "call":
        seen.add(frame.f_code.co_filename)

def watch():
    global is_on
    while True:
        if is_on and not FLAG.exists():
            is_on = False
            part = FLAG.with_name(f"part{os.getpid()}")
            part.write_text("\\n".join(seen))
            part.rename(FLAG.with_name(f"seen{os.getpid()}"))
        elif not is_on and FLAG.exists():
            is_on = True
            FLAG.with_name(f"on{os.getpid()}").touch()
        time.sleep(0.01)

threading.Thread(target=watch, daemon=True).start()
threading.setprofile(note)
sys.setprofile(note)
"""


def start_traced(checkpoint: Path, folder: Path) -> "subprocess.Popen[str]":
    (folder / "sitecustomize.py").write_text(TRACER)
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "TRACE_FLAG": str(folder / "flag")}
    command = [sys.executable, "-m", "gram_server.cli", "serve", "--port", "0", "--num-threads=1"]
    return subprocess.Popen(
        [*command, f"--model={checkpoint}"], stderr=subprocess.PIPE, text=True, env=environment
    )


def test_a_solve_crosses_few_files(
    checkpoint: Path, tmp_path: Path, make_server: Callable[..., Any]
) -> None:
    server = make_server(start_traced(checkpoint, tmp_path))
    threading.Thread(target=server.read_log, daemon=True).start()
    server.wait_ready()
    url = f"{server.url}/solve?seed=1"
    assert httpx.post(url, content=EASY).status_code == 200
    flag = tmp_path / "flag"
    flag.touch()
    server.wait(lambda: len(list(tmp_path.glob("on*"))) >= 2)
    assert httpx.post(url, content=EASY).json()["status"] == "solved"
    flag.unlink()
    server.wait(lambda: len(list(tmp_path.glob("seen*"))) >= 2)
    crossed = {
        name
        for part in tmp_path.glob("seen*")
        for name in part.read_text().splitlines()
        if any(Path(name).is_relative_to(package) for package in PACKAGES)
    }
    assert len(crossed) <= MAX_FILES, "\n".join(sorted(crossed))
