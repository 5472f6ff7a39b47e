"""A Redis that restarts, forgets, is gone, stalls, drops its clients or is full."""

import asyncio
import signal
import time

import pytest

from gram_server.errors import JobNotFound, StoreUnavailable
from gram_server.job import JobState
from tests.faults.conftest import DURABLE, EASY, Queue, Site, answers
from tests.processes import until

pytestmark = [pytest.mark.anyio, pytest.mark.redis]


@pytest.mark.faults
async def test_a_redis_that_is_killed_comes_back_with_every_job(site: Site) -> None:
    redis = site.redis(*DURABLE)
    queue = await site.queue(redis.url)
    await site.worker(queue.url, "--work-s", "0.3", "--room", "2", "--lease-s", "3")
    job_ids = await queue.submit_many(12)
    ends = asyncio.create_task(queue.done(job_ids))
    await asyncio.sleep(0.5)
    redis.kill()
    await asyncio.sleep(0.5)
    redis.start()
    assert [record.job.id for record in await ends] == job_ids
    await queue.clean()


@pytest.mark.faults
@pytest.mark.parametrize("loss", ["restart", "flush"])
async def test_a_redis_that_forgot_everything_is_taken_as_it_is(site: Site, loss: str) -> None:
    redis = site.redis()
    queue = await site.queue(redis.url)
    worker = await site.worker(queue.url, "--work-s", "1.0", "--room", "2", "--lease-s", "2")
    job_ids = await queue.submit_many(6)
    waits = (queue.store.wait(one, timeout_s=30.0) for one in job_ids)
    ends = asyncio.gather(*waits, return_exceptions=True)
    await asyncio.sleep(0.4)
    if loss == "restart":
        redis.kill()
        redis.start()
    else:
        await queue.redis.flushall()
    assert {type(end) for end in await ends} == {JobNotFound}
    num_lines = worker.text.count("\n")
    await queue.done([await queue.submit()])
    await asyncio.sleep(1.0)
    assert worker.text.count("\n") - num_lines < 20
    await queue.clean()


@pytest.mark.faults
@pytest.mark.parametrize("outage_s", [3.0, 30.0])
async def test_while_redis_is_gone_requests_are_refused_at_once_and_work_goes_on(
    site: Site, outage_s: float
) -> None:
    redis = site.redis(*DURABLE)
    queue = await site.queue(redis.url)
    # Most of the work is done while there is nobody to tell.
    await site.worker(queue.url, "--work-s", "2.0", "--lease-s", str(outage_s + 10.0))
    _, client = await site.api(queue.url)
    job_id = (await client.post("/jobs", content=EASY)).json()["id"]
    waiting = asyncio.create_task(queue.done([job_id]))
    await asyncio.sleep(0.3)
    redis.kill()
    end_s = time.monotonic() + outage_s
    while time.monotonic() < end_s:
        started_s = time.monotonic()
        for method, path in (("POST", "/solve"), ("POST", "/jobs"), ("GET", f"/jobs/{job_id}")):
            refused = await client.request(method, path, content=EASY)
            assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
            assert int(refused.headers["Retry-After"]) >= 1
        assert time.monotonic() - started_s < 5.0
        assert await answers(client, "/livez", 200)
        await asyncio.sleep(0.3)
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
    assert "Redis" in ready.json()["detail"]
    assert await answers(client, "/metrics", 200)
    redis.start()
    [record] = await waiting
    assert record.job.attempt == 0
    assert (await client.post("/jobs?wait=1", content=EASY)).status_code == 422

    async def is_done() -> bool:
        # The API may have heard of the return a moment after us.
        again = await client.get(f"/jobs/{job_id}")
        return again.status_code == 200 and again.json()["state"] == "done"

    await until(is_done, timeout_s=2.0, every_s=0.02)
    await queue.clean()


async def test_dropped_connections_cost_no_job(queue: Queue, site: Site) -> None:
    await site.worker(queue.url, "--work-s", "0.05", "--room", "4")
    job_ids: list[str] = []
    is_over = asyncio.Event()

    async def keep_killing() -> None:
        # Not cancelled: the client of Redis may lose a cancellation with its connection.
        while not is_over.is_set():
            await queue.redis.client_kill_filter(_type="normal")
            await asyncio.sleep(0.1)

    killing = asyncio.create_task(keep_killing())
    while len(job_ids) < 40:
        job = queue.job()
        # What the caller does with a 503: the same request once more.
        while job.id not in job_ids:
            try:
                job_ids.append(await queue.store.submit(job))
            except StoreUnavailable:
                await asyncio.sleep(0.05)
    is_over.set()
    await killing
    await queue.done(job_ids)
    await queue.clean()


@pytest.mark.faults
async def test_a_redis_that_stalls_delays_and_loses_nothing(queue: Queue, site: Site) -> None:
    await site.worker(queue.url, "--work-s", "0.1", "--room", "4", "--lease-s", "10")
    job_ids = await queue.submit_many(10)
    await queue.redis.client_pause(1500)
    ends = asyncio.create_task(queue.done(job_ids))
    await asyncio.sleep(2.0)
    more = await queue.submit_many(10)
    sleeping = asyncio.create_task(queue.redis.execute_command("DEBUG", "SLEEP", "1.5"))
    await ends
    await queue.done(more)
    await sleeping
    await queue.clean()


async def test_a_full_redis_makes_the_server_not_ready_and_says_so(site: Site) -> None:
    queue = await site.queue(site.redis().url)
    await site.worker(queue.url)
    _, client = await site.api(queue.url)
    await queue.redis.config_set("maxmemory", 1)
    await until(lambda: answers(client, "/readyz", 503), every_s=0.02)
    problem = (await client.get("/readyz")).json()
    assert (problem["code"], "Redis is full" in problem["detail"]) == ("not_ready", True)
    assert (await client.post("/solve", content=EASY)).status_code == 503
    assert await answers(client, "/livez", 200)
    await queue.redis.config_set("maxmemory", 0)
    await until(lambda: answers(client, "/readyz", 200), every_s=0.02)
    assert (await client.post("/solve", content=EASY)).status_code == 200
    await queue.clean()


async def test_a_full_redis_refuses_and_finishes_what_it_has(site: Site) -> None:
    queue = await site.queue(site.redis().url)
    job_ids = await queue.submit_many(20)
    await queue.redis.config_set("maxmemory", 1)
    with pytest.raises(StoreUnavailable, match="OOM"):
        await queue.submit()
    await site.worker(queue.url, "--work-s", "0.05")
    await queue.done(job_ids)
    with pytest.raises(StoreUnavailable, match="OOM"):
        await queue.submit()
    await queue.redis.config_set("maxmemory", 0)
    await queue.done([await queue.submit()])
    await queue.clean()


@pytest.mark.faults
async def test_a_redis_that_stands_still_for_longer_than_a_lease_costs_no_attempt(
    site: Site,
) -> None:
    server = site.redis()
    queue = await site.queue(server.url)
    for _ in range(3):
        await site.worker(queue.url, "--work-s", "6", "--room", "4", "--lease-s", "2")
    job_ids = await queue.submit_many(12)
    await queue.until_running(12)
    server.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(5.0)
    server.process.send_signal(signal.SIGCONT)
    records = await queue.ends(job_ids)
    assert {(record.state, record.job.attempt) for record in records} == {(JobState.DONE, 0)}
    assert (await queue.store.stats()).redelivered == 0
    await queue.clean()
