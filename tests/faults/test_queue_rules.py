"""Rules of the queue when many ask at once, and in every state of a job."""

import asyncio
import hashlib
from collections import Counter

import pytest

from gram_server.errors import KeyConflict
from gram_server.jobs.store import IdempotencyKey
from tests.faults.conftest import EASY, Queue, Site

pytestmark = [pytest.mark.anyio, pytest.mark.redis]


async def test_one_key_a_hundred_times_from_several_processes_is_one_job(
    queue: Queue, site: Site
) -> None:
    fingerprint = hashlib.sha256(b"body").hexdigest()
    ticket = IdempotencyKey(owner="me", key="k", fingerprint=fingerprint)
    stores = [queue.store, *[(await site.queue(queue.url)).store for _ in range(3)]]
    submits = (stores[n % 4].submit(queue.job(), ticket=ticket) for n in range(100))
    assert len(set(await asyncio.gather(*submits))) == 1
    assert (await queue.store.stats()).reserved_trajectories == 1
    changed = IdempotencyKey(owner="me", key="k", fingerprint="other")
    with pytest.raises(KeyConflict):
        await queue.store.submit(queue.job(), ticket=changed)


@pytest.mark.faults
async def test_a_burst_on_four_api_processes_never_passes_the_bound(
    queue: Queue, site: Site
) -> None:
    await site.worker(queue.url, "--work-s", "30", "--room", "4")
    flags = ("--max-trajectories", "1024")
    clients = [(await site.api(queue.url, *flags)).client for _ in range(4)]
    seen: list[int] = []

    async def watch() -> None:
        while True:
            seen.append((await queue.store.stats()).reserved_trajectories)
            await asyncio.sleep(0.005)

    watching = asyncio.create_task(watch())
    posts = (clients[n % 4].post("/jobs?width=64", content=EASY) for n in range(120))
    responses = await asyncio.gather(*posts)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert Counter(answer.status_code for answer in responses) == {202: 16, 429: 104}
    for response in responses:
        if response.status_code == 429:
            assert response.json()["code"] == "queue_full"
            assert int(response.headers["Retry-After"]) >= 1
        else:
            await clients[0].delete(f"/jobs/{response.json()['id']}")
    assert max(seen) <= 1024
    await queue.clean()
