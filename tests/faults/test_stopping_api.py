"""An API process beside others is told to stop: whoever looks on at a job is sent elsewhere."""

import asyncio
import json
import time
from typing import Any

import httpx
import pytest

from gram_server.job import JobState
from tests.conftest import StartRedis
from tests.faults.conftest import OpenQueue, Park, Queue

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.faults]

EASY = ".234341221434321"


@pytest.fixture
async def api(queue: Queue, park: Park) -> Any:
    await asyncio.to_thread(park.worker, queue.url, "--work-s", "600")
    return await asyncio.to_thread(park.api, queue.url, "--drain-s", "3")


async def until_running(queue: Queue, count: int) -> None:
    async def are_running() -> bool:
        return bool(await queue.running() == count)

    await queue.until(are_running)


async def test_who_looks_on_is_told_when_the_drain_begins(
    queue: Queue, park: Park, api: Any
) -> None:
    async with httpx.AsyncClient(base_url=api.url, timeout=60.0) as client:
        job_id = (await client.post("/jobs", content=EASY)).json()["id"]
        await until_running(queue, 1)
        poll = asyncio.create_task(client.get(f"/jobs/{job_id}?wait=50"))
        follow = asyncio.create_task(client.get(f"/jobs/{job_id}/events"))
        solve = asyncio.create_task(client.post("/solve", content=EASY))
        await until_running(queue, 2)
        began_s = time.monotonic()
        api.terminate()
        polled, followed = await poll, await follow
        # Once told to stop it does not hold up another.
        again = await client.get(f"/jobs/{job_id}?wait=50")
        assert not solve.done()
        solved = await solve
    assert [answer.status_code for answer in (polled, again)] == [200, 200]
    assert [answer.json()["state"] for answer in (polled, again)] == ["running", "running"]
    assert polled.headers["Connection"] == "close"
    last = followed.text.strip().split("\n\n")[-1].splitlines()
    assert last[:2] == ["id: 1", "event: error"]
    problem = json.loads(last[2].removeprefix("data: "))
    assert (problem["code"], problem["retryable"]) == ("not_ready", True)
    assert (solved.status_code, solved.json()["code"]) == (503, "not_ready")
    assert await asyncio.to_thread(api.handle.wait, 20.0) == 0
    assert time.monotonic() - began_s < 12.0
    text = "".join(api.lines)
    assert "1 requests are given up" in text
    assert "Traceback" not in text
    assert "lost" not in text
    # The job goes on elsewhere; that of the request which was given up does not.
    await until_running(queue, 1)
    assert (await queue.store.get(job_id)).state is JobState.RUNNING
    await queue.store.cancel(job_id)
    await queue.clean()


async def test_a_stop_while_redis_is_gone_is_answered_in_time(
    start_redis: StartRedis, open_queue: OpenQueue, park: Park
) -> None:
    redis = start_redis()
    queue = await open_queue(redis.url)
    await asyncio.to_thread(park.worker, redis.url, "--work-s", "600")
    api = await asyncio.to_thread(park.api, redis.url, "--drain-s", "3")
    async with httpx.AsyncClient(base_url=api.url, timeout=60.0) as client:
        solve = asyncio.create_task(client.post("/solve", content=EASY))
        await until_running(queue, 1)
        redis.kill()
        began_s = time.monotonic()
        api.terminate()
        solved = await solve
    assert (solved.status_code, solved.json()["code"]) == (503, "not_ready")
    assert await asyncio.to_thread(api.handle.wait, 20.0) == 0
    assert time.monotonic() - began_s < 12.0
    assert "Traceback" not in "".join(api.lines)
