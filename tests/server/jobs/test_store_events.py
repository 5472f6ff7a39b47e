"""The events of a job: numbered, replayed, followed; asked of every store."""

import asyncio

import pytest

from gram_server.job import Event, EventKind, Sampling
from tests.server.jobs.conftest import RESULT, Eventually, Harness, solution

pytestmark = pytest.mark.anyio


def look(step: int) -> Event:
    return Event(kind=EventKind.PROGRESS, data={"step": step, "trajectories": []})


async def test_events_are_numbered_replayed_and_end_with_the_result(harness: Harness) -> None:
    worker = await harness.held("a")
    follower = asyncio.create_task(harness.kinds_and_ids("a"))
    await worker.publish("a", solution("x"))
    await worker.publish("a", solution("y"))
    await worker.complete("a", RESULT)
    expected = [("accepted", 1), ("solution", 2), ("solution", 3), ("done", 4)]
    assert await follower == expected
    assert await harness.kinds_and_ids("a") == expected
    assert await harness.kinds_and_ids("a", after=2) == expected[2:]
    assert await harness.kinds_and_ids("a", after=99) == []


async def test_of_passing_events_only_the_newest_is_kept_and_ids_go_on(harness: Harness) -> None:
    worker = await harness.held("a")
    await worker.publish("a", look(1))
    await worker.publish("a", solution("x"))
    for step in (2, 3):
        await worker.publish("a", look(step))
    await worker.publish("a", solution("y"))
    await harness.complete(worker, "a")
    events = [event async for event in harness.store.events("a")]
    assert [(event.kind, event.id) for event in events] == [
        ("accepted", 1),
        ("solution", 3),
        ("progress", 5),
        ("solution", 6),
        ("done", 7),
    ]
    assert events[2].data["step"] == 3
    assert await harness.kinds_and_ids("a", after=4) == [
        ("progress", 5),
        ("solution", 6),
        ("done", 7),
    ]
    assert await harness.kinds_and_ids("a", after=7) == []


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
