"""Batches, idempotency keys and lists, asked of every store."""

import asyncio
from dataclasses import replace

import pytest

from gram_server.errors import JobGone, JobNotFound, KeyConflict, QueueFull
from gram_server.job import Event, EventKind, JobState
from gram_server.jobs.store import IdempotencyKey
from tests.server.jobs.conftest import RESULT, Harness

pytestmark = pytest.mark.anyio


def ticket(key: str = "k", *, fingerprint: str = "f", owner: str = "me") -> IdempotencyKey:
    return IdempotencyKey(owner=owner, key=key, fingerprint=fingerprint)


async def test_a_batch_is_done_when_its_last_part_is(harness: Harness) -> None:
    await harness.submit_batch(3)
    assert (await harness.store.get("batch")).state is JobState.QUEUED
    worker = await harness.worker()
    jobs = await worker.claim(max_jobs=8)
    assert [job.id for job in jobs] == ["batch-0", "batch-1", "batch-2"]
    assert (await harness.store.get("batch")).state is JobState.RUNNING
    await worker.complete("batch-2", {"n": 2})
    await worker.fail("batch-0", code="bad", detail="so")
    await harness.store.wait("batch-0", timeout_s=5.0)
    assert (await harness.store.get("batch")).state is JobState.RUNNING
    await worker.complete("batch-1", {"n": 1})
    record = await harness.store.wait("batch", timeout_s=5.0)
    assert record.state is JobState.DONE
    assert [part.job.id for part in record.parts] == ["batch-0", "batch-1", "batch-2"]
    assert [part.state for part in record.parts] == ["failed", "done", "done"]
    assert [part.result for part in record.parts] == [None, {"n": 1}, {"n": 2}]


async def test_the_events_of_a_batch_name_each_part_that_ended(harness: Harness) -> None:
    await harness.submit_batch(2)
    worker = await harness.worker()
    await worker.claim(max_jobs=2)
    await worker.complete("batch-1", RESULT)
    await worker.complete("batch-0", RESULT)
    events = [event async for event in harness.store.events("batch")]
    assert [event.kind for event in events] == ["accepted", "progress", "progress", "done"]
    assert [event.data.get("id") for event in events[1:3]] == ["batch-1", "batch-0"]


async def test_a_batch_is_accepted_whole_or_refused_whole(harness: Harness) -> None:
    batch, parts = harness.batch(9, width=8)
    with pytest.raises(QueueFull):
        await harness.store.submit(batch, parts=parts)
    stats = await harness.store.stats()
    assert (stats.reserved_trajectories, stats.classes[1].num_jobs) == (0, 0)
    with pytest.raises(JobNotFound):
        await harness.store.get("batch")
    await harness.store.submit(batch, parts=parts[:8])
    assert (await harness.store.stats()).reserved_trajectories == 64


async def test_cancelling_a_batch_cancels_the_parts_that_are_left(harness: Harness) -> None:
    await harness.submit_batch(3)
    worker = await harness.worker()
    await worker.claim(max_jobs=2)
    await harness.complete(worker, "batch-0")
    await harness.store.cancel("batch")
    record = await harness.store.get("batch")
    assert record.state is JobState.CANCELLED
    assert [part.state for part in record.parts] == ["done", "cancelled", "cancelled"]
    assert await anext(worker.cancellations()) == "batch-1"
    stats = await harness.store.stats()
    assert (stats.reserved_trajectories, stats.num_running) == (0, 0)


@pytest.mark.slow
async def test_a_batch_shows_what_a_part_had_found_by_its_deadline(harness: Harness) -> None:
    batch, parts = harness.batch(1)
    parts = [replace(part, deadline_s=harness.clock() + 1.5) for part in parts]
    await harness.store.submit(batch, parts=parts)
    worker = await harness.worker()
    await worker.claim(max_jobs=1)
    await worker.publish("batch-0", Event(kind=EventKind.SOLUTION, data={"answer": "found"}))
    # Its worker says nothing more.
    await harness.store.wait("batch", timeout_s=20.0)
    [part] = (await harness.store.get("batch")).parts
    assert (part.state, part.solutions) == (JobState.EXPIRED, ({"answer": "found"},))


