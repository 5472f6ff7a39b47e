"""Jobs that make up boards, in every store."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gram_server.job import Event, EventKind, Job, Sampling

pytestmark = pytest.mark.anyio


async def test_a_board_made_up_twice_is_told_twice_but_never_repeated(
    bench: Any, make_job: Callable[..., Job]
) -> None:
    sampling = Sampling(is_distinct=False, is_thinned=True, num_clues=30)
    worker = await bench.worker()
    await bench.store.submit(replace(make_job(), sampling=sampling))
    [job] = await worker.claim(max_jobs=1)
    assert job.sampling == sampling
    # The second of trajectory 1 is what another worker tells after the first was lost.
    for trajectory in (1, 4, 1):
        data = {"answer": "x", "trajectory": trajectory}
        await worker.publish("a", Event(kind=EventKind.SOLUTION, data=data))
    await worker.complete("a", {"status": "complete"})
    record = await bench.store.wait("a", timeout_s=10.0)
    assert [told["trajectory"] for told in record.solutions] == [1, 4]
