"""A server to compare with never outlives the measurement, whenever that is told to end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

CONTENDER = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(60.0)
"""
MEASUREMENT = """
import sys
from pathlib import Path
from gram_lab.bench.servers import Contender, running
contender = Contender(name="slow", arguments=("-c", sys.argv[1], sys.argv[2]))
with running(contender, models=(), num_threads=1, log=Path(sys.argv[3]), timeout_s=1.0):
    pass
"""


@pytest.fixture
def measurement(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-c", MEASUREMENT, CONTENDER, str(tmp_path / "pid")]
    with subprocess.Popen([*command, str(tmp_path / "log")]) as process:
        yield process
        process.kill()
    left = tmp_path / "pid"
    if left.is_file():
        with suppress(ProcessLookupError):
            os.kill(int(left.read_text()), signal.SIGKILL)


def pid_in(path: Path) -> int:
    end_s = time.monotonic() + 30.0
    while not (path.is_file() and path.read_text()):
        assert time.monotonic() < end_s
        time.sleep(0.01)
    return int(path.read_text())


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_a_server_that_is_not_ready_yet_ends_with_the_measurement(
    measurement: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    pid = pid_in(tmp_path / "pid")
    assert is_running(pid)
    measurement.send_signal(signal.SIGTERM)
    assert measurement.wait(20.0) == 1
    assert not is_running(pid)
