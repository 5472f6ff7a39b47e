"""Exact searches in processes of their own: turns, deadlines, leaving, and killed processes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import psutil
import pytest

from gram_server.search_process import Data
from gram_server.worker import search_pool
from gram_server.worker.search_pool import SearchDropped, SearchPool
from tests.processes import until

pytestmark = pytest.mark.anyio

LIMIT_S = 240.0


def _request(grid: str, **fields: object) -> Data:
    request = {"kind": "search", "puzzle": "sudoku", "body": {"grid": grid}}
    return {**request, "num_answers": 0, "wants_total": True, **fields}


TINY = _request("." * 16)
HARD = _request("1" + "." * 80, num_answers=10**9)
"""Has more solutions than anybody lists."""


@pytest.fixture
async def pool() -> AsyncIterator[SearchPool]:
    """A pool whose processes end with the test, which has a limit of time."""
    made = SearchPool()
    try:
        async with asyncio.timeout(LIMIT_S):
            yield made
    finally:
        await made.close()
    assert not _processes()


def _ask(
    pool: SearchPool, request: Data, *, client: str = "a", deadline_s: float | None = None
) -> "asyncio.Task[Data]":
    owner = object()
    work = pool.run(request, owner=owner, client=client, deadline_s=deadline_s)
    task = asyncio.create_task(work)
    task.add_done_callback(lambda _: None)
    return task


def _num_running(pool: SearchPool) -> int:
    return len(pool._searchers) - len(pool._idle)


def _processes() -> list[psutil.Process]:
    # Another test may have left a child that nobody has waited for.
    children = [one for one in psutil.Process().children() if one.status() != psutil.STATUS_ZOMBIE]
    return [child for child in children if "gram_server.search_process" in child.cmdline()]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no search end by itself that a test wants to see stopped."""
    monkeypatch.setattr(search_pool, "MAX_SEARCH_S", 3600.0)


@pytest.mark.slow
async def test_searches_that_nobody_waits_for_stop_and_their_processes_go_on(
    pool: SearchPool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search_pool, "STOP_S", LIMIT_S)
    monkeypatch.setattr(search_pool, "SHORT_CPU_S", 3600.0)

    assert (await _ask(pool, TINY))["total"] == 288
    owners = [object() for _ in range(12)]
    tasks = [
        asyncio.create_task(pool.run(HARD, owner=owner, client="a", deadline_s=None))
        for owner in owners
    ]
    await until(lambda: _num_running(pool) == 2 and len(_processes()) == 2)
    before = {process.pid for process in _processes()}
    for owner in owners:
        pool.drop(owner)
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, SearchDropped) for end in ends)
    await until(lambda: not _num_running(pool))
    assert (await _ask(pool, TINY))["total"] == 288
    assert {process.pid for process in _processes()} == before


async def test_a_caller_that_is_cancelled_stops_its_search(pool: SearchPool) -> None:
    task = _ask(pool, HARD)
    await until(lambda: _num_running(pool))
    task.cancel()
    await until(lambda: not _num_running(pool))


@pytest.mark.slow
async def test_a_short_search_waits_for_no_long_ones_and_every_client_gets_its_turn(
    pool: SearchPool,
) -> None:
    hogs = [_ask(pool, HARD, client="hog") for _ in range(12)]
    await until(lambda: _num_running(pool) >= 2)
    for client in ("another", "hog"):
        reply = await _ask(pool, TINY, client=client)
        assert (reply["ended"], reply["total"]) == ("complete", 288)
    assert not any(hog.done() for hog in hogs)


@pytest.mark.slow
async def test_a_search_hands_over_what_it_found_until_its_deadline(pool: SearchPool) -> None:
    await _ask(pool, TINY)
    wanted = _request("1" + "." * 80, num_answers=2)
    # Long enough for this machine to find two, and too short to find 10,000.
    for patience_s in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0):
        reply = await _ask(pool, wanted, deadline_s=time.time() + patience_s)
        if len(reply["answers"]) == 2:
            break
    assert (reply["ended"], reply["total"], len(reply["answers"])) == ("deadline", None, 2)


