"""The real worker, with a shipped model, on Redis: killed, told to stop, and driven by the API."""

import asyncio
import signal
from typing import Any

import httpx
import pytest

from gram_server.job import JobState, WorkerState
from tests.faults.conftest import Park, Queue

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.faults]

EMPTY = "." * 16
LONG = "width=64&depth=1000&halt=never&augment=false"


def start_model(park: Park, url: str, *flags: str) -> Any:
    command = ("-m", "gram_server.cli", "worker", "--store", url, "--model", "sudoku-4x4")
    process = park.start(*command, "--num-threads", "1", "--lease-s", "2", *flags)
    process.wait_for("is warm")
    return process


@pytest.fixture
async def client(queue: Queue, park: Park) -> Any:
    api = park.start_api(queue.url)
    await asyncio.to_thread(park.wait_api, api, needs_worker=False)
    async with httpx.AsyncClient(base_url=api.url, timeout=60.0) as opened:
        yield opened


async def submit(queue: Queue, client: httpx.AsyncClient, query: str) -> str:
    async def is_ready() -> bool:
        return (await client.get("/readyz")).status_code == 200

    await queue.until(is_ready)
    answer = await client.post(f"/jobs?seed=7&{query}", content=EMPTY)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def test_a_job_that_outlives_its_worker_has_the_answer_it_would_have_had(
    queue: Queue, park: Park, client: httpx.AsyncClient
) -> None:
    first = await asyncio.to_thread(start_model, park, queue.url)
    undisturbed = await submit(queue, client, LONG)
    [expected] = await queue.ends([undisturbed])
    job_id = await submit(queue, client, LONG)

    async def is_running() -> bool:
        return bool(await queue.running())

    await queue.until(is_running)
    first.kill()
    assert not (await queue.store.get(job_id)).state.is_final, "the job was too short to disturb"
    second = await asyncio.to_thread(start_model, park, queue.url)
    [record] = await queue.ends([job_id])
    assert (record.state, record.job.attempt) == (JobState.DONE, 1)
    answers, expected_answers = (
        [(found["answer"], found["votes"]) for found in end.result["solutions"]]
        for end in (record, expected)
    )
    assert answers == expected_answers
    assert answers
    second.terminate()
    assert await asyncio.to_thread(second.handle.wait, 30.0) == 0
    await queue.clean()


async def test_a_worker_told_to_stop_twice_hands_its_jobs_back_at_once(
    queue: Queue, park: Park, client: httpx.AsyncClient
) -> None:
    first = await asyncio.to_thread(start_model, park, queue.url, "--drain-s", "60")
    job_id = await submit(queue, client, "width=512&depth=1000&halt=never")

    async def is_running() -> bool:
        return bool(await queue.running())

    await queue.until(is_running)
    first.terminate()
    await asyncio.sleep(0.5)
    first.handle.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(first.handle.wait, 20.0) == 0
    record = await queue.store.get(job_id)
    assert (record.state, record.job.attempt) == (JobState.QUEUED, 0)
    await client.delete(f"/jobs/{job_id}")
    await queue.clean()


async def test_a_full_worker_leaves_jobs_to_one_that_has_room(
    queue: Queue, park: Park, client: httpx.AsyncClient
) -> None:
    for _ in range(2):
        await asyncio.to_thread(start_model, park, queue.url)

    async def are_ready() -> bool:
        states = [worker.state for worker in (await queue.store.stats()).workers]
        return states == [WorkerState.READY] * 2

    await queue.until(are_ready)
    job_ids = [await submit(queue, client, "width=512&depth=1000&halt=never") for _ in range(2)]

    async def are_running() -> bool:
        return bool(await queue.running() == 2)

    await queue.until(are_running)
    names = [f"{{gram}}:1:job:{job_id}" for job_id in job_ids]
    assert len({await queue.redis.hget(name, "worker") for name in names}) == 2
    for job_id in job_ids:
        await client.delete(f"/jobs/{job_id}")
    await queue.clean()


@pytest.mark.parametrize("num_workers", [1, 2])
async def test_workers_that_are_stopped_for_longer_than_their_lease_go_on(
    queue: Queue, park: Park, client: httpx.AsyncClient, num_workers: int
) -> None:
    workers = [await asyncio.to_thread(start_model, park, queue.url) for _ in range(num_workers)]
    job_id = await submit(queue, client, "width=64&depth=1000&halt=never")

    async def is_running() -> bool:
        return (await queue.store.get(job_id)).state is JobState.RUNNING

    await queue.until(is_running)
    for pause_s in (2.1, 2.6, 4.0):
        for worker in workers:
            worker.pause()
        await asyncio.sleep(pause_s)
        for worker in workers:
            worker.resume()
        await asyncio.sleep(1.0)
        assert [worker.handle.poll() for worker in workers] == [None] * num_workers
    # They answer others beside it, and what they held is still held.
    other = await submit(queue, client, "width=1&max_solutions=1")
    [record] = await queue.ends([other])
    assert record.state is JobState.DONE
    await queue.until(is_running)
    assert (await queue.store.get(job_id)).job.attempt == 0
    await client.delete(f"/jobs/{job_id}")
    await queue.clean()


async def test_a_stopped_worker_whose_job_went_to_another_comes_back_as_good_as_before(
    queue: Queue, park: Park, client: httpx.AsyncClient
) -> None:
    workers = [await asyncio.to_thread(start_model, park, queue.url) for _ in range(2)]
    job_id = await submit(queue, client, "width=64&depth=1000&halt=never")
    name = f"{{gram}}:1:job:{job_id}"

    async def holder() -> Any:
        held_by = (await queue.redis.hget(name, "worker") or b"").decode()
        return next((worker for worker in workers if f"-{worker.pid}-" in held_by), None)

    async def is_held() -> bool:
        return await holder() is not None

    for attempt in range(1, 4):
        await queue.until(is_held)
        first = await holder()
        first.pause()

        async def is_with_another(first: Any = first) -> bool:
            return await holder() not in (None, first)

        await queue.until(is_with_another)
        first.resume()
        await asyncio.sleep(1.0)
        assert [worker.handle.poll() for worker in workers] == [None, None]
        assert (await queue.store.get(job_id)).job.attempt == attempt
    others = [await submit(queue, client, "width=1&max_solutions=1") for _ in range(4)]
    assert {record.state for record in await queue.ends(others)} == {JobState.DONE}
    await client.delete(f"/jobs/{job_id}")
    await queue.clean()
