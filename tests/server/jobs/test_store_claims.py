from typing import Any

import pytest

pytestmark = pytest.mark.anyio


async def test_a_worker_takes_no_job_more_than_its_room_is_filled_by(
    bench: Any, make_job: Any
) -> None:
    for number, width in enumerate((8, 16, 8, 1)):
        await bench.store.submit(make_job(f"j{number}", width=width))
    worker, other = await bench.worker(), await bench.worker("w2")
    assert [job.id for job in await worker.claim(max_jobs=8, max_width=9)] == ["j0", "j1"]
    assert [job.id for job in await other.claim(max_jobs=1, max_width=99)] == ["j2"]
    assert [job.id for job in await worker.claim(max_jobs=8, max_width=1)] == ["j3"]
    assert await worker.claim(max_jobs=8, max_width=1, can_wait=False) == []
    stats = await bench.store.stats()
    assert (stats.num_running, stats.reserved_trajectories) == (4, 33)
