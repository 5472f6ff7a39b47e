"""What a runner does with jobs that wait for an exact search."""

import asyncio
import time

import numpy as np
import pytest

from gram_server.job import EXACT, JobState
from gram_server.worker.job_runner import MAX_SHARING_JOBS
from gram_server.worker.search_pool import Searcher
from tests.processes import until
from tests.server.worker.harness import World

pytestmark = pytest.mark.anyio

SOLVED = "1234341221434321"


@pytest.fixture
def endless_search(monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(self: Searcher) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Searcher, "start", start)


@pytest.mark.usefixtures("endless_search")
async def test_a_search_ends_with_its_job(world: World) -> None:
    async with world.open(drain_s=3600.0) as harness:
        await harness.claim(world.job(count="exact"))
        harness.runner.on_events([world.end(grids=[(SOLVED, 2)])])
        harness.runner.drain()
        await asyncio.sleep(0.05)
        assert not harness.running.done()
        world.store.cancelled.put_nowait("a")
        await asyncio.wait_for(harness.running, 60.0)
        assert (world.store.completed, world.store.failed, world.store.handed_back) == ({}, {}, [])


@pytest.mark.usefixtures("endless_search")
@pytest.mark.parametrize("options", [{"count": "exact"}, {"fallback": "exact"}])
async def test_at_the_deadline_a_search_leaves_what_the_model_found(
    world: World, wrong_answer: np.ndarray, options: dict[str, str]
) -> None:
    grids = [(SOLVED, 2)] if "count" in options else []

    async with world.open() as harness:
        await harness.claim(world.job(deadline_s=time.time() + 0.2, **options))
        harness.runner.on_events([world.end(grids=grids, best_attempt=wrong_answer)])
        await until(lambda: world.store.completed)
    result, outcome = world.store.completed["a"]
    assert (outcome, result["status"]) == (JobState.EXPIRED, "partial")
    assert (result["exact_search"], result["completeness"]["total"]) == ("deadline", None)
    assert [solution["votes"] for solution in result["solutions"]] == [2] * len(grids)
    assert (result["best_attempt"] is None) == bool(grids)
    assert result["usage"]["supervision_steps"] == 40


@pytest.mark.usefixtures("endless_search")
async def test_jobs_that_wait_for_searches_hold_no_place_of_the_worker(world: World) -> None:
    async with world.open(free_slots=lambda: 0) as harness:
        for number in range(MAX_SHARING_JOBS + 5):
            await harness.claim(world.job(f"j{number}", count="exact"))
            harness.runner.on_events([world.end(job_id=f"j{number}")])
        assert world.store.completed == {}


async def test_a_puzzle_that_no_model_takes_is_searched_and_never_run(world: World) -> None:
    queens = {"puzzle": "nqueens", "n": 6, "queens": [[0, 1]]}
    task = {"puzzle": "nqueens", "task": "nqueens-6", "model": EXACT.name}
    async with world.open(free_slots=lambda: 0) as harness:
        for job_id, body in (("a", queens), ("none", {"puzzle": "nqueens", "n": 3})):
            world.store.jobs.put_nowait(world.job(job_id, body=body, fallback="exact", **task))
        await until(lambda: len(world.store.completed) == 2)
        assert harness.sent == []
    result, outcome = world.store.completed["a"]
    assert (outcome, result["status"], result["exact_search"]) == ("done", "solved", "complete")
    [solution] = result["solutions"]
    assert (solution["source"], solution["answer"][0], len(solution["answer"])) == (
        "exact",
        [0, 1],
        6,
    )
    assert (result["model"], result["depth"], result["padded_to"]) == ("exact", 0, None)
    assert result["usage"]["supervision_steps"] == 0
    none = world.store.completed["none"][0]
    assert (none["status"], none["completeness"]["total"]) == ("unsolved", 0)
    assert none["unsolvable"] == {"reason": "exact search found no solution", "cells": []}


async def test_what_one_look_refutes_is_told_without_a_step(world: World) -> None:
    async with world.open(free_slots=lambda: 0) as harness:
        world.store.jobs.put_nowait(
            world.job(grid="123....4........", fallback="exact", count="exact")
        )
        await until(lambda: world.store.completed)
        assert harness.sent == []
    result, outcome = world.store.completed["a"]
    assert (outcome, result["status"], result["exact_search"]) == ("done", "unsolved", None)
    assert result["unsolvable"]["cells"] == [[0, 3]]
    assert result["usage"]["supervision_steps"] == 0


@pytest.mark.usefixtures("endless_search")
async def test_a_search_without_a_model_can_be_cancelled(world: World) -> None:
    async with world.open() as harness:
        world.store.jobs.put_nowait(world.job(model=EXACT.name, fallback="exact"))
        await asyncio.sleep(0.05)
        world.store.cancelled.put_nowait("a")
        harness.runner.drain()
        await asyncio.wait_for(harness.running, 60.0)
        assert (world.store.completed, world.store.failed, world.store.handed_back) == ({}, {}, [])
