"""An API process beside others is told to stop: whoever looks on at a job is sent elsewhere."""

import asyncio
import json
import time

import pytest

from gram_server.job import JobState
from tests.faults.conftest import EASY, Queue, Site, end_of

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.faults]


async def test_who_looks_on_is_told_when_the_drain_begins(queue: Queue, site: Site) -> None:
    await site.worker(queue.url, "--work-s", "600")
    api, client = await site.api(queue.url, "--drain-s", "3")
    job_id = (await client.post("/jobs", content=EASY)).json()["id"]
    await queue.until_running(1)
    poll = asyncio.create_task(client.get(f"/jobs/{job_id}?wait=50"))
    follow = asyncio.create_task(client.get(f"/jobs/{job_id}/events"))
    solve = asyncio.create_task(client.post("/solve", content=EASY))
    await queue.until_running(2)
    began_s = time.monotonic()
    api.process.terminate()
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
    assert await end_of(api) == 0
    assert time.monotonic() - began_s < 12.0
    assert "1 requests are given up" in api.text
    assert "Traceback" not in api.text
    assert "lost" not in api.text
    # The job goes on elsewhere; that of the request which was given up does not.
    await queue.until_running(1)
    assert (await queue.store.get(job_id)).state is JobState.RUNNING
    await queue.store.cancel(job_id)
    await queue.clean()


async def test_a_stop_while_redis_is_gone_is_answered_in_time(site: Site) -> None:
    redis = site.redis()
    queue = await site.queue(redis.url)
    await site.worker(redis.url, "--work-s", "600")
    api, client = await site.api(redis.url, "--drain-s", "3")
    solve = asyncio.create_task(client.post("/solve", content=EASY))
    await queue.until_running(1)
    redis.kill()
    began_s = time.monotonic()
    api.process.terminate()
    solved = await solve
    assert (solved.status_code, solved.json()["code"]) == (503, "not_ready")
    assert await end_of(api) == 0
    assert time.monotonic() - began_s < 12.0
    assert "Traceback" not in api.text
