"""The real worker, with a shipped model, on Redis: killed, told to stop, and driven by the API."""

import asyncio
from functools import partial

import httpx
import pytest

from gram_server.job import JobState, WorkerState
from tests.faults.conftest import Queue, Site, answers, end_of, until_said
from tests.processes import Running, until

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.faults]

LONG = "width=64&depth=1000&halt=never"
WIDE = "width=512&depth=1000&halt=never"
SHORT = "width=1&max_solutions=1"


async def start_model(site: Site, queue: Queue, *flags: str) -> Running:
    command = ("-m", "gram_server.cli", "worker", "--store", queue.url, "--model", "sudoku-4x4")
    process = site.park.start(*command, "--num-threads", "1", "--lease-s", "2", *flags)
    return await until_said(process, "is warm")


@pytest.fixture
async def client(queue: Queue, site: Site) -> httpx.AsyncClient:
    return (await site.api(queue.url, needs_worker=False)).client


async def submit(client: httpx.AsyncClient, query: str) -> str:
    await until(lambda: answers(client, "/readyz", 200), every_s=0.02)
    answer = await client.post(f"/jobs?seed=7&{query}", content="." * 16)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def withdraw(queue: Queue, client: httpx.AsyncClient, *job_ids: str) -> None:
    for job_id in job_ids:
        await client.delete(f"/jobs/{job_id}")
    await queue.clean()


async def test_a_job_that_outlives_its_worker_has_the_answer_it_would_have_had(
    queue: Queue, site: Site, client: httpx.AsyncClient
) -> None:
    first = await start_model(site, queue)
    [expected] = await queue.ends([await submit(client, f"{LONG}&augment=false")])
    job_id = await submit(client, f"{LONG}&augment=false")
    await queue.until_running(1)
    first.kill()
    assert not (await queue.store.get(job_id)).state.is_final, "the job was too short to disturb"
    second = await start_model(site, queue)
    [record] = await queue.done([job_id])
    assert record.job.attempt == 1
    found, wanted = (
        [(solution["answer"], solution["votes"]) for solution in end.result["solutions"]]
        for end in (record, expected)
    )
    assert found == wanted != []
    second.process.terminate()
    assert await end_of(second) == 0
    await queue.clean()


async def test_a_worker_told_to_stop_twice_hands_its_jobs_back_at_once(
    queue: Queue, site: Site, client: httpx.AsyncClient
) -> None:
    first = await start_model(site, queue, "--drain-s", "60")
    job_id = await submit(client, WIDE)
    await queue.until_running(1)
    first.process.terminate()
    await asyncio.sleep(0.5)
    first.process.terminate()
    assert await end_of(first) == 0
    record = await queue.store.get(job_id)
    assert (record.state, record.job.attempt) == (JobState.QUEUED, 0)
    await withdraw(queue, client, job_id)


async def test_a_full_worker_leaves_jobs_to_one_that_has_room(
    queue: Queue, site: Site, client: httpx.AsyncClient
) -> None:
    for _ in range(2):
        await start_model(site, queue)

    async def are_ready() -> bool:
        states = [worker.state for worker in (await queue.store.stats()).workers]
        return states == [WorkerState.READY] * 2

    await until(are_ready, every_s=0.02)
    job_ids = [await submit(client, WIDE) for _ in range(2)]
    await queue.until_running(2)
    names = [f"{{gram}}:1:job:{job_id}" for job_id in job_ids]
    assert len({await queue.redis.hget(name, "worker") for name in names}) == 2
    await withdraw(queue, client, *job_ids)


@pytest.mark.parametrize("num_workers", [1, 2])
async def test_workers_that_are_stopped_for_longer_than_their_lease_go_on(
    queue: Queue, site: Site, client: httpx.AsyncClient, num_workers: int
) -> None:
    workers = [await start_model(site, queue) for _ in range(num_workers)]
    job_id = await submit(client, WIDE)

    async def is_running() -> bool:
        return (await queue.store.get(job_id)).state is JobState.RUNNING

    await until(is_running, every_s=0.02)
    for pause_s in (2.1, 2.6, 4.0):
        for worker in workers:
            worker.pause()
        await asyncio.sleep(pause_s)
        for worker in workers:
            worker.resume()
        await asyncio.sleep(1.0)
        assert [worker.process.poll() for worker in workers] == [None] * num_workers
    # They answer others beside it, and what they held is still held.
    await queue.done([await submit(client, SHORT)])
    await until(is_running, every_s=0.02)
    assert (await queue.store.get(job_id)).job.attempt == 0
    await withdraw(queue, client, job_id)


async def test_a_stopped_worker_whose_job_went_to_another_comes_back_as_good_as_before(
    queue: Queue, site: Site, client: httpx.AsyncClient
) -> None:
    workers = [await start_model(site, queue) for _ in range(2)]
    job_id = await submit(client, WIDE)

    async def holder() -> Running | None:
        held_by = (await queue.redis.hget(f"{{gram}}:1:job:{job_id}", "worker") or b"").decode()
        return next((worker for worker in workers if f"-{worker.pid}-" in held_by), None)

    async def is_with_another(first: Running | None) -> bool:
        return await holder() not in (None, first)

    for attempt in range(1, 4):
        await until(partial(is_with_another, None), every_s=0.02)
        first = await holder()
        assert first is not None
        first.pause()
        await until(partial(is_with_another, first), every_s=0.02)
        first.resume()
        await asyncio.sleep(1.0)
        assert [worker.process.poll() for worker in workers] == [None, None]
        assert (await queue.store.get(job_id)).job.attempt == attempt
    await queue.done([await submit(client, SHORT) for _ in range(4)])
    await withdraw(queue, client, job_id)
