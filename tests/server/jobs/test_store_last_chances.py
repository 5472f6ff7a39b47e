"""Jobs that fail with the next worker that is lost: a worker holds one of them at most."""

from collections.abc import Callable
from typing import Any

import pytest

from gram_server.job import Job, JobState

MakeJob = Callable[..., Job]

pytestmark = pytest.mark.anyio
RESULT: dict[str, object] = {"status": "solved"}
NUM_LOSSES = 2
"""Workers that the store's configuration lets a job lose."""


async def lose_workers(bench: Any, count: int) -> None:
    """Let workers claim everything and be lost."""
    for number in range(count):
        worker = await bench.worker(f"lost{number}")
        await worker.claim(max_jobs=10)
        await worker.close()


async def test_a_deadly_job_takes_no_other_with_it(bench: Any, make_job: MakeJob) -> None:
    names = ["a", "deadly", "c"]
    for name in names:
        await bench.store.submit(make_job(name, width=1))
    await lose_workers(bench, NUM_LOSSES)
    ends = {}
    for number in range(len(names)):
        worker = await bench.worker(f"w{number}")
        [job] = await worker.claim(max_jobs=10)
        assert job.attempt == NUM_LOSSES
        if job.id == "deadly":
            await worker.close()
        else:
            await worker.complete(job.id, RESULT)
        ends[job.id] = (await bench.store.wait(job.id, timeout_s=5.0)).state
    assert ends == {"a": JobState.DONE, "deadly": JobState.FAILED, "c": JobState.DONE}
    assert (await bench.store.stats()).reserved_trajectories == 0


async def test_fresh_jobs_run_beside_a_last_chance_and_the_next_follows_it(
    bench: Any, make_job: MakeJob
) -> None:
    for name in ("a", "b"):
        await bench.store.submit(make_job(name, width=1))
    await lose_workers(bench, NUM_LOSSES)
    for name in ("x", "y"):
        await bench.store.submit(make_job(name, width=1))
    worker, other = await bench.worker("w1"), await bench.worker("w2")
    first = {job.id for job in await worker.claim(max_jobs=2)}
    assert first == {"a", "x"}
    assert {job.id for job in await worker.claim(max_jobs=1)} == {"y"}
    assert await worker.claim(max_jobs=1, can_wait=False) == []
    await worker.complete("a", RESULT)
    assert (await bench.store.wait("a", timeout_s=5.0)).state is JobState.DONE
    assert {job.id for job in await worker.claim(max_jobs=1)} == {"b"}
    assert await other.claim(max_jobs=1, can_wait=False) == []


async def test_a_last_chance_handed_back_stays_one(bench: Any, make_job: MakeJob) -> None:
    for name in ("a", "b"):
        await bench.store.submit(make_job(name, width=1))
    await lose_workers(bench, NUM_LOSSES)
    worker = await bench.worker("w1")
    [job] = await worker.claim(max_jobs=10)
    await worker.hand_back([job.id])
    other = await bench.worker("w2")
    assert len(await other.claim(max_jobs=10)) == 1


async def test_a_job_that_cost_too_many_workers_counts_every_one(
    bench: Any, make_job: MakeJob
) -> None:
    await bench.store.submit(make_job("deadly"))
    await lose_workers(bench, NUM_LOSSES + 1)
    record = await bench.store.wait("deadly", timeout_s=5.0)
    assert (record.state, record.job.attempt) == (JobState.FAILED, NUM_LOSSES + 1)
    assert record.error is not None
    assert record.error.detail.startswith(f"{NUM_LOSSES + 1} workers")
