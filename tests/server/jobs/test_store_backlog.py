"""A request that would wait for too long is refused, by how fast such jobs ended of late."""

from typing import Any

import pytest

from gram_server.errors import QueueFull
from gram_server.jobs.queued_job import MIN_BACKLOG_JOBS, NUM_RECENT
from tests.server.jobs.conftest import Harness

pytestmark = pytest.mark.anyio

PACE_S = 0.7
"""Seconds between the ends of jobs."""
NUM_ENDS = 8


@pytest.fixture(autouse=True)
def no_time_but_the_tests(harness: Harness) -> None:
    harness.clock.stop()


async def fill(harness: Harness, count: int, **kinds: int) -> None:
    await harness.submit(*(f"j{number}" for number in range(count)), **kinds)


async def end_some(harness: Harness, worker: Any, count: int = NUM_ENDS, *, first: int = 0) -> None:
    for number in range(first, first + count):
        await harness.advance(PACE_S)
        await harness.complete(worker, f"j{number}")


async def keep_busy(
    harness: Harness, count: int = 40, *, num_held: int | None = None, **kinds: int
) -> Any:
    """Hand in jobs, which a worker takes if not said otherwise, and let the first ones end.

    They end at the pace. Returns the worker.
    """
    await fill(harness, count, **kinds)
    worker = await harness.worker()
    await worker.claim(max_jobs=num_held or count)
    await end_some(harness, worker)
    return worker


async def backlog_s(harness: Harness) -> float:
    return float((await harness.store.stats()).backlog_s["sudoku-4x4"])


async def test_the_backlog_is_the_jobs_by_the_pace_of_the_last(harness: Harness) -> None:
    await fill(harness, 40)
    assert await backlog_s(harness) == 0.0
    worker = await harness.worker()
    await worker.claim(max_jobs=40)
    await end_some(harness, worker)
    assert await backlog_s(harness) == pytest.approx(32 * PACE_S, rel=0.1)
    with pytest.raises(QueueFull) as refused:
        await harness.submit("late")
    # 22.4 s are before it, of which 10 are allowed.
    assert refused.value.retry_after_s in (12, 13, 14)
    assert (await harness.store.stats()).reserved_trajectories == 32


async def test_a_new_pace_takes_the_place_of_the_old(harness: Harness) -> None:
    worker = await keep_busy(harness, 64)
    slow_s = await backlog_s(harness) / 56
    await harness.complete(worker, *(f"j{number}" for number in range(NUM_ENDS, 44)))
    assert await backlog_s(harness) / 20 < slow_s / 3
    # The first end only begins the measurement; what came before a later one fades.
    weights = [(1 - 1 / NUM_RECENT) ** age for age in reversed(range(43))]
    pace_s = PACE_S * sum(weights[: NUM_ENDS - 1]) / sum(weights)
    assert await backlog_s(harness) == pytest.approx(20 * pace_s, rel=0.01)
    await harness.submit("in time")


async def test_too_few_jobs_are_no_backlog(harness: Harness) -> None:
    worker = await keep_busy(harness)
    await end_some(harness, worker, 40 - MIN_BACKLOG_JOBS - NUM_ENDS, first=NUM_ENDS)
    assert await backlog_s(harness) == pytest.approx(MIN_BACKLOG_JOBS * PACE_S, rel=0.1)
    await end_some(harness, worker, 1, first=40 - MIN_BACKLOG_JOBS)
    assert await backlog_s(harness) == 0.0
    await harness.submit("in time")


async def test_only_what_comes_before_a_job_delays_it(harness: Harness) -> None:
    await keep_busy(harness, priority=2)
    with pytest.raises(QueueFull):
        await harness.submit("low", priority=2)
    await harness.submit("high", priority=0)
    await harness.submit("other", priority=2, model="sudoku-6x6")


async def test_a_job_that_nobody_waits_for_may_queue_for_longer(harness: Harness) -> None:
    await keep_busy(harness)
    await harness.submit_owned("later")
    await harness.submit_batch(1)
    assert await backlog_s(harness) == pytest.approx(34 * PACE_S, rel=0.1)


async def test_waiting_jobs_that_are_given_up_say_nothing_of_the_pace(harness: Harness) -> None:
    await keep_busy(harness, 60, num_held=40)
    for number in range(40, 60):
        await harness.store.cancel(f"j{number}")
    assert await backlog_s(harness) == pytest.approx(32 * PACE_S, rel=0.1)


async def test_a_pause_in_which_everybody_left_is_no_pace(harness: Harness) -> None:
    worker = await keep_busy(harness, num_held=20)
    for number in range(NUM_ENDS, 40):
        await harness.store.cancel(f"j{number}")
    await harness.advance(600.0)
    await harness.submit(*(f"j{number}" for number in range(40, 52)))
    await worker.claim(max_jobs=12)
    await end_some(harness, worker, 1, first=40)
    assert await backlog_s(harness) == pytest.approx(11 * PACE_S, rel=0.1)


async def test_a_job_weighs_what_it_has_to_run_at_least(harness: Harness) -> None:
    await keep_busy(harness, 30, width=2, max_solutions=1)
    before_s = await backlog_s(harness)
    for name in ("a", "b"):
        await harness.submit_owned(name, width=2, max_solutions=9)
    assert await backlog_s(harness) == pytest.approx(before_s * 26 / 22, rel=0.05)
