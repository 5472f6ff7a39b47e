"""Replaying the job of a dead letter: alone, as a part of a batch, twice, too late."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gram_server.errors import JobNotFound, NotReplayed, QueueFull
from gram_server.job import Job, JobState
from gram_server.settings import QueueConfig

pytestmark = [pytest.mark.anyio, pytest.mark.redis]

MakeJob = Callable[..., Job]
RESULT: dict[str, object] = {"status": "solved"}
MAX_LOST = 1


@pytest.fixture
async def bench(
    request: pytest.FixtureRequest, tmp_path: Path, open_bench: Any
) -> AsyncIterator[Any]:
    config = QueueConfig(max_trajectories=64, max_attempts=MAX_LOST)
    async with open_bench("redis", config, tmp_path, request) as opened:
        opened.clock.stop()
        yield opened


async def submit_batch(bench: Any, make_job: MakeJob, size: int = 3) -> None:
    batch = replace(make_job("batch", width=1), num_parts=size, owner="me")
    parts = [replace(make_job(f"p{n}", width=1), batch="batch", owner="me") for n in range(size)]
    await bench.store.submit(batch, parts=parts)


async def kill(bench: Any, job_id: str) -> None:
    """Let the next job cost as many workers as it takes."""
    for number in range(MAX_LOST + 1):
        worker = await bench.worker(f"lost {job_id} {number}")
        assert [job.id for job in await worker.claim(max_jobs=1)] == [job_id]
        await worker.close()


async def complete(bench: Any, *job_ids: str) -> None:
    worker = await bench.worker(f"good {job_ids}")
    assert {job.id for job in await worker.claim(max_jobs=len(job_ids))} == set(job_ids)
    for job_id in job_ids:
        await worker.complete(job_id, RESULT)


async def states(bench: Any) -> list[str]:
    record = await bench.store.get("batch")
    return [record.state, *(part.state for part in record.parts)]


async def listed(bench: Any) -> list[str]:
    return [letter["id"] for letter in await bench.letters.list(10)]


async def told(bench: Any, job_id: str, *, after: int = 0) -> list[tuple[int, str]]:
    return [(event.id, event.kind) async for event in bench.store.events(job_id, after=after)]


async def test_an_open_batch_waits_for_a_part_that_is_replayed(
    bench: Any, make_job: MakeJob
) -> None:
    await submit_batch(bench, make_job)
    await kill(bench, "p0")
    assert await states(bench) == ["running", "failed", "queued", "queued"]
    assert await bench.letters.replay("p0") == "p0"
    await complete(bench, "p1", "p2")
    assert await states(bench) == ["running", "queued", "done", "done"]
    await complete(bench, "p0")
    assert await states(bench) == ["done", "done", "done", "done"]
    assert (await bench.store.stats()).reserved_trajectories == 0


async def test_a_batch_that_was_done_is_open_again_until_the_part_has_ended(
    bench: Any, make_job: MakeJob
) -> None:
    await submit_batch(bench, make_job, size=2)
    await kill(bench, "p0")
    await complete(bench, "p1")
    assert await states(bench) == ["done", "failed", "done"]
    await bench.advance(3_000.0)
    await bench.letters.replay("p0")
    assert await states(bench) == ["running", "queued", "done"]
    assert (await bench.store.get("batch")).finished_s is None
    # Longer than an hour after the first end of the batch.
    await bench.advance(3_000.0)
    await complete(bench, "p0")
    assert await states(bench) == ["done", "done", "done"]
    kinds = [kind for _, kind in await told(bench, "batch")]
    assert kinds == ["accepted", "progress", "progress", "progress", "done"]
    await bench.advance(3_500.0)
    assert await states(bench) == ["done", "done", "done"]
    await bench.advance(200.0)
    for job_id in ("batch", "p0", "p1"):
        with pytest.raises(JobNotFound):
            await bench.store.get(job_id)


async def test_a_part_of_a_cancelled_batch_is_not_replayed(bench: Any, make_job: MakeJob) -> None:
    await submit_batch(bench, make_job)
    await kill(bench, "p0")
    await bench.store.cancel("batch")
    with pytest.raises(NotReplayed, match="its batch was cancelled"):
        await bench.letters.replay("p0")
    assert await states(bench) == ["cancelled", "failed", "cancelled", "cancelled"]
    assert await listed(bench) == ["p0"]
    assert await bench.letters.purge("p0") == 1


async def test_a_letter_is_replayed_once(bench: Any, make_job: MakeJob) -> None:
    await submit_batch(bench, make_job, size=1)
    await kill(bench, "p0")
    await bench.letters.replay("p0")
    with pytest.raises(JobNotFound):
        await bench.letters.replay("p0")
    stats = await bench.store.stats()
    assert (stats.classes[1].num_jobs, stats.reserved_trajectories) == (1, 1)
    await kill(bench, "p0")
    await bench.letters.replay("p0")
    await complete(bench, "p0")
    assert await states(bench) == ["done", "done"]


async def test_dropping_a_letter_changes_nothing_else(bench: Any, make_job: MakeJob) -> None:
    await submit_batch(bench, make_job, size=2)
    await kill(bench, "p0")
    assert await bench.letters.purge("p0") == 1
    assert await states(bench) == ["running", "failed", "queued"]
    await complete(bench, "p1")
    assert await states(bench) == ["done", "failed", "done"]


async def test_a_part_whose_batch_was_forgotten_is_a_job_of_its_own(
    bench: Any, make_job: MakeJob
) -> None:
    await submit_batch(bench, make_job, size=1)
    await kill(bench, "p0")
    await bench.advance(3_700.0)
    await bench.letters.replay("p0")
    await complete(bench, "p0")
    page = await bench.store.page("me", cursor=None, limit=10)
    assert [(record.job.id, record.state) for record in page.records] == [("p0", JobState.DONE)]


async def test_who_follows_a_replayed_job_sees_its_new_events_under_greater_numbers(
    bench: Any, make_job: MakeJob
) -> None:
    await bench.store.submit(replace(make_job("a", width=1), owner="me"))
    await kill(bench, "a")
    assert await told(bench, "a") == [(1, "accepted"), (2, "error")]
    await bench.letters.replay("a")
    await complete(bench, "a")
    assert await told(bench, "a", after=2) == [(3, "accepted"), (4, "done")]
    page = await bench.store.page("me", cursor=None, limit=10)
    assert [record.job.id for record in page.records] == ["a"]


async def test_a_full_queue_refuses_a_replay_and_nothing_is_lost(
    bench: Any, make_job: MakeJob
) -> None:
    await bench.store.submit(make_job("a", width=8))
    await kill(bench, "a")
    await bench.store.submit(make_job("big", width=64))
    with pytest.raises(QueueFull):
        await bench.letters.replay("a")
    assert (await bench.store.get("a")).state is JobState.FAILED
    assert await listed(bench) == ["a"]
