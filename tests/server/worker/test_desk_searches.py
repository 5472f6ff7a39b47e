"""What a desk does with jobs that wait for an exact search."""

import asyncio
import time
from typing import Any

import numpy as np
import pytest

from gram_server.job import JobState
from gram_server.worker.intake import MAX_SHARING_JOBS
from gram_server.worker.searcher import Searcher
from tests.server.worker.office import open_office

SOLVED = "1234341221434321"


@pytest.fixture
def endless_search(monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(self: Searcher) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Searcher, "start", start)


@pytest.mark.usefixtures("endless_search")
def test_a_search_ends_with_its_job(
    store: Any, make_job: Any, make_end: Any, guessing_model: Any
) -> None:
    async def scenario() -> None:
        async with open_office(store, guessing_model, drain_s=3600.0) as office:
            await office.claim(make_job(count="exact"))
            office.desk.put([make_end(grids=[(SOLVED, 2)])])
            office.desk.drain()
            await asyncio.sleep(0.05)
            assert not office.running.done()
            store.cancelled.put_nowait("a")
            await asyncio.wait_for(office.running, 60.0)
            assert (store.completed, store.failed, store.handed_back) == ({}, {}, [])

    asyncio.run(scenario())


@pytest.mark.usefixtures("endless_search")
@pytest.mark.parametrize("options", [{"count": "exact"}, {"fallback": "exact"}])
def test_at_the_deadline_a_search_leaves_what_the_model_found(
    store: Any,
    make_job: Any,
    make_end: Any,
    guessing_model: Any,
    wrong_answer: np.ndarray,
    options: dict[str, str],
) -> None:
    grids = [(SOLVED, 2)] if "count" in options else []

    async def scenario() -> None:
        async with open_office(store, guessing_model) as office:
            await office.claim(make_job(deadline_s=time.time() + 0.2, **options))
            office.desk.put([make_end(grids=grids, best_attempt=wrong_answer)])
            await office.until(lambda: store.completed)

    asyncio.run(scenario())
    result, outcome = store.completed["a"]
    assert (outcome, result["status"]) == (JobState.EXPIRED, "partial")
    assert (result["exact_search"], result["completeness"]["total"]) == ("deadline", None)
    assert [solution["votes"] for solution in result["solutions"]] == [2] * len(grids)
    assert (result["best_attempt"] is None) == bool(grids)
    assert result["usage"]["supervision_steps"] == 40


@pytest.mark.usefixtures("endless_search")
def test_jobs_that_wait_for_searches_hold_no_place_of_the_worker(
    store: Any, make_job: Any, make_end: Any, guessing_model: Any
) -> None:
    async def scenario() -> None:
        async with open_office(store, guessing_model, room=lambda: 0) as office:
            for number in range(MAX_SHARING_JOBS + 5):
                await office.claim(make_job(f"j{number}", count="exact"))
                office.desk.put([make_end(job_id=f"j{number}")])
            assert store.completed == {}

    asyncio.run(scenario())
