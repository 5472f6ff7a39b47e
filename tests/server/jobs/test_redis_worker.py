"""What only a worker's side in Redis can do: refusals that come again, jobs of other versions."""

import asyncio
import json
import time
from typing import Any

import pytest

from gram_server.errors import StoreUnavailable
from gram_server.job import Event, EventKind, JobState
from gram_server.jobs import redis_worker
from gram_server.jobs.redis_connection import PeriodicTask
from tests.server.jobs.conftest import RESULT, MakeJob, Queue

pytestmark = [pytest.mark.anyio, pytest.mark.redis]


async def test_what_redis_refuses_for_good_stops_no_other_word(
    queue: Queue, make_job: MakeJob
) -> None:
    for job_id in ("a", "b"):
        await queue.store.submit(make_job(job_id))
    await queue.worker.claim(max_jobs=2)
    # Nothing can be added to it any more.
    await queue.redis.set("{gram}:1:events:a", "not a stream")
    async with asyncio.timeout(20.0):
        event = Event(kind=EventKind.SOLUTION, data={"answer": "x"})
        await queue.worker.publish("a", event)
        await queue.worker.complete("a", RESULT)
        await queue.worker.publish("b", event)
        await queue.worker.complete("b", RESULT)
    assert (await queue.store.get("b")).state is JobState.DONE
    assert not queue.worker._held


@pytest.mark.parametrize("has_handed_back", [False, True])
async def test_a_worker_that_leaves_without_redis_takes_its_time_once(
    queue: Queue, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, has_handed_back: bool
) -> None:
    monkeypatch.setattr(redis_worker, "SHUTDOWN_S", 4.0)
    for job_id in ("a", "b"):
        await queue.store.submit(make_job(job_id))
    await queue.worker.claim(max_jobs=2)

    async def run(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("Redis is gone")

    monkeypatch.setattr(queue.worker._connection, "run", run)
    # Such as the refusal of a job of another version.
    queue.worker._run_beside(queue.worker.fail("a", code="unreadable", detail="another version"))
    started_s = time.monotonic()
    async with asyncio.timeout(20.0):
        if has_handed_back:
            await queue.worker.hand_back(["b"])
        await queue.worker.close()
    assert 4.0 <= time.monotonic() - started_s < 7.9


async def test_a_result_that_redis_refuses_makes_the_job_fail(
    queue: Queue, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queue.redis.config_set("proto-max-bulk-len", 1 << 20)
    try:
        await queue.store.submit(make_job("a"))
        await queue.worker.claim(max_jobs=1)
        async with asyncio.timeout(30.0):
            await queue.worker.complete("a", {"status": "solved", "padding": "x" * (2 << 20)})
        record = await queue.store.get("a")
        assert record.error is not None
        assert (record.state, record.error.code) == (JobState.FAILED, "result_refused")
    finally:
        await queue.redis.config_set("proto-max-bulk-len", 512 << 20)


async def test_a_job_of_another_version_is_refused_and_the_rest_goes_on(
    queue: Queue, make_job: MakeJob
) -> None:
    for job_id in ("strange", "a"):
        await queue.store.submit(make_job(job_id))
    name = "{gram}:1:job:strange"
    payload = json.loads(await queue.redis.hget(name, "job") or b"")
    payload["options"]["halt"] = "when it rains"
    await queue.redis.hset(name, "job", json.dumps(payload))
    async with asyncio.timeout(20.0):
        assert [job.id for job in await queue.worker.claim(max_jobs=2)] == ["a"]
        # Nobody here can read its record either.
        while await queue.redis.hget(name, "state") != b"failed":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    error = json.loads(await queue.redis.hget(name, "error") or b"")
    assert error["code"] == "job_unreadable"
    await queue.worker.complete("a", RESULT)
    assert (await queue.store.get("a")).state is JobState.DONE


async def test_a_periodic_task_that_breaks_once_is_done_again() -> None:
    done = asyncio.Event()
    tries = []

    async def work() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("a reply that nobody foresaw")
        done.set()

    running = asyncio.create_task(PeriodicTask(0.001, work).run())
    async with asyncio.timeout(10.0):
        await done.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_job_that_was_given_up_before_it_came_is_not_taken(
    queue: Queue, make_job: MakeJob
) -> None:
    await queue.store.withdraw("a")
    with pytest.raises(Exception, match="given up"):
        await queue.store.submit(make_job("a"))
    stats = await queue.store.stats()
    assert (stats.reserved_trajectories, stats.classes[1].num_jobs) == (0, 0)
    await queue.store.submit(make_job("b"))
    await queue.store.withdraw("b")
    assert (await queue.store.get("b")).state is JobState.CANCELLED
    for key in ("a", "b"):
        assert await queue.redis.ttl(f"{{gram}}:1:withdrawn:{key}") in (-2, *range(1, 601))


async def test_redis_is_told_of_what_was_given_up_when_it_is_back(
    queue: Queue, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queue.store.submit(make_job("a"))
    connection: Any = queue.store._connection
    run = connection.run
    is_gone = True

    async def sometimes(name: str, *arguments: Any, **options: Any) -> Any:
        if is_gone and name == "withdraw":
            raise StoreUnavailable("gone")
        return await run(name, *arguments, **options)

    monkeypatch.setattr(connection, "run", sometimes)
    await queue.store.withdraw("a")
    assert (await queue.store.get("a")).state is JobState.QUEUED
    is_gone = False
    record = await queue.store.wait("a", timeout_s=30.0)
    assert record.state is JobState.CANCELLED
