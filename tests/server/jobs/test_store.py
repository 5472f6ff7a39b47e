"""What both stores do, alone and over the link; whole lives of jobs are in tests/stress."""

import asyncio
from dataclasses import replace

import pytest

from gram_server.errors import JobNotFound, LinkClosed, QueueFull
from gram_server.job import (
    EventKind,
    JobError,
    JobState,
    ModelReport,
    WorkerReport,
    WorkerState,
)
from gram_server.jobs.store import IdempotencyKey
from tests.server.jobs.conftest import RESULT, Eventually, Harness, solution

pytestmark = pytest.mark.anyio


async def test_a_claimed_job_is_the_job_that_was_submitted(harness: Harness) -> None:
    worker = await harness.worker()
    job = harness.job(deadline_s=5_000.0)
    await harness.store.submit(job)
    assert await worker.claim(max_jobs=8) == [job]
    assert (await harness.store.get("a")).state is JobState.RUNNING


async def test_a_claim_waits_for_the_first_job(harness: Harness) -> None:
    worker = await harness.worker()
    claim = asyncio.create_task(worker.claim(max_jobs=1))
    await asyncio.sleep(0.01)
    assert not claim.done()
    await harness.store.submit(harness.job())
    assert [job.id for job in await claim] == ["a"]


async def test_one_job_goes_to_one_of_two_waiting_workers(harness: Harness) -> None:
    claims = [
        asyncio.create_task((await harness.worker(name)).claim(max_jobs=4)) for name in ("w1", "w2")
    ]
    await harness.store.submit(harness.job())
    await asyncio.wait(claims, timeout=20.0, return_when=asyncio.FIRST_COMPLETED)
    done, pending = await asyncio.wait(claims, timeout=0.1)
    assert [len(task.result()) for task in done] == [1]
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)


async def test_a_cancelled_claim_loses_no_job(harness: Harness) -> None:
    worker = await harness.worker()
    for round_ in range(20):
        claim = asyncio.create_task(worker.claim(max_jobs=1))
        for _ in range(round_ % 5):
            await asyncio.sleep(0)
        await harness.submit(f"j{round_}")
        for _ in range(round_ % 7):
            await asyncio.sleep(0)
        claim.cancel()
        result = (await asyncio.gather(claim, return_exceptions=True))[0]
        jobs = result if isinstance(result, list) else await worker.claim(max_jobs=1)
        assert [job.id for job in jobs] == [f"j{round_}"]


async def test_wait_returns_the_final_record(harness: Harness) -> None:
    await harness.submit("a")
    waiter = asyncio.create_task(harness.store.wait("a", timeout_s=None))
    worker = await harness.worker()
    await worker.claim(max_jobs=1)
    await worker.publish("a", solution("x"))
    await worker.complete("a", RESULT)
    record = await waiter
    assert (record.state, record.result) == (JobState.DONE, RESULT)
    assert record.solutions == ({"answer": "x"},)


async def test_wait_returns_the_record_as_it_stands_after_the_timeout(harness: Harness) -> None:
    await harness.store.submit(harness.job())
    record = await harness.store.wait("a", timeout_s=0.01)
    assert (record.state, record.result) == (JobState.QUEUED, None)


async def test_the_first_final_state_wins(harness: Harness) -> None:
    worker = await harness.held("a", "b")
    await worker.complete("a", RESULT)
    await worker.fail("a", code="late", detail="late")
    await worker.publish("a", solution("late"))
    await harness.complete(worker, "b")
    assert (await harness.store.get("a")).state is JobState.DONE
    assert await harness.kinds_and_ids("a") == [("accepted", 1), ("done", 2)]


async def test_a_failed_job_says_why(harness: Harness) -> None:
    worker = await harness.held("a")
    await worker.fail("a", code="bad_row", detail="every trajectory failed")
    record = await harness.store.wait("a", timeout_s=5.0)
    assert record.state is JobState.FAILED
    assert record.error == JobError(code="bad_row", detail="every trajectory failed")
    events = [event async for event in harness.store.events("a")]
    assert events[-1].kind is EventKind.ERROR
    assert events[-1].data == {"code": "bad_row", "detail": "every trajectory failed"}


