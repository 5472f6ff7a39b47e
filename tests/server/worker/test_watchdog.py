import subprocess
import sys

import pytest

PROGRAM = """
import sys, time
from gram_server.worker.engine_loop import Watchdog

watchdog = Watchdog(0.3)
num_live, rest_s = int(sys.argv[1]), float(sys.argv[2])
for tick in range(10):
    watchdog.beat(num_ticks=tick, num_live=1)
    time.sleep(0.02)
watchdog.beat(num_ticks=10, num_live=num_live)
time.sleep(rest_s)
watchdog.beat(num_ticks=11, num_live=0)
print("alive")
"""


def run(num_live: int, rest_s: float) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", PROGRAM, str(num_live), str(rest_s)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


@pytest.mark.slow
def test_a_worker_that_hangs_with_work_ends_and_says_where() -> None:
    ran = run(1, 5.0)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "Timeout" in ran.stderr
    assert 'File "<string>"' in ran.stderr


@pytest.mark.slow
def test_a_worker_without_work_may_rest() -> None:
    ran = run(0, 0.8)
    assert (ran.returncode, ran.stdout) == (0, "alive\n")
