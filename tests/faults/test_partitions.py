"""Hosts that cannot reach each other, disagree about the time, or lose an API process."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest

from gram_server.job import JobState
from tests.faults.conftest import EASY, Queue, Site, answers
from tests.faults.proxy import Proxy, proxied
from tests.processes import until

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.faults]

KEY = {"Idempotency-Key": "k"}


@pytest.fixture
async def proxies(queue: Queue) -> AsyncIterator[list[Proxy]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(proxied(queue.url)) for _ in range(2)]


async def test_two_workers_cut_off_in_turn_lose_nothing(
    queue: Queue, site: Site, proxies: list[Proxy]
) -> None:
    for proxy in proxies:
        await site.worker(proxy.url, "--work-s", "0.3", "--room", "3", "--lease-s", "1.5")
    job_ids = await queue.submit_many(60)
    ends = asyncio.create_task(queue.done(job_ids))
    for proxy in (*proxies, *proxies):
        proxy.is_whole.clear()
        await asyncio.sleep(2.5)
        proxy.is_whole.set()
        await asyncio.sleep(0.5)
    await ends
    for job_id in job_ids:
        assert await queue.kinds(job_id) == ["accepted", "solution", "done"]
    await queue.clean()


async def test_an_api_process_cut_off_from_redis_refuses_in_time_and_comes_back(
    queue: Queue, site: Site, proxies: list[Proxy]
) -> None:
    proxy = proxies[0]
    await site.worker(queue.url, "--work-s", "0.2")
    _, client = await site.api(proxy.url)
    job_id = (await client.post("/jobs", content=EASY)).json()["id"]
    assert (await client.get(f"/jobs/{job_id}?wait=20")).json()["state"] == "done"
    # From here on connections are open, and nothing comes through them.
    proxy.is_whole.clear()
    started_s = time.monotonic()
    lost = await client.post("/jobs", content=EASY, headers=KEY)
    assert (lost.status_code, lost.json()["code"]) == (503, "store_unavailable")
    assert time.monotonic() - started_s < 10.0
    assert await answers(client, "/livez", 200)
    await until(lambda: answers(client, "/readyz", 503), timeout_s=20.0, every_s=0.1)
    proxy.is_whole.set()
    await until(lambda: answers(client, "/readyz", 200), timeout_s=20.0, every_s=0.1)
    # The lost request may have arrived after all: the same again is the same job.
    again = await client.post("/jobs", content=EASY, headers=KEY)
    assert again.status_code in (200, 202)
    repeated = await client.post("/jobs", content=EASY, headers=KEY)
    assert (repeated.status_code, repeated.json()["id"]) == (200, again.json()["id"])
    done = await client.get(f"/jobs/{again.json()['id']}?wait=20")
    assert done.json()["state"] == "done"
    assert len((await client.get("/jobs")).json()["jobs"]) == 2
    await queue.clean()


@pytest.mark.parametrize("skew_s", [3600.0, -3600.0])
async def test_hosts_that_disagree_about_the_time_keep_deadlines_and_leases(
    queue: Queue, site: Site, skew_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead, behind = ("--skew-s", str(skew_s)), ("--skew-s", str(-skew_s))
    await site.worker(queue.url, "--work-s", "0.3", *ahead, "--lease-s", "2")
    other = await site.worker(queue.url, "--work-s", "0.3", *behind, "--lease-s", "2")
    [record] = await queue.done([await queue.submit(deadline_ms=20_000)])
    assert record.job.attempt == 0
    other.kill()
    busy = await site.worker(queue.url, "--work-s", "30", *behind, "--room", "1")
    started_s = time.monotonic()
    records = await queue.ends(await queue.submit_many(20, deadline_ms=1_000))
    assert time.monotonic() - started_s < 15.0
    assert {record.state for record in records} <= {JobState.DONE, JobState.EXPIRED}
    assert JobState.DONE in {record.state for record in records}
    busy.kill()
    # An API host that is an hour off, and a client that gives one second.
    true_time = time.time
    monkeypatch.setattr(time, "time", lambda: true_time() + skew_s)
    [record] = await queue.done([await queue.submit(deadline_ms=10_000)])
    assert abs(record.job.submitted_s - time.time()) < 5.0
    await queue.clean()


async def test_a_client_whose_api_process_dies_gets_its_job_from_another(
    queue: Queue, site: Site
) -> None:
    await site.worker(queue.url, "--work-s", "1.5")
    (dying, client), (_, other) = [await site.api(queue.url) for _ in range(2)]
    posted = await client.post("/jobs", content=EASY, headers=KEY)
    path = f"/jobs/{posted.json()['id']}"
    waiting = asyncio.create_task(client.get(f"{path}?wait=20"))
    following = asyncio.create_task(client.get(f"{path}/events"))
    await asyncio.sleep(0.3)
    dying.kill()
    for lost in await asyncio.gather(waiting, following, return_exceptions=True):
        assert isinstance(lost, httpx.TransportError)
    again = await other.post("/jobs", content=EASY, headers=KEY)
    assert (again.status_code, again.json()["id"]) == (200, posted.json()["id"])
    assert (await other.get(f"{path}?wait=20")).json()["state"] == "done"
    events = await other.get(f"{path}/events", headers={"Last-Event-ID": "1"})
    assert events.text.count("event: solution") == 1
    await queue.clean()
