"""What must hold whatever happens, and in whatever order."""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from gram_server.errors import StoreUnavailable
from tests.faults.conftest import Park, Queue

pytestmark = [pytest.mark.anyio, pytest.mark.redis]

NUM_JOBS = 40


async def test_cancelled_calls_never_give_a_wrong_answer(queue: Queue) -> None:
    chance = random.Random(0)
    job_ids = await queue.submit_many(NUM_JOBS)
    wrong: list[str] = []
    outcomes: Counter[str] = Counter()

    async def ask(job_id: str) -> None:
        calls = (queue.store.get, lambda one: queue.store.wait(one, timeout_s=0.01))
        record = await chance.choice(calls)(job_id)
        if record.job.id != job_id:
            wrong.append(job_id)

    for _ in range(60):
        tasks = [asyncio.create_task(ask(chance.choice(job_ids))) for _ in range(20)]
        await asyncio.sleep(chance.uniform(0.0, 0.01))
        for task in chance.sample(tasks, 10):
            task.cancel()
        for end in await asyncio.gather(*tasks, return_exceptions=True):
            outcomes[type(end).__name__] += 1
    assert wrong == []
    assert set(outcomes) <= {"NoneType", "CancelledError"}
    assert outcomes["CancelledError"] > 50
    assert outcomes["NoneType"] > 50


class Mischief:
    """Everything that may happen to a queue at work."""

    def __init__(self, redis: Any, queue: Queue, park: Park, seed: int) -> None:
        self._redis = redis
        self._queue = queue
        self._park = park
        self._chance = random.Random(seed)
        self._workers = [self._start_worker() for _ in range(2)]
        self.accepted: list[str] = []

    async def run(self, num_steps: int) -> None:
        await self._submit()
        steps = (
            *(self._submit, self._submit, self._cancel, self._replace_worker),
            *(self._pause_worker, self._restart_redis, self._drop_clients),
        )
        for step in self._chance.choices(steps, k=num_steps):
            await step()

    async def _submit(self) -> None:
        for _ in range(10):
            job = self._queue.job(deadline_ms=self._chance.choice([None, None, 50, 5_000]))
            try:
                self.accepted.append(await self._queue.store.submit(job))
            except StoreUnavailable:
                # Perhaps it was accepted, perhaps not: the same again is one job.
                await asyncio.sleep(0.5)
                self.accepted.append(await self._queue.store.submit(job))

    async def _cancel(self) -> None:
        await self._queue.store.cancel(self._chance.choice(self.accepted))

    async def _replace_worker(self) -> None:
        self._workers.pop(0).kill()
        self._workers.append(await asyncio.to_thread(self._start_worker))

    async def _pause_worker(self) -> None:
        worker = self._chance.choice(self._workers)
        worker.pause()
        await asyncio.sleep(2.0)
        worker.resume()

    async def _restart_redis(self) -> None:
        self._redis.kill()
        await asyncio.to_thread(self._redis.start)
        await asyncio.sleep(0.5)

    async def _drop_clients(self) -> None:
        with suppress(RedisConnectionError):
            await self._queue.redis.client_kill_filter(_type="normal")
        await asyncio.sleep(0.5)

    def _start_worker(self) -> Any:
        flags = ("--lease-s", "1.5", "--work-s", "0.1", "--room", "4", "--max-attempts", "20")
        return self._park.worker(self._queue.url, *flags)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(3))
async def test_every_accepted_job_ends_once_under_random_faults(
    start_redis: Any, open_queue: Any, park: Park, seed: int
) -> None:
    redis = start_redis("--appendonly", "yes", "--appendfsync", "always")
    queue = await open_queue(redis.url, max_trajectories=400)
    mischief = Mischief(redis, queue, park, seed)
    await mischief.run(num_steps=10)
    records = await queue.ends(mischief.accepted, timeout_s=40.0)
    assert {record.state for record in records} <= {"done", "cancelled", "expired"}
    for record in records:
        await check_events(queue, record)
    await queue.clean()


async def check_events(queue: Queue, record: Any) -> None:
    """Every event once, in order, and one end."""
    events = [event async for event in queue.store.events(record.job.id)]
    assert [event.kind.is_final for event in events].count(True) == 1
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    kinds = Counter(str(event.kind) for event in events)
    assert kinds["solution"] <= 1
    assert kinds["accepted"] == 1
