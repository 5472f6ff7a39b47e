"""What has ended is bounded by number and bytes, asked of every store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gram_server.errors import JobNotFound, KeyConflict, QueueFull
from gram_server.jobs.store import IdempotencyKey
from gram_server.settings import QueueConfig
from tests.server.jobs.conftest import Harness, Open

pytestmark = pytest.mark.anyio

MAX_JOBS = 20
MAX_BYTES = 200_000
MAX_KEYS = 3


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
async def harness(
    request: pytest.FixtureRequest, tmp_path: Path, open_harness: Open
) -> AsyncIterator[Harness]:
    config = QueueConfig(
        max_trajectories=100,
        max_finished_jobs=MAX_JOBS,
        max_finished_bytes=MAX_BYTES,
        max_keys=MAX_KEYS,
    )
    async with open_harness(request.param, config, tmp_path, request) as opened:
        opened.clock.stop()
        yield opened


async def submit(harness: Harness, name: str) -> None:
    """Hand in a job of mine, a moment after the one before."""
    await harness.advance(0.01)
    await harness.submit_owned(name)


async def left(harness: Harness, *names: str) -> list[str]:
    found = []
    for name in names:
        try:
            await harness.store.get(name)
        except JobNotFound:
            continue
        found.append(name)
    return found


async def test_abandoned_batches_do_not_grow_what_is_kept(harness: Harness) -> None:
    for number in range(30):
        await harness.advance(0.01)
        await harness.submit_batch(9, name=f"b{number}")
        await harness.store.cancel(f"b{number}")
        # Bounds are looked after when something is accepted.
        assert (await harness.store.stats()).finished_jobs <= MAX_JOBS + 10
    await submit(harness, "last")
    stats = await harness.store.stats()
    assert (stats.finished_jobs, stats.forgotten_early) == (20, 280)
    assert 1_000 < stats.finished_bytes < MAX_BYTES
    assert await left(harness, "b0", "b0-0", "b27", "b27-8", "b28", "b29") == ["b28", "b29"]
    assert len((await harness.store.get("b28")).parts) == 9


async def test_large_results_are_bounded_by_their_bytes(harness: Harness) -> None:
    worker = await harness.worker()
    for number in range(9):
        await submit(harness, f"j{number}")
        await worker.claim(max_jobs=1)
        await worker.complete(f"j{number}", {"status": "solved", "solutions": ["x" * 50_000]})
        assert (await harness.store.stats()).finished_bytes < MAX_BYTES + 60_000
    await submit(harness, "last")
    assert await left(harness, *(f"j{number}" for number in range(9))) == ["j6", "j7", "j8"]


async def test_one_owner_drives_out_its_own_jobs_and_nobody_elses(harness: Harness) -> None:
    await harness.submit_owned("other", "you")
    await harness.store.cancel("other")
    for number in range(2 * MAX_JOBS):
        await submit(harness, f"j{number}")
        await harness.store.cancel(f"j{number}")
    await submit(harness, "last")
    assert await left(harness, "other", "j0", "j20", "j21", "j39") == ["other", "j21", "j39"]
    page = await harness.store.page("me", cursor=None, limit=50)
    assert len(page.records) == MAX_JOBS


async def test_ended_parts_of_open_batches_are_not_forgotten_and_nothing_more_is_taken(
    harness: Harness,
) -> None:
    await harness.submit_batch(MAX_JOBS + 2, name="open")
    for number in range(MAX_JOBS + 1):
        await harness.store.cancel(f"open-{number}")
    with pytest.raises(QueueFull, match="parts of unfinished batches") as refused:
        await submit(harness, "more")
    assert refused.value.retry_after_s >= 1
    assert len((await harness.store.get("open")).parts) == MAX_JOBS + 2
    await harness.store.cancel("open")
    await submit(harness, "more")
    assert await left(harness, "open", "open-0", "more") == ["more"]


async def test_only_the_newest_keys_of_an_owner_are_remembered(harness: Harness) -> None:
    def ticket(key: str, owner: str = "me", fingerprint: str = "f") -> IdempotencyKey:
        return IdempotencyKey(owner=owner, key=key, fingerprint=fingerprint)

    await harness.store.submit(harness.job("other", width=1), ticket=ticket("k", "you"))
    for number in range(MAX_KEYS + 2):
        await harness.advance(0.01)
        job = harness.job(f"j{number}", width=1)
        await harness.store.submit(job, ticket=ticket(f"k{number}"))
    again = harness.job("again", width=1)
    assert await harness.store.submit(again, ticket=ticket("k", "you")) == "other"
    assert await harness.store.submit(again, ticket=ticket("k2")) == "j2"
    with pytest.raises(KeyConflict):
        await harness.store.submit(again, ticket=ticket("k4", fingerprint="g"))
    assert await harness.store.submit(again, ticket=ticket("k0")) == "again"
