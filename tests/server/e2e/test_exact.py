"""Exact searches on a real server: who leaves takes its search along, and nobody loses anything."""

import threading
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.server.e2e.conftest import Server

pytestmark = pytest.mark.slow

LIMIT_S = 240.0
TINY = {"puzzle": "sudoku", "grid": "1..............."}
HARD = {"puzzle": "sudoku", "grid": "1" + "." * 80}
"""Takes as long as a search may take."""
ONE_STEP: dict[str, str | int] = {"width": 1, "depth": 1, "seed": 1, "count_solutions": "exact"}


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=LIMIT_S) as client:
        yield client


def _searching(server: Server) -> list[psutil.Process]:
    """Return the processes of exact searches."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    return [child for child in children if "search_process" in " ".join(child.cmdline())]


def _cpu_s(server: Server) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in _searching(server))


def _wait_until_idle(server: Server) -> None:
    end_s = time.monotonic() + LIMIT_S
    before_s = -1.0
    while (now_s := _cpu_s(server)) != before_s:
        assert time.monotonic() < end_s
        before_s = now_s
        time.sleep(1.0)


def test_clients_that_leave_take_their_searches_along(server: Server, client: httpx.Client) -> None:
    before = client.post("/solve", params=ONE_STEP, json=TINY).json()
    assert before["completeness"]["total"] == 72

    def leave() -> None:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/solve", params=ONE_STEP, json=HARD, timeout=1.0)

    leaving = [threading.Thread(target=leave) for _ in range(12)]
    for thread in leaving:
        thread.start()
    for thread in leaving:
        thread.join()
    started_s = time.monotonic()
    after = client.post("/solve", params=ONE_STEP, json=TINY).json()
    # One search of theirs alone takes three to ten seconds, so all of them take a minute.
    assert time.monotonic() - started_s < 30.0
    assert after["completeness"]["total"] == 72


def test_a_job_that_is_deleted_takes_its_search_along(server: Server, client: httpx.Client) -> None:
    location = client.post("/jobs", params=ONE_STEP, json=HARD).headers["Location"]
    _wait_until_running(server)
    client.delete(location)
    _wait_until_idle(server)
    assert client.get(location).json()["state"] == "cancelled"


def _wait_until_running(server: Server) -> None:
    started_s = _cpu_s(server)
    end_s = time.monotonic() + LIMIT_S
    while _cpu_s(server) < started_s + 0.1:
        assert time.monotonic() < end_s
        time.sleep(0.02)
