"""Every job that was accepted is counted once, and once more by how it ended."""

from collections import Counter

import pytest

from gram_server.errors import QueueFull
from gram_server.job import Event, EventKind, JobState, outcome_of
from tests.server.jobs.conftest import Harness

pytestmark = pytest.mark.anyio

SOLUTION = Event(kind=EventKind.SOLUTION, data={"answer": "x"})


async def counts(harness: Harness) -> Counter[str]:
    found: Counter[str] = Counter()
    for (what, model, priority), value in (await harness.store.stats()).counts.items():
        assert (model, priority) == ("sudoku-4x4", 1)
        found[what] += value
    return found


async def test_jobs_are_counted_by_how_they_ended(harness: Harness) -> None:
    soon_s = harness.clock() + 1.0
    for name in ("solved", "unsolved", "partial", "failed", "cancelled", "told"):
        deadline_s = soon_s if name == "told" else None
        await harness.submit(name, deadline_s=deadline_s)
    worker = await harness.worker()
    await worker.claim(max_jobs=8)
    await harness.submit("late", deadline_s=soon_s)
    await worker.complete("solved", {"status": "solved", "solutions": [{}]})
    await worker.complete("unsolved", {"status": "unsolved", "solutions": []})
    partial: dict[str, object] = {"status": "partial", "solutions": [{}]}
    await worker.complete("partial", partial, outcome=JobState.EXPIRED)
    await worker.fail("failed", code="bad", detail="so")
    await worker.publish("told", SOLUTION)
    await harness.store.wait("solved", timeout_s=5.0)
    # The first end is the one that counts.
    for late in ("cancelled", "cancelled", "solved"):
        await harness.store.cancel(late)
    await worker.complete("cancelled", {"status": "solved"})
    for name in ("solved", "unsolved", "partial", "failed", "late", "told"):
        assert (await harness.store.wait(name, timeout_s=10.0)).state.is_final
    assert await counts(harness) == {
        "accepted": 7,
        "solved": 1,
        "unsolved": 1,
        "partial": 2,
        "failed": 1,
        "cancelled": 1,
        "deadline": 1,
    }


async def test_the_parts_of_a_batch_count_and_the_batch_does_not(harness: Harness) -> None:
    await harness.submit_batch(3)
    worker = await harness.worker()
    await worker.claim(max_jobs=1)
    await harness.complete(worker, "batch-0")
    await harness.store.cancel("batch")
    assert await counts(harness) == {"accepted": 3, "solved": 1, "cancelled": 2}


async def test_refused_jobs_and_second_tries_do_not_count(harness: Harness) -> None:
    lost = await harness.held("a", width=64)
    with pytest.raises(QueueFull):
        await harness.submit("b")
    await lost.close()
    other = await harness.worker("w2")
    await other.claim(max_jobs=1)
    await harness.complete(other, "a")
    assert await counts(harness) == {"accepted": 1, "solved": 1}


@pytest.mark.parametrize(
    ("state", "result", "has_solutions", "outcome"),
    [
        (JobState.DONE, {"status": "complete", "boards": [{}]}, False, "solved"),
        (JobState.DONE, {"status": "exhausted", "boards": []}, True, "unsolved"),
        (JobState.EXPIRED, {"status": "partial", "boards": []}, True, "deadline"),
        (JobState.EXPIRED, None, True, "partial"),
        (JobState.EXPIRED, None, False, "deadline"),
        (JobState.CANCELLED, None, True, "cancelled"),
    ],
)
def test_an_outcome_follows_from_state_result_and_what_was_told(
    state: JobState, result: dict[str, object] | None, has_solutions: bool, outcome: str
) -> None:
    assert outcome_of(state, result, has_solutions=has_solutions) == outcome
