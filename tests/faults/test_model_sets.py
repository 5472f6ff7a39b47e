"""Workers with different models on one Redis, and upgrades that add or replace models."""

import asyncio
from functools import partial

import httpx
import pytest

from gram_server.job import JobState
from tests.faults.conftest import EASY, Queue, Site, answers, end_of
from tests.processes import Running, until

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.faults]

OLD, NEW = "m@0123abcd", "m@4567cdef"
DONE_AT_ONCE = {(JobState.DONE, 0)}


@pytest.fixture
async def clients(queue: Queue, site: Site) -> list[httpx.AsyncClient]:
    """Clients of an API process of before and of one of after an upgrade."""
    return [(await site.api(queue.url, needs_worker=False)).client for _ in range(2)]


async def start(site: Site, queue: Queue, *models: str) -> Running:
    named = [part for model in models for part in ("--model", model)]
    return await site.worker(queue.url, "--work-s", "0.1", *named)


async def stop(worker: Running) -> None:
    worker.process.terminate()
    assert await end_of(worker) == 0


async def know(client: httpx.AsyncClient, *models: str) -> None:
    async def are_known() -> bool:
        answer = await client.get("/models")
        return answer.status_code == 200 and set(models) <= {
            part[name] for part in answer.json()["models"] for name in ("name", "id")
        }

    await until(are_known, every_s=0.02)


async def test_workers_with_different_models_work_together(
    queue: Queue, site: Site, clients: list[httpx.AsyncClient]
) -> None:
    await start(site, queue, "m")
    await start(site, queue, "n", "o")
    await know(clients[0], "m", "n", "o")
    wanted = ["mno"[number % 3] for number in range(60)]
    posts = (clients[0].post(f"/solve?model={model}", content=EASY) for model in wanted)
    answers = await asyncio.gather(*posts)
    assert [answer.status_code for answer in answers] == [200] * 60
    assert [answer.json()["model"].partition("@")[0] for answer in answers] == wanted
    assert (await queue.store.stats()).redelivered == 0
    await queue.clean()


async def test_an_upgrade_that_adds_a_model_fails_nothing_workers_first(
    queue: Queue, site: Site, clients: list[httpx.AsyncClient]
) -> None:
    before, after = clients
    old = await start(site, queue, "m")
    await know(before, "m")
    ids = []

    async def submit(client: httpx.AsyncClient, *models: str) -> None:
        for model in models * 10:
            answer = await client.post(f"/jobs?model={model}", content=EASY)
            assert answer.status_code == 202, answer.text
            ids.append(answer.json()["id"])

    await submit(before, "m")
    new = await start(site, queue, "m", "n")
    await know(after, "m", "n")
    # Both kinds of workers, both kinds of jobs.
    await submit(before, "m")
    await submit(after, "n", "m")
    await stop(old)
    await submit(after, "n")
    records = await queue.ends(ids)
    assert {(record.state, record.job.attempt) for record in records} == DONE_AT_ONCE
    assert all(f"-{new.pid}-" in r.result["model"] for r in records if r.job.model == "n")
    await queue.clean()


async def test_a_job_waits_for_a_worker_with_its_model_until_its_deadline(
    queue: Queue, site: Site, clients: list[httpx.AsyncClient]
) -> None:
    other = await start(site, queue, "m")
    first = await start(site, queue, "n")
    await know(clients[0], "m", "n")
    await stop(first)
    late = await clients[0].post("/jobs?model=n&deadline_ms=500", content=EASY)
    job_id = (await clients[0].post("/jobs?model=n", content=EASY)).json()["id"]
    # Others are not held up, and nobody fails what is not theirs.
    others = [await clients[0].post("/solve?model=m", content=EASY) for _ in range(5)]
    assert {answer.status_code for answer in others} == {200}
    [expired] = await queue.ends([late.json()["id"]])
    assert expired.state is JobState.EXPIRED
    record = await queue.store.get(job_id)
    assert (record.state, record.job.attempt) == (JobState.QUEUED, 0)
    assert other.process.poll() is None
    await start(site, queue, "n")
    [record] = await queue.ends([job_id])
    assert {(record.state, record.job.attempt)} == DONE_AT_ONCE
    await queue.clean()


async def test_weights_that_are_asked_for_by_fingerprint_are_the_ones_that_answer(
    queue: Queue, site: Site, clients: list[httpx.AsyncClient]
) -> None:
    client = clients[0]
    old, new = await start(site, queue, OLD), await start(site, queue, NEW)
    await know(client, "m")
    for model, worker in ((OLD, old), (NEW, new)):
        known = partial(answers, client, f"/solve?model={model}", 200, post=EASY)
        await until(known, every_s=0.02)
        posts = (client.post(f"/solve?model={model}", content=EASY) for _ in range(20))
        for answer in await asyncio.gather(*posts):
            assert f"-{worker.pid}-" in answer.json()["model"]
    # Replaced: whoever asks before the API knows waits, and is never answered by others.
    await stop(old)
    job = await client.post(f"/jobs?model={OLD}&deadline_ms=1000", content=EASY)
    if job.status_code == 202:
        [record] = await queue.ends([job.json()["id"]])
        assert record.state is JobState.EXPIRED
    await until(lambda: answers(client, f"/jobs?model={OLD}", 422, post=EASY), every_s=0.02)
    assert (await client.post("/solve?model=m", content=EASY)).status_code == 200
