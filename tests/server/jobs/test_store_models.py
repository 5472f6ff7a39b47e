"""A worker is given jobs of the models that it has, and of no others."""

import asyncio
from typing import Any

import pytest

from gram_server.job import JobState
from gram_server.jobs import redis_connection
from gram_server.jobs.redis_worker import RedisWorker
from tests.server.jobs.conftest import RESULT, Harness

pytestmark = pytest.mark.anyio
OLD, NEW = "m@0123abcd", "m@4567cdef"


async def submit(harness: Harness, job_id: str, model: str, **values: Any) -> None:
    """Hand in a job for a model, by its name or with the fingerprint of its weights."""
    name, _, fingerprint = model.partition("@")
    await harness.submit(job_id, model=name, fingerprint=fingerprint or None, **values)


async def names(worker: Any, *models: str, max_jobs: int = 8) -> list[str]:
    claimed = await worker.claim(max_jobs=max_jobs, can_wait=False, models=models)
    return [job.id for job in claimed]


async def test_workers_with_different_models_share_one_queue(harness: Harness) -> None:
    for number in range(12):
        await submit(harness, f"j{number}", "abc"[number % 3])
    first, second = await harness.worker("w1"), await harness.worker("w2")
    assert await names(first, "a", max_jobs=3) == ["j0", "j3", "j6"]
    found = await names(second, "b", "c", max_jobs=100)
    # What the first worker may have come across is served first, each model's in its order.
    for in_order in (["j1", "j4", "j7", "j10"], ["j2", "j5", "j8", "j11"]):
        assert [job_id for job_id in found if job_id in in_order] == in_order
    assert await names(second, "b", "c") == []
    assert await names(first, "a") == ["j9"]
    stats = await harness.store.stats()
    assert (stats.num_running, stats.classes[1].num_jobs) == (12, 0)


async def test_a_job_without_a_worker_that_has_its_model_waits_and_holds_up_nobody(
    harness: Harness,
) -> None:
    for number in range(40):
        await submit(harness, f"x{number}", "unknown", priority=0)
    await submit(harness, "a", "m")
    worker = await harness.worker()
    assert await names(worker, "m", OLD, max_jobs=1) == ["a"]
    record = await harness.store.get("x0")
    assert (record.state, record.job.attempt) == (JobState.QUEUED, 0)
    stats = await harness.store.stats()
    assert (stats.classes[0].num_jobs, stats.classes[0].num_trajectories) == (40, 40)
    late = await harness.worker("w2")
    assert len(await names(late, "unknown", max_jobs=100)) == 40


async def test_a_job_that_was_passed_over_wakes_the_worker_that_has_its_model(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Who is not waked would look for itself only then.
    monkeypatch.setattr(redis_connection, "BLOCK_S", 30.0)
    owner, other = await harness.worker("w1"), await harness.worker("w2")
    waiting = [
        asyncio.create_task(worker.claim(max_jobs=1, models=[model]))
        for worker, model in ((owner, "m"), (other, "n"))
    ]
    await asyncio.sleep(0.05)
    await submit(harness, "a", "m")
    async with asyncio.timeout(10.0):
        [job] = await waiting[0]
    assert job.id == "a"
    assert not waiting[1].done()
    waiting[1].cancel()
    await asyncio.gather(waiting[1], return_exceptions=True)


async def test_a_pinned_job_goes_to_the_weights_it_names_only(harness: Harness) -> None:
    for job_id, model in (("old", OLD), ("any", "m"), ("new", NEW)):
        await submit(harness, job_id, model)
    worker = await harness.worker()
    assert await names(worker, "m", NEW) == ["any", "new"]
    assert (await harness.store.get("old")).state is JobState.QUEUED
    with_old = await harness.worker("w2")
    [job] = await with_old.claim(max_jobs=8, models=["m", OLD])
    assert (job.id, job.model, job.fingerprint, job.attempt) == ("old", "m", "0123abcd", 0)


async def test_a_job_that_was_passed_over_can_be_cancelled_and_expires(harness: Harness) -> None:
    await submit(harness, "a", "x")
    await submit(harness, "b", "x", deadline_s=harness.clock() + 0.3)
    worker = await harness.worker()
    assert await names(worker, "m") == []
    await harness.store.cancel("a")
    assert (await harness.store.wait("b", timeout_s=10.0)).state is JobState.EXPIRED
    assert await names(worker, "x") == []
    assert (await harness.store.stats()).reserved_trajectories == 0


@pytest.mark.parametrize(("many", "one"), [("m", "n"), ("n", "m")])
async def test_models_take_turns_though_one_has_more_jobs_than_can_be_served(
    harness: Harness, many: str, one: str
) -> None:
    for number in range(20):
        await submit(harness, f"many{number}", many)
    await submit(harness, "one", one)
    other = await harness.worker("w2")
    assert await names(other, "o") == []
    worker = await harness.worker()
    found: list[str] = []
    for number in range(30):
        found += await names(worker, "m", "n", max_jobs=1)
        await worker.complete(found[-1], RESULT)
        await submit(harness, f"again{number}", many)
        assert await names(other, "o") == []
    assert "one" in found


async def test_a_last_chance_waits_for_a_worker_that_has_its_model(harness: Harness) -> None:
    for job_id in ("a", "b"):
        await submit(harness, job_id, "m")
    for number in range(2):
        lost = await harness.worker(f"lost{number}")
        assert len(await names(lost, "m")) == 2
        await lost.close()
    other = await harness.worker("w0")
    assert await names(other, "n") == []
    worker = await harness.worker("w1")
    [first] = await names(worker, "m")
    assert await names(worker, "m") == []
    await worker.complete(first, RESULT)
    assert (await harness.store.wait(first, timeout_s=10.0)).state is JobState.DONE
    [second] = await names(worker, "m")
    assert {first, second} == {"a", "b"}


async def test_who_passes_jobs_over_does_not_come_back_to_them(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await harness.worker()
    if not isinstance(worker, RedisWorker):
        pytest.skip("only Redis is asked again and again")
    for number in range(30):
        await submit(harness, f"j{number}", "x")
    num_claims = 0
    run = worker._connection.run

    async def counted(name: str, *arguments: Any, **options: Any) -> Any:
        nonlocal num_claims
        num_claims += name == "claim"
        return await run(name, *arguments, **options)

    monkeypatch.setattr(worker._connection, "run", counted)
    claim = asyncio.create_task(worker.claim(max_jobs=8, models=["m"]))
    await asyncio.sleep(2.5)
    claim.cancel()
    await asyncio.gather(claim, return_exceptions=True)
    # Once for what there was, then each time a wait has ended.
    assert num_claims < 10