async def test_retry_after_follows_the_depth_and_the_service_rate(harness: Harness) -> None:
    await harness.complete(await harness.held("a", width=40), "a")
    await harness.advance(20.0)
    # Two a second ended of late.
    await harness.store.submit(harness.job("b", width=64))
    with pytest.raises(QueueFull) as refused:
        await harness.store.submit(harness.job("c", width=30))
    assert refused.value.retry_after_s in (15, 16)


async def test_parallel_submits_never_pass_the_bound(harness: Harness) -> None:
    submits = (harness.store.submit(harness.job(f"j{i}", width=3)) for i in range(100))
    results = await asyncio.gather(*submits, return_exceptions=True)
    assert sum(isinstance(result, str) for result in results) == 21
    assert all(isinstance(result, str | QueueFull) for result in results)
    assert (await harness.store.stats()).reserved_trajectories == 63


async def test_one_ticket_stands_for_one_job(harness: Harness) -> None:
    ticket = IdempotencyKey(owner="me", key="k", fingerprint="f")
    submits = (
        harness.store.submit(harness.job(f"j{n}", width=1), ticket=ticket) for n in range(100)
    )
    ids = await asyncio.gather(*submits)
    assert len(set(ids)) == 1
    assert (await harness.store.stats()).reserved_trajectories == 1


async def test_a_refused_job_does_not_use_up_its_ticket(harness: Harness) -> None:
    ticket = IdempotencyKey(owner="me", key="k", fingerprint="f")
    await harness.store.submit(harness.job("big", width=64))
    with pytest.raises(QueueFull):
        await harness.store.submit(harness.job("a"), ticket=ticket)
    await harness.store.cancel("big")
    assert await harness.store.submit(harness.job("b"), ticket=ticket) == "b"


async def test_cancelling_a_running_job_tells_its_worker(harness: Harness) -> None:
    worker = await harness.held("a")
    await harness.store.cancel("a")
    assert await anext(worker.cancellations()) == "a"
    assert (await harness.store.get("a")).state is JobState.CANCELLED
    await harness.store.cancel("a")
    with pytest.raises(JobNotFound):
        await harness.store.cancel("nothing")


async def test_handed_back_jobs_are_next_and_keep_their_attempt(
    harness: Harness, eventually: Eventually
) -> None:
    worker = await harness.held("a", "b")
    await harness.submit("c")
    await worker.hand_back(["a", "b"])

    async def are_back() -> bool:
        return bool((await harness.store.stats()).num_running == 0)

    await eventually(are_back)
    other = await harness.worker("w2")
    jobs = await other.claim(max_jobs=3)
    assert [(job.id, job.attempt) for job in jobs] == [("a", 0), ("b", 0), ("c", 0)]


async def test_a_late_word_of_a_worker_that_lost_the_job_changes_nothing(harness: Harness) -> None:
    first = await harness.held("a")
    await first.hand_back(["a"])
    second = await harness.worker("w2")
    await second.claim(max_jobs=1)
    await first.complete("a", {"status": "stale"})
    await asyncio.sleep(0.02)
    assert (await harness.store.get("a")).state is JobState.RUNNING
    await second.complete("a", RESULT)
    assert (await harness.store.wait("a", timeout_s=5.0)).result == RESULT


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
    for attempt in range(3):
        worker = await harness.worker(f"w{attempt}")
        [job] = await worker.claim(max_jobs=1)
        assert job.attempt == attempt
        await worker.close()
    record = await harness.store.wait("a", timeout_s=5.0)
    assert (record.state, record.job.attempt) == (JobState.FAILED, 3)
    assert record.error is not None
    assert record.error.code == "worker_lost"
    assert record.error.detail.startswith("3 workers")
    assert (await harness.store.stats()).reserved_trajectories == 0


async def test_a_queued_job_expires_at_its_deadline(harness: Harness) -> None:
    await harness.store.submit(harness.job(deadline_s=harness.clock() + 0.02))
    record = await harness.store.wait("a", timeout_s=5.0)
    assert (record.state, record.result) == (JobState.EXPIRED, None)
    assert await harness.kinds_and_ids("a") == [("accepted", 1), ("done", 2)]


