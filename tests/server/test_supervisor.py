import asyncio
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gram_server.errors import StartFailed, StartRefused
from gram_server.supervisor import Beat, RestartPolicy, Supervisor
from tests.processes import until

pytestmark = pytest.mark.anyio

QUICK = RestartPolicy(
    hang_s=0.2,
    stop_s=0.5,
    check_s=0.05,
    watch_s=0.02,
    min_backoff_s=0.02,
    max_backoff_s=0.05,
    max_failed_starts=100,
)
SLEEPER = "import os,sys,time; open(sys.argv[1],'a').write(f'{os.getpid()} '); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER


def supervise(
    program: str,
    path: Path,
    read_beat: Callable[[], Beat | None] = lambda: None,
    **policy: Any,
) -> Supervisor:
    command = [sys.executable, "-c", program, str(path)]
    return Supervisor(command, read_beat=read_beat, policy=replace(QUICK, **policy))


def says(*stages: str, then: str, reason: str = "") -> str:
    """Return a program that reports stages of its start, then does something else."""
    lines = [json.dumps({"start": stage, "reason": reason}) for stage in stages]
    return f"print({chr(10).join(lines)!r}, flush=True); {then}"


def pids(path: Path) -> list[int]:
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


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
    # It may be there before its pipes are.
    await until(lambda: len(pids(path)) == 2 and supervisor.pid() == pids(path)[1])
    assert not is_running(pids(path)[0])
    # The beat of the first process says nothing about the second.
    assert supervisor.why_hung() is None
    await asyncio.sleep(0.1)
    assert len(pids(path)) == 2
    await supervisor.stop()


