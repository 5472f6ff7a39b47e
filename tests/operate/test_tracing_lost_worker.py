"""A traced job whose worker is killed: the work of the next one belongs to the same trace."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from tests.operate.traced import (
    GRID,
    SPANS,
    Collector,
    collecting,
    is_whole,
    new_caller,
    start,
    wait_for,
    wait_until_ready,
)

pytestmark = [pytest.mark.redis, pytest.mark.slow]


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    with collecting() as taken:
        yield taken


def test_a_job_whose_worker_is_killed_stays_in_its_trace(
    collector: tuple[Collector, str], redis_url: str, tmp_path: Path
) -> None:
    taken, endpoint = collector
    traced = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    queue = ("--store", redis_url, "--queue-name", "killed", "--log-level", "debug")
    lease = ("--lease-s", "2", "--model", "sudoku-4x4", "--num-threads", "1")
    caller = new_caller()
    running = [start(tmp_path / "api", ("serve", "--port", "0", *queue), traced)]
    try:
        url = running[0].url()
        running.append(start(tmp_path / "first", ("worker", *queue, *lease), traced))
        wait_until_ready(url)
        # Seconds of work: no trajectory leaves before its depth.
        path = f"{url}/jobs?width=64&depth=256&halt=never"
        accepted = httpx.post(path, content=GRID, headers=caller.headers)
        state = urljoin(url, accepted.headers["location"])
        wait_for(
            lambda: httpx.get(state).json()["state"] == "running", lambda: httpx.get(state).text
        )
        running[1].process.kill()
        assert running[1].process.wait(10.0) == -signal.SIGKILL
        assert httpx.get(state).json()["state"] == "running"
        running.append(start(tmp_path / "second", ("worker", *queue, *lease), traced))
        spans = taken.trace(caller.trace_id, until=is_whole(1, len(SPANS)))
        assert httpx.get(state).json()["state"] == "done"
    finally:
        for each in running:
            each.process.terminate()
        for each in running:
            each.process.wait(120.0)
    [request] = [span for span in spans if span.name.startswith("POST")]
    [enqueue] = [span for span in spans if span.name == "enqueue"]
    [solve] = [span for span in spans if span.name == "solve"]
    assert request.parent_id == caller.span_id
    assert (enqueue.parent_id, solve.parent_id) == (request.span_id, enqueue.span_id)
    assert solve.attributes["gram.attempt"] == 1
    assert solve.attributes["gram.outcome"] == "solved"
    assert "redelivered" in solve.events
    # The first worker told of the wait before it was lost, the second one of the longer wait.
    assert {span.parent_id for span in spans if span.name == "queue"} == {enqueue.span_id}
    assert not any(span.is_error for span in spans)
