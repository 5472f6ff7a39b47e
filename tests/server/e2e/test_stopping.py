"""A server without Redis is told to stop: what it took is done in time, or said to be lost."""

import json
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from tests.server.e2e.conftest import Server, Start

pytestmark = pytest.mark.slow

Params = dict[str, str | int]

EASY = ".234341221434321"
SECONDS: Params = {"width": 256, "depth": 200, "halt": "never"}
LONG: Params = {"width": 1024, "depth": 1024, "halt": "never"}
"""Minutes of work, unless somebody stops it."""


def submit(server: Server, params: Params, content: str = EASY) -> str:
    answer = httpx.post(f"{server.url}/jobs", params=params, content=content)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def stop(server: Server) -> float:
    """Send SIGTERM and return when."""
    server.process.send_signal(signal.SIGTERM)
    return time.monotonic()


def messages(server: Server, part: str) -> list[str]:
    server.reader.join(20.0)
    return [line["message"] for line in server.lines if part in line["message"]]


def test_a_job_that_nobody_waits_for_is_finished_and_can_be_read(start_server: Start) -> None:
    server = start_server("--drain-s", "90")
    batch = json.dumps({"instances": [EASY, EASY]})
    long_enough: dict[str, str | int] = {"width": 64, "depth": 64, "halt": "never"}
    job_id, batch_id = submit(server, SECONDS), submit(server, long_enough, batch)
    worker = psutil.Process(server.worker_pids[0])
    stop(server)
    seen = set()
    while (job := httpx.get(f"{server.url}/jobs/{job_id}").json())["state"] != "done":
        seen.add(job["state"])
        time.sleep(0.3)
    # It is there for who asks a little later, too.
    time.sleep(1.0)
    parts = httpx.get(f"{server.url}/jobs/{batch_id}").json()["parts"]
    assert [part["result"]["status"] for part in parts] == ["solved", "solved"]
    assert seen <= {"queued", "running"}
    assert job["result"]["status"] == "solved"
    assert server.process.wait(30.0) == 0
    assert not worker.is_running()
    assert messages(server, "SIGTERM") == ["SIGTERM: draining 0 requests and 3 jobs"]


def test_what_ended_just_before_the_stop_can_be_read_once(start_server: Start) -> None:
    server = start_server("--drain-s", "90")
    read_id, unread_id = (submit(server, {"width": 4}) for _ in range(2))
    assert httpx.get(f"{server.url}/jobs/{read_id}?wait=30").json()["state"] == "done"
    server.wait(lambda: server.metrics()["gram_finished_jobs"] == 2)
    stopped_s = stop(server)
    time.sleep(1.0)
    assert httpx.get(f"{server.url}/jobs/{unread_id}").json()["state"] == "done"
    assert server.process.wait(30.0) == 0
    # Nobody is waited for once all is read.
    assert time.monotonic() - stopped_s < 20.0


def test_what_outlasts_the_drain_is_cancelled_and_said_to_be_lost(start_server: Start) -> None:
    server = start_server("--drain-s", "8")
    job_id = submit(server, LONG)
    with ThreadPoolExecutor(2) as pool:
        solving = pool.submit(
            lambda: httpx.post(f"{server.url}/solve", params=LONG, content=EASY, timeout=60.0)
        )
        server.wait(lambda: server.metrics()["gram_inflight_requests"] > 0)
        polling = pool.submit(
            lambda: httpx.get(f"{server.url}/jobs/{job_id}?wait=50", timeout=60.0)
        )
        began_s = stop(server)
        solved, polled = solving.result(), polling.result()
    assert (solved.status_code, solved.json()["code"]) == (503, "not_ready")
    assert (polled.status_code, polled.json()["state"]) == (200, "running")
    assert server.process.wait(20.0) == 0
    # One limit, not a second one for the worker.
    assert 8.0 <= time.monotonic() - began_s < 15.0
    assert messages(server, "jobs are lost") == ["1 jobs are lost: not done after 8 s"]
    assert messages(server, "given up") == ["1 requests are given up after 8 s"]
    assert messages(server, "killed") == []


def test_a_request_that_is_still_arriving_hears_that_the_server_stopped(
    start_server: Start,
) -> None:
    server = start_server()
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30.0) as connection:
        head = f"POST /jobs HTTP/1.1\r\nHost: {host}\r\nContent-Length: 16\r\n\r\n.234"
        connection.sendall(head.encode())
        server.wait(lambda: httpx.get(f"{server.url}/livez").status_code == 200)
        stop(server)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"application/problem+json" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "not_ready"
    assert server.process.wait(20.0) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_a_drain_of_jobs_at_once(start_server: Start, number: int) -> None:
    server = start_server()
    submit(server, LONG)
    server.wait(server.is_running)
    worker = psutil.Process(server.worker_pids[0])
    stop(server)
    server.wait(lambda: httpx.get(f"{server.url}/readyz").json().get("detail") == "draining")
    server.process.send_signal(number)
    assert server.process.wait(5.0) == 128 + number
    assert worker.wait(20.0) is None or not worker.is_running()
