"""Replaying the job of a dead letter: alone, as a part of a batch, twice, too late."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gram_server.errors import JobNotFound, NotReplayed, QueueFull
from gram_server.job import JobState
from gram_server.settings import QueueConfig
from tests.server.jobs.conftest import RESULT, Harness, Open

pytestmark = [pytest.mark.anyio, pytest.mark.redis]

MAX_LOST = 1


@pytest.fixture
async def harness(
    request: pytest.FixtureRequest, tmp_path: Path, open_harness: Open
) -> AsyncIterator[Harness]:
    config = QueueConfig(max_trajectories=64, max_attempts=MAX_LOST)
    async with open_harness("redis", config, tmp_path, request) as opened:
        opened.clock.stop()
        yield opened


async def submit_batch(harness: Harness, size: int = 3) -> None:
    batch = replace(harness.job("batch", width=1), num_parts=size, owner="me")
    parts = [replace(harness.job(f"p{n}", width=1), batch="batch", owner="me") for n in range(size)]
    await harness.store.submit(batch, parts=parts)


async def kill(harness: Harness, job_id: str) -> None:
    """Let the next job cost as many workers as it takes."""
    for number in range(MAX_LOST + 1):
        worker = await harness.worker(f"lost {job_id} {number}")
        assert [job.id for job in await worker.claim(max_jobs=1)] == [job_id]
        await worker.close()


async def complete(harness: Harness, *job_ids: str) -> None:
    worker = await harness.worker(f"good {job_ids}")
    assert {job.id for job in await worker.claim(max_jobs=len(job_ids))} == set(job_ids)
    for job_id in job_ids:
        await worker.complete(job_id, RESULT)


async def states(harness: Harness) -> list[str]:
    record = await harness.store.get("batch")
    return [record.state, *(part.state for part in record.parts)]


async def listed(harness: Harness) -> list[str]:
    return [letter["id"] for letter in await harness.letters.list(10)]


async def told(harness: Harness, job_id: str, *, after: int = 0) -> list[tuple[int, str]]:
    return [(event.id, event.kind) async for event in harness.store.events(job_id, after=after)]


async def test_an_open_batch_waits_for_a_part_that_is_replayed(harness: Harness) -> None:
    await submit_batch(harness)
    await kill(harness, "p0")
    assert await states(harness) == ["running", "failed", "queued", "queued"]
    assert await harness.letters.replay("p0") == "p0"
    await complete(harness, "p1", "p2")
    assert await states(harness) == ["running", "queued", "done", "done"]
    await complete(harness, "p0")
    assert await states(harness) == ["done", "done", "done", "done"]
    assert (await harness.store.stats()).reserved_trajectories == 0


async def test_a_batch_that_was_done_is_open_again_until_the_part_has_ended(
    harness: Harness,
) -> None:
    await submit_batch(harness, size=2)
    await kill(harness, "p0")
    await complete(harness, "p1")
    assert await states(harness) == ["done", "failed", "done"]
    await harness.advance(3_000.0)
    await harness.letters.replay("p0")
    assert await states(harness) == ["running", "queued", "done"]
    assert (await harness.store.get("batch")).finished_s is None
    # Longer than an hour after the first end of the batch.
    await harness.advance(3_000.0)
    await complete(harness, "p0")
    assert await states(harness) == ["done", "done", "done"]
    kinds = [kind for _, kind in await told(harness, "batch")]
    assert kinds == ["accepted", "progress", "progress", "progress", "done"]
    # Counted once, though it ended twice.
    assert (await harness.store.stats()).finished_jobs == 3
    await harness.advance(3_500.0)
    assert await states(harness) == ["done", "done", "done"]
    await harness.advance(200.0)
    for job_id in ("batch", "p0", "p1"):
        with pytest.raises(JobNotFound):
            await harness.store.get(job_id)


async def test_a_part_of_a_cancelled_batch_is_not_replayed(harness: Harness) -> None:
    await submit_batch(harness)
    await kill(harness, "p0")
    await harness.store.cancel("batch")
    with pytest.raises(NotReplayed, match="its batch was cancelled"):
        await harness.letters.replay("p0")
    assert await states(harness) == ["cancelled", "failed", "cancelled", "cancelled"]
    assert await listed(harness) == ["p0"]
    assert await harness.letters.purge("p0") == 1


async def test_a_letter_is_replayed_once(harness: Harness) -> None:
    await submit_batch(harness, size=1)
    await kill(harness, "p0")
    await harness.letters.replay("p0")
    with pytest.raises(JobNotFound):
        await harness.letters.replay("p0")
    stats = await harness.store.stats()
    assert (stats.classes[1].num_jobs, stats.reserved_trajectories) == (1, 1)
    await kill(harness, "p0")
    await harness.letters.replay("p0")
    await complete(harness, "p0")
    assert await states(harness) == ["done", "done"]


async def test_dropping_a_letter_changes_nothing_else(harness: Harness) -> None:
    await submit_batch(harness, size=2)
    await kill(harness, "p0")
    assert await harness.letters.purge("p0") == 1
    assert await states(harness) == ["running", "failed", "queued"]
    await complete(harness, "p1")
    assert await states(harness) == ["done", "failed", "done"]


async def test_a_part_whose_batch_was_forgotten_is_a_job_of_its_own(harness: Harness) -> None:
    await submit_batch(harness, size=1)
    await kill(harness, "p0")
    await harness.advance(3_700.0)
    await harness.letters.replay("p0")
    await complete(harness, "p0")
    page = await harness.store.page("me", cursor=None, limit=10)
    assert [(record.job.id, record.state) for record in page.records] == [("p0", JobState.DONE)]


async def test_who_follows_a_replayed_job_sees_its_new_events_under_greater_numbers(
    harness: Harness,
) -> None:
    await harness.store.submit(replace(harness.job("a", width=1), owner="me"))
    await kill(harness, "a")
    assert await told(harness, "a") == [(1, "accepted"), (2, "error")]
    await harness.letters.replay("a")
    await complete(harness, "a")
    assert await told(harness, "a", after=2) == [(3, "accepted"), (4, "done")]
    page = await harness.store.page("me", cursor=None, limit=10)
    assert [record.job.id for record in page.records] == ["a"]


async def test_a_job_that_is_replayed_twice_is_listed_once_and_where_it_was(
    harness: Harness,
) -> None:
    for job_id in ("a", "b"):
        await harness.store.submit(replace(harness.job(job_id, width=1), owner="me"))
        await harness.advance(1.0)
    await kill(harness, "a")
    await complete(harness, "b")
    for _ in range(2):
        await harness.letters.replay("a")
        await kill(harness, "a")
    page = await harness.store.page("me", cursor=None, limit=10)
    assert [record.job.id for record in page.records] == ["b", "a"]


async def test_a_part_that_outlives_its_batch_is_listed_where_it_was(harness: Harness) -> None:
    came_s = harness.clock()
    await submit_batch(harness, size=1)
    await kill(harness, "p0")
    await harness.letters.replay("p0")
    await kill(harness, "p0")
    await harness.advance(1_800.0)
    later = replace(harness.job("x", width=1), owner="me", submitted_s=came_s)
    await harness.store.submit(later)
    await complete(harness, "x")
    await harness.advance(1_900.0)
    await harness.letters.replay("p0")
    page = await harness.store.page("me", cursor=None, limit=10)
    assert [record.job.id for record in page.records] == ["x", "p0"]


async def test_a_full_queue_refuses_a_replay_and_nothing_is_lost(harness: Harness) -> None:
    await harness.store.submit(harness.job("a", width=8))
    await kill(harness, "a")
    await harness.store.submit(harness.job("big", width=64))
    with pytest.raises(QueueFull):
        await harness.letters.replay("a")
    assert (await harness.store.get("a")).state is JobState.FAILED
    assert await listed(harness) == ["a"]