async def test_a_search_waits_for_its_turn_no_longer_than_to_its_deadline(pool: SearchPool) -> None:
    for _ in range(12):
        _ask(pool, HARD)
    reply = await _ask(pool, HARD, client="b", deadline_s=time.time() + 0.1)
    assert (reply["ended"], reply["answers"]) == ("deadline", [])


async def test_a_search_without_a_deadline_waits_so_long_and_no_longer(
    pool: SearchPool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search_pool, "MAX_WAIT_S", 0.2)

    assert (await _ask(pool, HARD))["ended"] == "busy"


@pytest.fixture
def few_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_pool, "MAX_WAITING", 4)


@pytest.mark.slow
@pytest.mark.usefixtures("few_may_wait")
async def test_where_too_many_wait_the_client_with_most_is_turned_away(pool: SearchPool) -> None:
    hogs = [_ask(pool, HARD, client="hog") for _ in range(7)]
    other = _ask(pool, TINY, client="other")
    assert (await other)["total"] == 288
    turned_away = [hog.result()["ended"] for hog in hogs if hog.done()]
    assert turned_away
    assert set(turned_away) == {"busy"}


@pytest.mark.slow
async def test_a_search_whose_process_is_killed_begins_again(pool: SearchPool) -> None:
    await _ask(pool, TINY)
    [first] = _processes()
    first.suspend()
    task = _ask(pool, TINY)
    await until(lambda: _num_running(pool))
    first.kill()
    assert (await task)["total"] == 288
    [second] = _processes()
    assert second.pid != first.pid


@pytest.mark.slow
async def test_a_search_that_ends_every_process_fails_and_no_other_with_it(
    pool: SearchPool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await _ask(pool, TINY)
    task = _ask(pool, HARD)
    while not task.done():
        for process in _processes():
            if _num_running(pool):
                process.kill()
        await asyncio.sleep(0.2)
    assert task.result()["ended"] == "failed"
    assert "status" in task.result()["why"]
    assert (await _ask(pool, TINY))["total"] == 288


@pytest.mark.slow
async def test_a_search_that_does_not_stop_is_killed(
    pool: SearchPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_pool, "STOP_S", 0.1)

    await _ask(pool, TINY)
    [process] = _processes()
    process.suspend()
    task = _ask(pool, HARD)
    await until(lambda: _num_running(pool))
    task.cancel()
    await until(lambda: not _num_running(pool))
    assert not process.is_running()
    assert (await _ask(pool, TINY))["total"] == 288


async def test_a_process_that_cannot_be_started_fails_the_search(
    pool: SearchPool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")

    assert (await _ask(pool, TINY))["ended"] == "failed"


SCRIPT = """
import asyncio, sys
from gram_server.worker.search_pool import SearchPool

async def main():
    pool = SearchPool()
    body = {"grid": "1" + "." * 80}
    request = {"kind": "search", "puzzle": "sudoku", "body": body, "num_answers": 0}
    request["wants_total"] = True
    work = pool.run(request, owner=0, client="", deadline_s=None)
    task = asyncio.create_task(work)
    while not any(searcher.is_started for searcher in pool._searchers):
        await asyncio.sleep(0.01)
    print("started", flush=True)
    await task

asyncio.run(main())
"""


@pytest.mark.slow
def test_a_search_process_ends_with_its_worker_and_not_by_a_signal_meant_for_it() -> None:
    worker = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE)
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"started\n"
        [process] = psutil.Process(worker.pid).children()
        end_s = time.monotonic() + LIMIT_S
        while process.nice() == os.nice(0):
            # It has taken care of signals by the time it steps back.
            assert time.monotonic() < end_s
            time.sleep(0.01)
        for number in (signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
        assert process.is_running()
        worker.kill()
        process.wait(LIMIT_S)
    finally:
        worker.kill()
        worker.wait()
        if worker.stdout is not None:
            worker.stdout.close()


@pytest.mark.slow
def test_the_search_process_loads_no_model_code() -> None:
    code = "import sys, gram_server.search_process; print('torch' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert output.stdout == b"False\n"
