"""Jobs whose workers are lost: what fails with the next one is alone at its worker."""

import pytest

from gram_server.job import EventKind, JobState
from tests.server.jobs.conftest import RESULT, Harness, solution

pytestmark = pytest.mark.anyio
NUM_LOSSES = 2
"""Workers that the store's configuration lets a job lose."""


async def lose_workers(harness: Harness, count: int) -> None:
    """Let workers claim everything and be lost."""
    for number in range(count):
        worker = await harness.worker(f"lost{number}")
        await worker.claim(max_jobs=10)
        await worker.close()


async def test_a_deadly_job_takes_no_other_with_it(harness: Harness) -> None:
    names = ["a", "deadly", "c"]
    await harness.submit(*names)
    await lose_workers(harness, NUM_LOSSES)
    ends = {}
    for number in range(len(names)):
        worker = await harness.worker(f"w{number}")
        [job] = await worker.claim(max_jobs=10)
        assert job.attempt == NUM_LOSSES
        if job.id == "deadly":
            await worker.close()
        else:
            await worker.complete(job.id, RESULT)
        ends[job.id] = (await harness.store.wait(job.id, timeout_s=5.0)).state
    assert ends == {"a": JobState.DONE, "deadly": JobState.FAILED, "c": JobState.DONE}
    assert (await harness.store.stats()).reserved_trajectories == 0


async def test_fresh_jobs_run_beside_a_last_chance_and_the_next_follows_it(
    harness: Harness,
) -> None:
    await harness.submit("a", "b")
    await lose_workers(harness, NUM_LOSSES)
    await harness.submit("x", "y")
    worker, other = await harness.worker("w1"), await harness.worker("w2")
    first = {job.id for job in await worker.claim(max_jobs=2)}
    assert first == {"a", "x"}
    assert {job.id for job in await worker.claim(max_jobs=1)} == {"y"}
    assert await worker.claim(max_jobs=1, can_wait=False) == []
    await worker.complete("a", RESULT)
    assert (await harness.store.wait("a", timeout_s=5.0)).state is JobState.DONE
    assert {job.id for job in await worker.claim(max_jobs=1)} == {"b"}
    assert await other.claim(max_jobs=1, can_wait=False) == []


async def test_a_last_chance_handed_back_stays_one(harness: Harness) -> None:
    await harness.submit("a", "b")
    await lose_workers(harness, NUM_LOSSES)
    worker = await harness.worker("w1")
    [job] = await worker.claim(max_jobs=10)
    await worker.hand_back([job.id])
    other = await harness.worker("w2")
    assert len(await other.claim(max_jobs=10)) == 1


async def test_jobs_of_a_lost_worker_go_to_another(harness: Harness) -> None:
    lost = await harness.held("a")
    await lost.publish("a", solution("x"))
    await lost.close()
    other = await harness.worker("w2")
    [job] = await other.claim(max_jobs=1)
    assert (job.id, job.attempt) == ("a", 1)
    await other.publish("a", solution("x"))
    await other.publish("a", solution("y"))
    await other.complete("a", RESULT)
    assert (await harness.store.wait("a", timeout_s=5.0)).state is JobState.DONE
    events = [event async for event in harness.store.events("a")]
    answers = [event.data["answer"] for event in events if event.kind is EventKind.SOLUTION]
    assert answers == ["x", "y"]
    assert (await harness.store.stats()).redelivered == 1


async def test_a_job_that_loses_too_many_workers_fails(harness: Harness) -> None:
    await harness.submit("a")
    for attempt in range(NUM_LOSSES + 1):
        worker = await harness.worker(f"w{attempt}")
        [job] = await worker.claim(max_jobs=1)
        assert job.attempt == attempt
        await worker.close()
    record = await harness.store.wait("a", timeout_s=5.0)
    assert (record.state, record.job.attempt) == (JobState.FAILED, NUM_LOSSES + 1)
    assert record.error is not None
    assert record.error.code == "worker_lost"
    assert record.error.detail.startswith(f"{NUM_LOSSES + 1} workers")
    assert (await harness.store.stats()).reserved_trajectories == 0
