"""The events of a job: numbered, replayed, followed; asked of every store."""

import asyncio

import pytest

from gram_server.job import Event, EventKind, Sampling
from tests.server.jobs.conftest import RESULT, Eventually, Harness

pytestmark = pytest.mark.anyio


def look(step: int) -> Event:
    return Event(kind=EventKind.PROGRESS, data={"step": step, "trajectories": []})


async def test_a_follower_sees_passing_events_as_they_come(
    harness: Harness, eventually: Eventually
) -> None:
    worker = await harness.held("a")
    seen: list[object] = []

    async def follow() -> None:
        async for event in harness.store.events("a"):
            seen.append(event.data.get("step", event.kind))

    follower = asyncio.create_task(follow())
    for step in range(1, 4):
        await worker.publish("a", look(step))

        async def is_seen(wanted: int = step) -> bool:
            return wanted in seen

        await eventually(is_seen)
    await worker.complete("a", RESULT)
    await follower
    assert seen == ["accepted", 1, 2, 3, "done"]


async def test_a_board_made_up_twice_is_told_twice_but_never_repeated(harness: Harness) -> None:
    sampling = Sampling(is_distinct=False, is_thinned=True, num_clues=30)
    worker = await harness.worker()
    await harness.submit("a", sampling=sampling)
    [job] = await worker.claim(max_jobs=1)
    assert job.sampling == sampling
    # The second of trajectory 1 is what another worker tells after the first was lost.
    for trajectory in (1, 4, 1):
        data = {"answer": "x", "trajectory": trajectory}
        await worker.publish("a", Event(kind=EventKind.SOLUTION, data=data))
    await worker.complete("a", {"status": "complete"})
    record = await harness.store.wait("a", timeout_s=10.0)
    assert [told["trajectory"] for told in record.solutions] == [1, 4]