async def test_a_running_job_may_hand_in_what_it_found_just_after_its_deadline(
    harness: Harness,
) -> None:
    worker = await harness.held("a", deadline_s=harness.clock() + 0.5)
    assert (await harness.store.wait("a", timeout_s=0.7)).state is JobState.RUNNING
    await worker.complete("a", {"status": "partial"}, outcome=JobState.EXPIRED)
    record = await harness.store.wait("a", timeout_s=5.0)
    assert (record.state, record.result) == (JobState.EXPIRED, {"status": "partial"})


@pytest.mark.slow
async def test_a_running_job_that_stays_silent_expires_with_what_it_told(harness: Harness) -> None:
    worker = await harness.held("a", deadline_s=harness.clock() + 0.5)
    await worker.publish("a", solution("x"))
    record = await harness.store.wait("a", timeout_s=5.0)
    assert (record.state, record.result) == (JobState.EXPIRED, None)
    assert record.solutions == ({"answer": "x"},)
    assert await anext(worker.cancellations()) == "a"


@pytest.mark.slow
async def test_a_batch_shows_what_a_part_had_found_by_its_deadline(harness: Harness) -> None:
    batch, parts = harness.batch(1)
    parts = [replace(part, deadline_s=harness.clock() + 1.5) for part in parts]
    await harness.store.submit(batch, parts=parts)
    worker = await harness.worker()
    await worker.claim(max_jobs=1)
    await worker.publish("batch-0", solution("found"))
    # Its worker says nothing more.
    await harness.store.wait("batch", timeout_s=20.0)
    [part] = (await harness.store.get("batch")).parts
    assert (part.state, part.solutions) == (JobState.EXPIRED, ({"answer": "found"},))


async def test_stats_show_what_waits_by_class_and_its_age(harness: Harness) -> None:
    harness.clock.stop()
    await harness.store.submit(harness.job("a", width=8, priority=0))
    await harness.advance(5.0)
    await harness.store.submit(harness.job("b", width=2, priority=0, submitted_s=harness.clock()))
    stats = await harness.store.stats()
    high = stats.classes[0]
    assert (high.num_jobs, high.num_trajectories) == (2, 10)
    assert high.oldest_age_s == pytest.approx(5.0, abs=0.5)
    assert stats.classes[1].num_jobs == 0
    assert stats.max_trajectories == 64


async def test_reports_of_connected_workers_are_in_the_stats(
    harness: Harness, eventually: Eventually
) -> None:
    worker = await harness.worker()
    model = ModelReport(name="m", task="t", fingerprint="ab12cd34", depth=16, num_parameters=9)
    report = WorkerReport(
        worker="w1",
        state=WorkerState.READY,
        models=(model,),
        phases={"load": 0.5},
        metrics_text="x 1\n",
    )
    await worker.report(report)

    async def is_known() -> bool:
        return bool((await harness.store.stats()).workers)

    async def is_unknown() -> bool:
        return not await is_known()

    await eventually(is_known)
    assert (await harness.store.stats()).workers == (report,)
    await worker.close()
    await eventually(is_unknown)


async def test_finished_jobs_are_forgotten_after_a_while_and_those_with_an_owner_later(
    harness: Harness,
) -> None:
    await harness.submit("answer")
    await harness.submit_owned("job")
    for job_id in ("answer", "job"):
        await harness.store.cancel(job_id)
    for passed_s, left in (
        (59.0, {"answer", "job"}),
        (2.0, {"job"}),
        (3_530.0, {"job"}),
        (20.0, set()),
    ):
        await harness.advance(passed_s)
        await harness.submit(f"other after {passed_s}")
        for job_id in ("answer", "job"):
            if job_id in left:
                assert (await harness.store.get(job_id)).state is JobState.CANCELLED
            else:
                with pytest.raises(JobNotFound):
                    await harness.store.get(job_id)


async def test_closing_the_store_wakes_everyone(harness: Harness) -> None:
    await harness.store.submit(harness.job())
    waiter = asyncio.create_task(harness.store.wait("a", timeout_s=None))
    follower = asyncio.create_task(harness.kinds_and_ids("a"))
    await asyncio.sleep(0.01)
    await harness.store.close()
    with pytest.raises(LinkClosed):
        await waiter
    with pytest.raises(LinkClosed):
        await follower