async def test_parts_are_kept_for_the_hour_of_their_batch_and_no_longer(harness: Harness) -> None:
    await harness.submit_batch(2)
    worker = await harness.worker()
    await worker.claim(max_jobs=2)
    await harness.complete(worker, "batch-0")
    await harness.advance(3_000.0)
    await harness.advance(3_000.0)
    await harness.submit("other")
    await worker.complete("batch-1", RESULT)
    await harness.store.wait("batch", timeout_s=5.0)
    for passed_s in (0.0, 3_500.0):
        await harness.advance(passed_s)
        await harness.submit(f"other after {passed_s}")
        record = await harness.store.get("batch")
        assert [part.job.id for part in record.parts] == ["batch-0", "batch-1"]
        assert (await harness.store.get("batch-0")).result == RESULT
    await harness.advance(200.0)
    await harness.submit("another")
    for job_id in ("batch", "batch-0", "batch-1"):
        with pytest.raises(JobNotFound):
            await harness.store.get(job_id)


async def test_parts_that_ended_before_their_batch_was_cancelled_are_forgotten_with_it(
    harness: Harness,
) -> None:
    await harness.submit_batch(3)
    worker = await harness.worker()
    await worker.claim(max_jobs=1)
    await harness.complete(worker, "batch-0")
    await harness.advance(1_000.0)
    await harness.store.cancel("batch")
    await harness.advance(3_500.0)
    assert len((await harness.store.get("batch")).parts) == 3
    await harness.advance(200.0)
    await harness.submit("other")
    for job_id in ("batch", "batch-0", "batch-1", "batch-2"):
        with pytest.raises(JobNotFound):
            await harness.store.get(job_id)


async def test_one_ticket_stands_for_one_job(harness: Harness) -> None:
    submits = (
        harness.store.submit(harness.job(f"j{n}", width=1), ticket=ticket()) for n in range(100)
    )
    ids = await asyncio.gather(*submits)
    assert len(set(ids)) == 1
    assert (await harness.store.stats()).reserved_trajectories == 1


async def test_a_ticket_for_another_request_is_refused(harness: Harness) -> None:
    await harness.store.submit(harness.job("a", width=1), ticket=ticket())
    with pytest.raises(KeyConflict):
        await harness.store.submit(harness.job("b", width=1), ticket=ticket(fingerprint="other"))
    await harness.store.submit(harness.job("c", width=1), ticket=ticket("k2", fingerprint="other"))
    await harness.store.submit(harness.job("d", width=1), ticket=ticket(owner="you"))
    assert (await harness.store.stats()).reserved_trajectories == 3


async def test_a_ticket_outlives_its_job_and_is_forgotten_after_a_day(harness: Harness) -> None:
    await harness.store.submit(harness.job("a"), ticket=ticket())
    await harness.store.cancel("a")
    await harness.advance(61.0)
    with pytest.raises(JobGone):
        await harness.store.submit(harness.job("b"), ticket=ticket())
    await harness.advance(86_400.0)
    assert await harness.store.submit(harness.job("c"), ticket=ticket()) == "c"


async def test_a_refused_job_does_not_use_up_its_ticket(harness: Harness) -> None:
    await harness.store.submit(harness.job("big", width=64))
    with pytest.raises(QueueFull):
        await harness.store.submit(harness.job("a"), ticket=ticket())
    await harness.store.cancel("big")
    assert await harness.store.submit(harness.job("b"), ticket=ticket()) == "b"


async def test_an_owner_turns_the_pages_of_its_own_jobs(harness: Harness) -> None:
    for number in range(5):
        await harness.submit_owned(f"j{number}", submitted_s=harness.clock() + number)
    await harness.submit_owned("theirs", "you")
    await harness.submit("nobodys")
    found, cursor = [], None
    while True:
        page = await harness.store.page("me", cursor=cursor, limit=2)
        found.append([record.job.id for record in page.records])
        cursor = page.cursor
        if cursor is None:
            break
    assert found == [["j4", "j3"], ["j2", "j1"], ["j0"]]


async def test_a_page_shows_a_batch_once_and_nothing_forgotten(harness: Harness) -> None:
    await harness.submit_owned("old")
    await harness.store.cancel("old")
    await harness.advance(3_601.0)
    await harness.submit_batch(2)
    page = await harness.store.page("me", cursor=None, limit=10)
    assert [record.job.id for record in page.records] == ["batch"]
    assert page.cursor is None


async def test_owned_jobs_are_kept_longer_than_answers(harness: Harness) -> None:
    await harness.submit("answer")
    await harness.submit_owned("job")
    for job_id in ("answer", "job"):
        await harness.store.cancel(job_id)
    await harness.advance(61.0)
    await harness.submit("other")
    with pytest.raises(JobNotFound):
        await harness.store.get("answer")
    events = [event async for event in harness.store.events("job")]
    assert events[-1].kind is EventKind.ERROR
