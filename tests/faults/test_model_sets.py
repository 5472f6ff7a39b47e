"""Workers with different models on one Redis, and upgrades that add or replace models."""

import asyncio
from typing import Any

import httpx
import pytest

from gram_server.job import JobState
from tests.faults.conftest import Park, Queue

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.faults]

EASY = ".234341221434321"
OLD, NEW = "m@0123abcd", "m@4567cdef"


@pytest.fixture
async def clients(queue: Queue, park: Park) -> Any:
    """Clients of an API process of before and of one of after an upgrade."""
    apis = [park.start_api(queue.url) for _ in range(2)]
    for api in apis:
        await asyncio.to_thread(park.wait_api, api, needs_worker=False)
    opened = [httpx.AsyncClient(base_url=api.url, timeout=60.0) for api in apis]
    yield opened
    for client in opened:
        await client.aclose()


async def start(park: Park, url: str, *models: str, flags: tuple[str, ...] = ()) -> Any:
    named = [part for model in models for part in ("--model", model)]
    return await asyncio.to_thread(park.worker, url, "--work-s", "0.1", *named, *flags)


async def know(queue: Queue, client: httpx.AsyncClient, *models: str) -> None:
    async def are_known() -> bool:
        answer = await client.get("/models")
        return answer.status_code == 200 and set(models) <= {
            part[name] for part in answer.json()["models"] for name in ("name", "id")
        }

    await queue.until(are_known)


async def test_workers_with_different_models_work_together(
    queue: Queue, park: Park, clients: list[httpx.AsyncClient]
) -> None:
    await start(park, queue.url, "m")
    await start(park, queue.url, "n", "o")
    await know(queue, clients[0], "m", "n", "o")
    answers = await asyncio.gather(
        *(
            clients[0].post(f"/solve?model={'mno'[number % 3]}", content=EASY)
            for number in range(60)
        )
    )
    assert [answer.status_code for answer in answers] == [200] * 60
    names = [answer.json()["model"].partition("@")[0] for answer in answers]
    assert names == ["mno"[number % 3] for number in range(60)]
    assert (await queue.store.stats()).redelivered == 0
    await queue.clean()


async def test_an_upgrade_that_adds_a_model_fails_nothing_workers_first(
    queue: Queue, park: Park, clients: list[httpx.AsyncClient]
) -> None:
    before, after = clients
    old = await start(park, queue.url, "m")
    await know(queue, before, "m")
    ids = []

    async def submit(client: httpx.AsyncClient, *models: str) -> None:
        for _ in range(10):
            for model in models:
                answer = await client.post(f"/jobs?model={model}", content=EASY)
                assert answer.status_code == 202, answer.text
                ids.append(answer.json()["id"])

    await submit(before, "m")
    new = await start(park, queue.url, "m", "n")
    await know(queue, after, "m", "n")
    # Both kinds of workers, both kinds of jobs.
    await submit(before, "m")
    await submit(after, "n", "m")
    old.terminate()
    assert await asyncio.to_thread(old.handle.wait, 30.0) == 0
    await submit(after, "n")
    records = await queue.ends(ids)
    assert {(record.state, record.job.attempt) for record in records} == {(JobState.DONE, 0)}
    assert all(f"-{new.pid}-" in r.result["model"] for r in records if r.job.model == "n")
    await queue.clean()


async def test_a_job_waits_for_a_worker_with_its_model_until_its_deadline(
    queue: Queue, park: Park, clients: list[httpx.AsyncClient]
) -> None:
    other = await start(park, queue.url, "m")
    first = await start(park, queue.url, "n")
    await know(queue, clients[0], "m", "n")
    first.terminate()
    await asyncio.to_thread(first.handle.wait, 30.0)
    late = await clients[0].post("/jobs?model=n&deadline_ms=500", content=EASY)
    job = await clients[0].post("/jobs?model=n", content=EASY)
    # Others are not held up, and nobody fails what is not theirs.
    others = [await clients[0].post("/solve?model=m", content=EASY) for _ in range(5)]
    assert {answer.status_code for answer in others} == {200}
    [expired] = await queue.ends([late.json()["id"]])
    assert expired.state is JobState.EXPIRED
    record = await queue.store.get(job.json()["id"])
    assert (record.state, record.job.attempt) == (JobState.QUEUED, 0)
    assert other.handle.poll() is None
    await start(park, queue.url, "n")
    [record] = await queue.ends([job.json()["id"]])
    assert (record.state, record.job.attempt) == (JobState.DONE, 0)
    await queue.clean()


async def test_weights_that_are_asked_for_by_fingerprint_are_the_ones_that_answer(
    queue: Queue, park: Park, clients: list[httpx.AsyncClient]
) -> None:
    old = await start(park, queue.url, OLD)
    new = await start(park, queue.url, NEW)
    await know(queue, clients[0], OLD.partition("@")[0])

    async def solve(model: str) -> httpx.Response:
        return await clients[0].post(f"/solve?model={model}", content=EASY)

    async def are_both_known() -> bool:
        return {(await solve(model)).status_code for model in (OLD, NEW)} == {200}

    await queue.until(are_both_known)
    for model, worker in ((OLD, old), (NEW, new)):
        answers = await asyncio.gather(*(solve(model) for _ in range(20)))
        assert all(f"-{worker.pid}-" in answer.json()["model"] for answer in answers)
    # Replaced: whoever asks before the API knows waits, and is never answered by others.
    old.terminate()
    await asyncio.to_thread(old.handle.wait, 30.0)
    job = await clients[0].post(f"/jobs?model={OLD}&deadline_ms=1000", content=EASY)
    if job.status_code == 202:
        [record] = await queue.ends([job.json()["id"]])
        assert record.state is JobState.EXPIRED

    async def is_refused() -> bool:
        return (await clients[0].post(f"/jobs?model={OLD}", content=EASY)).status_code == 422

    await queue.until(is_refused)
    assert (await solve("m")).status_code == 200
