"""Clients that leave, or are refused, while their job is being handed in: it must not go on."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.faults.conftest import Queue, Site, answers
from tests.faults.proxy import Proxy, proxied
from tests.processes import until

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.faults]

EMPTY = "." * 16


@pytest.fixture
async def line(queue: Queue) -> AsyncIterator[Proxy]:
    async with proxied(queue.url) as proxy:
        yield proxy


@pytest.fixture
async def client(queue: Queue, site: Site, line: Proxy) -> httpx.AsyncClient:
    await site.worker(queue.url, "--work-s", "120", "--room", "100")
    return (await site.api(line.url)).client


async def states(queue: Queue) -> list[str]:
    names = [name async for name in queue.redis.scan_iter("{gram}:1:job:*")]
    return sorted([(await queue.redis.hget(name, "state")).decode() for name in names])


async def until_cancelled(queue: Queue) -> None:
    async def are_cancelled() -> bool:
        return set(await states(queue)) == {"cancelled"}

    await until(are_cancelled, every_s=0.02)


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_a_client_that_leaves_while_its_job_is_handed_in_leaves_no_job_behind(
    queue: Queue, client: httpx.AsyncClient, line: Proxy, accept: str
) -> None:
    client.headers["Accept"] = accept
    line.delay_s = 0.3
    for delay_s in (0.05, 0.1, 0.2, 0.25, 0.3, 0.35, 0.5, 0.8):
        posting = asyncio.create_task(client.post("/solve?width=4", content=EMPTY))
        await asyncio.sleep(delay_s)
        posting.cancel()
        await asyncio.gather(posting, return_exceptions=True)
    await until_cancelled(queue)
    line.delay_s = 0.0
    await queue.clean()


@pytest.mark.parametrize("path", ["/solve", "/jobs"])
async def test_a_job_whose_client_was_told_503_is_not_worked_on(
    queue: Queue, client: httpx.AsyncClient, line: Proxy, path: str
) -> None:
    line.delay_s = None
    answer = await client.post(f"{path}?width=4", content=EMPTY)
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert len(await states(queue)) == 1
    # New connections come about again, over which Redis can be told.
    line.delay_s = 0.0
    await until_cancelled(queue)
    await queue.clean()


async def test_a_job_that_may_be_asked_for_again_by_its_key_goes_on(
    queue: Queue, client: httpx.AsyncClient, line: Proxy
) -> None:
    line.delay_s = None
    client.headers["Idempotency-Key"] = "k"
    assert await answers(client, "/jobs", 503, post=EMPTY)
    line.delay_s = 0.0
    await until(lambda: answers(client, "/jobs", 200, post=EMPTY), every_s=0.02)
    assert await states(queue) == ["running"]