async def test_a_worker_that_goes_on_after_both_were_frozen_is_not_hung(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    ages_s, num_looks = [100.0], 0

    def read_beat() -> Beat | None:
        nonlocal num_looks
        if not (known := pids(path)):
            return None
        num_looks += 1
        age_s = ages_s.pop() if ages_s else 0.0
        return Beat(pid=known[0], num_ticks=5, num_live=3, age_s=age_s)

    supervisor = supervise(SLEEPER, path, read_beat)
    await supervisor.start()
    await until(lambda: num_looks > 5 or len(pids(path)) > 1)
    assert len(pids(path)) == 1
    assert is_running(pids(path)[0])
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


@pytest.mark.parametrize("num_turns", [0, 1, 2, 5, 20])
async def test_a_stop_that_comes_before_the_process_leaves_none(
    tmp_path: Path, num_turns: int
) -> None:
    supervisor = supervise("raise SystemExit(3)", tmp_path / "pids", max_failed_starts=3)
    starting = asyncio.create_task(supervisor.start())
    for _ in range(num_turns):
        await asyncio.sleep(0)
    await supervisor.stop()
    await asyncio.wait_for(starting, 30.0)
    assert supervisor.num_restarts == 0
    assert not supervisor.pid() or not is_running(supervisor.pid())


async def test_a_stop_while_the_pipes_of_a_process_are_connected_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, loop = tmp_path / "pids", asyncio.get_running_loop()
    connect, is_held = loop.connect_read_pipe, asyncio.Event()

    async def connect_slowly(*arguments: Any) -> Any:
        is_held.set()
        await until(lambda: len(pids(path)) == 2)
        await asyncio.sleep(0.1)
        return await connect(*arguments)

    supervisor = supervise(SLEEPER, path)
    await supervisor.start()
    await until(lambda: len(pids(path)) == 1)
    monkeypatch.setattr(loop, "connect_read_pipe", connect_slowly)
    os.kill(pids(path)[0], 9)
    await is_held.wait()
    async with asyncio.timeout(30.0):
        await supervisor.stop()
    assert not any(map(is_running, pids(path)))


@pytest.mark.slow
async def test_starts_that_keep_failing_come_slower(tmp_path: Path) -> None:
    path = tmp_path / "starts"
    program = "import sys, time; open(sys.argv[1], 'a').write(f'{time.monotonic()} '); sys.exit(3)"
    supervisor = supervise(program, path, min_backoff_s=0.4, max_backoff_s=0.8)
    await supervisor.start()
    await until(lambda: path.exists() and len(path.read_text().split()) >= 4)
    await supervisor.stop()
    moments = [float(text) for text in path.read_text().split()]
    gaps_s = [later - earlier for earlier, later in pairwise(moments)]
    # A start takes its time, so that a gap has no upper bound.
    assert all(gap_s > least - 0.02 for gap_s, least in zip(gaps_s, (0.4, 0.8, 0.8), strict=False))


async def test_a_worker_that_cannot_run_like_this_is_not_started_again(tmp_path: Path) -> None:
    program = says("refused", then="raise SystemExit(2)", reason="there is no GPU")
    supervisor = supervise(program, tmp_path / "pids", check_s=30.0)
    with pytest.raises(StartRefused, match=r"^there is no GPU$"):
        await supervisor.start()
    assert supervisor.num_restarts == 0
    await supervisor.stop()


async def test_workers_that_are_never_ready_are_given_up(tmp_path: Path) -> None:
    program = says("checked", "failed", then="raise SystemExit(1)", reason="no memory")
    supervisor = supervise(program, tmp_path / "pids", max_failed_starts=3)
    await supervisor.start()
    await until(supervisor.has_failed.is_set)
    assert isinstance(supervisor.failure, StartFailed)
    assert str(supervisor.failure) == "the worker ended 3 times before it was ready: no memory"
    assert supervisor.num_restarts == 2
    await supervisor.stop()


async def test_a_worker_killed_in_its_start_is_told_of_by_its_status(tmp_path: Path) -> None:
    supervisor = supervise("import os; os.kill(os.getpid(), 9)", tmp_path / "pids", check_s=30.0)
    starting = asyncio.create_task(supervisor.start())
    await until(lambda: supervisor.why_not_started() is not None)
    reason = supervisor.why_not_started()
    assert reason is not None
    assert reason.endswith("before it was ready: status -9")
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await supervisor.stop()


async def test_every_line_of_a_worker_is_one_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    program = (
        'import faulthandler, os, sys; print(\'{"message": "mine"}\', file=sys.stderr, flush=True);'
        "faulthandler.enable(); os.abort()"
    )
    supervisor = supervise(program, tmp_path / "pids", max_failed_starts=1, check_s=60.0)
    with pytest.raises(StartFailed):
        await supervisor.start()
    await supervisor.stop()
    assert capsys.readouterr().err == '{"message": "mine"}\n'
    said = [record.getMessage() for record in caplog.records if "says" in record.getMessage()]
    assert f"worker pid={supervisor.pid()} says: Fatal Python error: Aborted" in said


UNSTEADY = """
import os, sys, time
with open(sys.argv[1], "a+") as file:
    file.write(f"{os.getpid()} ")
    file.seek(0)
    count = len(file.read().split())
stage = "ready" if count in (1, 6) else "failed"
print('{"start": "%s", "reason": ""}' % stage, flush=True)
time.sleep(60 if count == 6 else 0)
"""
"""Gets ready and ends, fails four times, and gets ready again."""


async def test_once_a_worker_was_ready_its_jobs_wait_for_another(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    supervisor = supervise(UNSTEADY, path, max_failed_starts=2)
    await supervisor.start()
    await until(lambda: len(pids(path)) == 6)
    await until(lambda: supervisor.why_not_started() is None)
    assert supervisor.failure is None
    await supervisor.stop()


async def test_what_a_library_prints_is_no_report(tmp_path: Path) -> None:
    noise = """print('hello'); print('[1]'); print('{"start": 3}'); """
    program = noise + says("checked", then="import time; time.sleep(60)")
    supervisor = supervise(program, tmp_path / "pids", check_s=60.0)
    async with asyncio.timeout(30.0):
        await supervisor.start()
    await supervisor.stop()
