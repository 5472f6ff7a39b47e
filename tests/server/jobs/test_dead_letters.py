"""Replaying the job of a dead letter: alone, as a part of a batch, twice, too late."""

from collections.abc import AsyncIterator
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


async def mine(harness: Harness) -> list[str]:
    page = await harness.store.page("me", cursor=None, limit=10)
    return [record.job.id for record in page.records]


async def test_a_batch_that_was_done_is_open_again_until_the_part_has_ended(
    harness: Harness,
) -> None:
    await harness.submit_batch(2)
    await kill(harness, "batch-0")
    await complete(harness, "batch-1")
    assert await states(harness) == ["done", "failed", "done"]
    await harness.advance(3_000.0)
    await harness.letters.replay("batch-0")
    assert await states(harness) == ["running", "queued", "done"]
    assert (await harness.store.get("batch")).finished_s is None
    # Longer than an hour after the first end of the batch.
    await harness.advance(3_000.0)
    await complete(harness, "batch-0")
    assert await states(harness) == ["done", "done", "done"]
    kinds = [kind for kind, _ in await harness.kinds_and_ids("batch")]
    assert kinds == ["accepted", "progress", "progress", "progress", "done"]
    # Counted once, though it ended twice.
    assert (await harness.store.stats()).finished_jobs == 3
    await harness.advance(3_500.0)
    assert await states(harness) == ["done", "done", "done"]
    await harness.advance(200.0)
    for job_id in ("batch", "batch-0", "batch-1"):
        with pytest.raises(JobNotFound):
            await harness.store.get(job_id)


async def test_a_part_of_a_cancelled_batch_is_not_replayed(harness: Harness) -> None:
    await harness.submit_batch(3)
    await kill(harness, "batch-0")
    await harness.store.cancel("batch")
    with pytest.raises(NotReplayed, match="its batch was cancelled"):
        await harness.letters.replay("batch-0")
    assert await states(harness) == ["cancelled", "failed", "cancelled", "cancelled"]
    assert await listed(harness) == ["batch-0"]
    assert await harness.letters.purge("batch-0") == 1


async def test_a_letter_is_replayed_once(harness: Harness) -> None:
    await harness.submit_batch(1)
    await kill(harness, "batch-0")
    await harness.letters.replay("batch-0")
    with pytest.raises(JobNotFound):
        await harness.letters.replay("batch-0")
    stats = await harness.store.stats()
    assert (stats.classes[1].num_jobs, stats.reserved_trajectories) == (1, 1)
    await kill(harness, "batch-0")
    await harness.letters.replay("batch-0")
    await complete(harness, "batch-0")
    assert await states(harness) == ["done", "done"]


async def test_a_part_whose_batch_was_forgotten_is_a_job_of_its_own(harness: Harness) -> None:
    await harness.submit_batch(1)
    await kill(harness, "batch-0")
    await harness.advance(3_700.0)
    await harness.letters.replay("batch-0")
    await complete(harness, "batch-0")
    assert await mine(harness) == ["batch-0"]
    assert (await harness.store.get("batch-0")).state is JobState.DONE


async def test_dropping_a_letter_changes_nothing_else(harness: Harness) -> None:
    await harness.submit_batch(2)
    await kill(harness, "batch-0")
    assert await harness.letters.purge("batch-0") == 1
    assert await states(harness) == ["running", "failed", "queued"]
    await complete(harness, "batch-1")
    assert await states(harness) == ["done", "failed", "done"]


async def test_a_job_that_is_replayed_twice_is_listed_once_and_where_it_was(
    harness: Harness,
) -> None:
    for job_id in ("a", "b"):
        await harness.submit_owned(job_id)
        await harness.advance(1.0)
    await kill(harness, "a")
    await complete(harness, "b")
    for _ in range(2):
        await harness.letters.replay("a")
        await kill(harness, "a")
    assert await mine(harness) == ["b", "a"]


async def test_a_part_that_outlives_its_batch_is_listed_where_it_was(harness: Harness) -> None:
    came_s = harness.clock()
    await harness.submit_batch(1)
    await kill(harness, "batch-0")
    await harness.letters.replay("batch-0")
    await kill(harness, "batch-0")
    await harness.advance(1_800.0)
    await harness.submit_owned("x", submitted_s=came_s)
    await complete(harness, "x")
    await harness.advance(1_900.0)
    await harness.letters.replay("batch-0")
    assert await mine(harness) == ["x", "batch-0"]


async def test_a_full_queue_refuses_a_replay_and_nothing_is_lost(harness: Harness) -> None:
    await harness.submit("a", width=8)
    await kill(harness, "a")
    await harness.submit("big", width=64)
    with pytest.raises(QueueFull):
        await harness.letters.replay("a")
    assert (await harness.store.get("a")).state is JobState.FAILED
    assert await listed(harness) == ["a"]
