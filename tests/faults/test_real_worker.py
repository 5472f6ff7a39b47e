"""The real worker, with a shipped model, on Redis: killed, told to stop, and driven by the API."""

import asyncio
import signal
from typing import Any

import httpx
import pytest

from gram_server.job import JobState, WorkerState

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.faults]

EMPTY = "." * 16
LONG = "width=64&depth=1000&halt=never&augment=false"


def start_model(park: Any, url: str, *flags: str) -> Any:
    command = ("-m", "gram_server.cli", "worker", "--store", url, "--model", "sudoku-4x4")
    process = park.start(*command, "--num-threads", "1", "--lease-s", "2", *flags)
    process.wait_for("is warm")
    return process


@pytest.fixture
async def client(queue: Any, park: Any) -> Any:
    api = park.start_api(queue.url)
    await asyncio.to_thread(park.wait_api, api, needs_worker=False)
    async with httpx.AsyncClient(base_url=api.url, timeout=60.0) as opened:
        yield opened


async def submit(queue: Any, client: httpx.AsyncClient, query: str) -> str:
    async def is_ready() -> bool:
        return (await client.get("/readyz")).status_code == 200

    await queue.until(is_ready)
    answer = await client.post(f"/jobs?seed=7&{query}", content=EMPTY)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def test_a_job_that_outlives_its_worker_has_the_answer_it_would_have_had(
    queue: Any, park: Any, client: httpx.AsyncClient
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
    queue: Any, park: Any, client: httpx.AsyncClient
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
    queue: Any, park: Any, client: httpx.AsyncClient
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
