import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gram_server.job import Event, EventKind, Job

pytestmark = pytest.mark.anyio

MakeJob = Callable[..., Job]
Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
RESULT: dict[str, object] = {"status": "solved"}


def solution(answer: str) -> Event:
    return Event(kind=EventKind.SOLUTION, data={"answer": answer})


async def kinds_and_ids(bench: Any, job_id: str, *, after: int = 0) -> list[tuple[str, int]]:
    return [(event.kind, event.id) async for event in bench.store.events(job_id, after=after)]


def look(step: int) -> Event:
    return Event(kind=EventKind.PROGRESS, data={"step": step, "trajectories": []})


async def test_of_passing_events_only_the_newest_is_kept_and_ids_go_on(
    bench: Any, make_job: MakeJob
) -> None:
    worker = await bench.worker()
    await bench.store.submit(make_job())
    await worker.claim(max_jobs=1)
    await worker.publish("a", look(1))
    await worker.publish("a", solution("x"))
    for step in (2, 3):
        await worker.publish("a", look(step))
    await worker.publish("a", solution("y"))
    await worker.complete("a", RESULT)
    await bench.store.wait("a", timeout_s=5.0)
    events = [event async for event in bench.store.events("a")]
    assert [(event.kind, event.id) for event in events] == [
        ("accepted", 1),
        ("solution", 3),
        ("progress", 5),
        ("solution", 6),
        ("done", 7),
    ]
    assert events[2].data["step"] == 3
    assert await kinds_and_ids(bench, "a", after=4) == [
        ("progress", 5),
        ("solution", 6),
        ("done", 7),
    ]
    assert await kinds_and_ids(bench, "a", after=7) == []


async def test_a_follower_sees_passing_events_as_they_come(
    bench: Any, make_job: MakeJob, eventually: Eventually
) -> None:
    worker = await bench.worker()
    await bench.store.submit(make_job())
    await worker.claim(max_jobs=1)
    seen: list[object] = []

    async def follow() -> None:
        async for event in bench.store.events("a"):
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


async def test_hundreds_of_looks_leave_one_behind(bench: Any, make_job: MakeJob) -> None:
    worker = await bench.worker()
    await bench.store.submit(make_job())
    await worker.claim(max_jobs=1)
    for step in range(1, 301):
        await worker.publish("a", look(step))
    await worker.complete("a", RESULT)
    await bench.store.wait("a", timeout_s=5.0)
    assert await kinds_and_ids(bench, "a") == [("accepted", 1), ("progress", 301), ("done", 302)]
