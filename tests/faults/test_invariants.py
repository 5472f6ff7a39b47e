"""What must hold whatever happens, and in whatever order."""

import asyncio
import random
from collections import Counter

import pytest

from tests.faults import chaos
from tests.faults.conftest import Queue

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


@pytest.mark.faults
@pytest.mark.timeout(400)
async def test_half_a_minute_of_chaos_loses_nothing(redis_binary: str) -> None:
    found = await chaos.run(minutes=0.5, rate=20.0, every_s=3.0)
    assert found["accepted"] > 100
    assert sum(found["faults"].values()) > 3
    assert chaos.lost_nothing(found), found
