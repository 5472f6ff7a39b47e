"""Who waits for a job is woken, also for what happened before the waiting began."""

import asyncio
import time
from collections import Counter
from dataclasses import asdict
from typing import Any

import pytest

from gram_server.errors import QueueFull
from gram_server.job import Event, EventKind, JobRecord, JobState
from gram_server.jobs import redis_store, waiters
from gram_server.jobs.redis_connection import RedisConnection
from gram_server.jobs.redis_store import RedisStore
from gram_server.jobs.redis_worker import RedisWorker
from gram_server.jobs.waiters import Waiters
from gram_server.settings import QueueConfig, RedisConfig
from tests.server.jobs.conftest import MakeJob

pytestmark = pytest.mark.anyio

LONG_S = 30.0


def facts(record: JobRecord) -> tuple[dict[str, object], list[float]]:
    """Return what a record says, and its times, which two readings tell apart by moments."""
    said = asdict(record)
    times = [said.pop("started_s"), said.pop("finished_s"), said["job"].pop("submitted_s")]
    return said, times


async def wait_s(every: Waiters, job_id: str, *, timeout_s: float) -> float:
    started_s = time.monotonic()
    with every.open(job_id, is_for_end=True) as waiter:
        await waiter.wait(timeout_s)
    return time.monotonic() - started_s


async def test_an_end_between_submission_and_waiting_is_not_missed() -> None:
    every = Waiters()
    every.preregister("a")
    every.wake("a", is_end=False)
    assert await wait_s(every, "a", timeout_s=0.01) >= 0.01
    every.preregister("a")
    every.wake("a", is_end=True)
    assert await wait_s(every, "a", timeout_s=LONG_S) < LONG_S / 2
    # The second one who waits has no such waiter, and looks first.
    with every.open("a", is_for_end=True) as waiter:
        assert not waiter.is_preregistered


async def test_an_early_watch_is_kept_for_the_latest_jobs_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiters, "MAX_PREREGISTERED", 2)
    every = Waiters()
    for job_id in "abc":
        every.preregister(job_id)
    every.drop("b")
    found = {}
    for job_id in "abc":
        with every.open(job_id, is_for_end=True) as waiter:
            found[job_id] = waiter.is_preregistered
    assert found == {"a": False, "b": False, "c": True}
    assert every.num_open == 0


@pytest.mark.redis
async def test_who_submits_and_waits_need_not_ask_redis(
    redis_url: str, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without a note, no end would be seen within the test.
    monkeypatch.setattr(redis_store, "POLL_S", LONG_S)
    config = RedisConfig(store=redis_url, queue_name="watched")
    connection = RedisConnection(config)
    scripts: Counter[str] = Counter()
    run = connection.run

    async def counted(name: str, *arguments: Any) -> Any:
        scripts[name] += 1
        return await run(name, *arguments)

    monkeypatch.setattr(connection, "run", counted)
    store = RedisStore(connection, QueueConfig(max_trajectories=16))
    worker = RedisWorker(RedisConnection(config), name="w", lease_s=5.0, max_attempts=2)
    # The reader of notes has begun, and wakes everyone when it does.
    await store.stats()
    await asyncio.sleep(0.1)

    await store.submit(make_job("a"))
    waiting = asyncio.create_task(store.wait("a", timeout_s=None))
    with pytest.raises(QueueFull):
        await store.submit(make_job("b"))
    (job,) = await worker.claim(max_jobs=1)
    await worker.publish("a", Event(kind=EventKind.SOLUTION, data={"answer": "\u00e9/"}))
    await worker.complete(job.id, {"status": "solved"})
    async with asyncio.timeout(LONG_S / 2):
        record = await waiting
    assert record.state is JobState.DONE
    assert record.solutions == ({"answer": "\u00e9/"},)
    assert scripts["record"] == 0
    read, read_times = facts(await store.get("a"))
    told, told_times = facts(record)
    assert told == read
    assert told_times == pytest.approx(read_times, abs=0.1)
    await worker.close()
    await store.close()


@pytest.mark.redis
async def test_what_notes_tell_is_forgotten_after_a_minute(
    redis_url: str, make_job: MakeJob
) -> None:
    config = RedisConfig(store=redis_url, queue_name="forgetful")
    connection = RedisConnection(config)
    notes = connection.keys.notices
    store = RedisStore(connection, QueueConfig())
    for age_s in (61, 59):
        number = f"{round((time.time() - age_s) * 1e3)}-0"
        await connection.execute("XADD", notes, number, "job", "a", "end", 1)
    await store.submit(make_job("b"))
    await store.cancel("b")
    await connection.run("expire")
    kept = await connection.execute("XRANGE", notes, "-", "+")
    assert [fields[b"job"] for _, fields in kept] == [b"a", b"b"]
    assert 0 < await connection.execute("PTTL", notes) <= 60_000
    await store.close()
