"""Higher classes go first, and yet nobody waits for ever: asked of every store."""

from typing import Any

import pytest

from gram_server.jobs.queued_job import AGEING_S, LENT_PART
from tests.server.jobs.conftest import Harness

pytestmark = pytest.mark.anyio

HIGH, NORMAL, LOW = range(3)


class Load:
    """Work of a class that never runs out, for one worker that takes one job after the other."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self._num_made = 0
        self.models: tuple[str, ...] | None = None
        """What the worker has; None for all."""

    async def submit(self, name: str, priority: int) -> None:
        submitted_s = self._harness.clock()
        await self._harness.submit(name, priority=priority, submitted_s=submitted_s)

    async def serve(self, worker: Any, priority: int, count: int) -> list[str]:
        """Let another job come for each that is taken; return who was served."""
        served = []
        for _ in range(count):
            self._num_made += 1
            await self.submit(f"busy {self._num_made}", priority)
            [job] = await worker.claim(max_jobs=1, models=self.models)
            served.append(job.id.partition(" ")[0])
            await self._harness.complete(worker, job.id)
        return served


@pytest.fixture
def load(harness: Harness) -> Load:
    harness.clock.stop()
    return Load(harness)


@pytest.mark.parametrize(("above", "below"), [(HIGH, LOW), (HIGH, NORMAL), (NORMAL, LOW)])
async def test_under_constant_load_a_lower_class_is_served_once_it_has_waited(
    harness: Harness, load: Load, above: int, below: int
) -> None:
    worker = await harness.worker()
    await load.submit("patient", below)
    assert "patient" not in await load.serve(worker, above, 2 * LENT_PART)
    await harness.advance(AGEING_S + 1.0)
    assert "patient" in await load.serve(worker, above, LENT_PART)


async def test_a_class_is_lent_its_part_whatever_waits_for_a_model_that_the_worker_lacks(
    harness: Harness, load: Load
) -> None:
    worker = await harness.worker()
    load.models = (harness.job().model,)
    submitted_s = harness.clock()
    await harness.submit("stranger", priority=LOW, submitted_s=submitted_s, model="missing")
    await harness.advance(1.0)
    await load.submit("patient", NORMAL)
    await harness.advance(AGEING_S + 1.0)
    assert "patient" in await load.serve(worker, HIGH, LENT_PART)


async def test_a_worker_may_ask_for_jobs_down_to_a_class(harness: Harness, load: Load) -> None:
    worker = await harness.worker()
    for name, priority in (("low", LOW), ("normal", NORMAL), ("high", HIGH)):
        await load.submit(name, priority)
    # As old as that one could be lent a turn.
    await harness.advance(AGEING_S + 1.0)
    found = await worker.claim(max_jobs=8, can_wait=False, down_to=NORMAL)
    assert [job.id for job in found] == ["high", "normal"]
    assert await worker.claim(max_jobs=8, can_wait=False, down_to=NORMAL) == []
    assert [job.id for job in await worker.claim(max_jobs=8)] == ["low"]


async def test_who_has_waited_takes_no_more_than_its_part(harness: Harness, load: Load) -> None:
    worker = await harness.worker()
    for number in range(30):
        await load.submit(f"patient {number}", LOW)
    await harness.advance(60.0)
    served = await load.serve(worker, HIGH, 4 * LENT_PART)
    assert served.count("patient") == 4
    first = served.index("patient")
    assert served[first + 1 : first + LENT_PART] == ["busy"] * (LENT_PART - 1)


async def test_a_worker_with_much_room_lends_the_same_part(harness: Harness, load: Load) -> None:
    worker = await harness.worker()
    for number in range(20):
        await load.submit(f"patient {number}", LOW)
    await harness.advance(60.0)
    for number in range(30):
        await load.submit(f"busy {number}", HIGH)
    jobs = await worker.claim(max_jobs=2 * LENT_PART)
    assert [job.priority for job in jobs].count(LOW) == 2
