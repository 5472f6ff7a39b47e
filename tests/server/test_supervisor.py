import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gram_server.heartbeat import Beat
from gram_server.supervisor import Patience, Supervisor

pytestmark = pytest.mark.anyio

QUICK = Patience(hang_s=0.2, stop_s=0.5, watch_s=0.02, min_backoff_s=0.02, max_backoff_s=0.05)
SLEEPER = "import os,sys,time; open(sys.argv[1],'a').write(f'{os.getpid()} '); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def supervise(
    program: str, path: Path, read_beat: Callable[[], Beat | None] = lambda: None
) -> Supervisor:
    command = [sys.executable, "-c", program, str(path)]
    return Supervisor(command, read_beat=read_beat, patience=QUICK)


def pids(path: Path) -> list[int]:
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10.0):
        # What is waited for happens in another process.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_worker_that_dies_is_started_again(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    supervisor = supervise(SLEEPER, path)
    await supervisor.start()
    await until(lambda: len(pids(path)) == 1)
    os.kill(pids(path)[0], 9)
    await until(lambda: len(pids(path)) == 2)
    assert supervisor.num_restarts == 1
    await supervisor.stop()
    assert not is_running(pids(path)[1])


async def test_a_worker_that_hangs_is_killed_and_started_again(tmp_path: Path) -> None:
    path = tmp_path / "pids"

    def read_beat() -> Beat | None:
        known = pids(path)
        return Beat(pid=known[0], num_ticks=5, num_live=3, age_s=1.0) if known else None

    supervisor = supervise(SLEEPER, path, read_beat)
    await supervisor.start()
    await until(lambda: len(pids(path)) == 2)
    assert not is_running(pids(path)[0])
    # The beat of the first process says nothing about the second.
    assert supervisor.why_hung() is None
    await asyncio.sleep(0.1)
    assert len(pids(path)) == 2
    await supervisor.stop()


@pytest.mark.parametrize(("num_live", "age_s"), [(0, 100.0), (3, 0.1)])
async def test_idle_and_busy_are_not_hung(tmp_path: Path, num_live: int, age_s: float) -> None:
    path = tmp_path / "pids"

    def read_beat() -> Beat | None:
        known = pids(path)
        return Beat(pid=known[0], num_ticks=5, num_live=num_live, age_s=age_s) if known else None

    supervisor = supervise(SLEEPER, path, read_beat)
    await supervisor.start()
    await until(lambda: len(pids(path)) == 1)
    assert supervisor.why_hung() is None
    await asyncio.sleep(0.1)
    assert is_running(pids(path)[0])
    await supervisor.stop()


async def test_a_worker_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    supervisor = supervise(STUBBORN, path)
    await supervisor.start()
    await until(lambda: len(pids(path)) == 1)
    await supervisor.stop()
    assert not is_running(pids(path)[0])
    assert supervisor.num_restarts == 0


async def test_starts_that_keep_failing_come_slower(tmp_path: Path) -> None:
    supervisor = supervise("raise SystemExit(3)", tmp_path / "pids")
    await supervisor.start()
    await until(lambda: supervisor.num_restarts >= 3)
    await supervisor.stop()
