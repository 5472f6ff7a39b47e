"""Jobs that generate boards, from the engine's finds to the store."""

import asyncio
import gc
import time
from dataclasses import replace
from typing import Any

import pytest

from gram_core.puzzles import family
from gram_server.engine import FoundSolution
from gram_server.errors import LinkClosed
from gram_server.job import JobState, Sampling
from gram_server.worker.claimed_job import ClaimedJob
from gram_server.worker.engine_loop import Abort
from gram_server.worker.job_results import reduce_clues
from gram_server.worker.search_pool import SearchPool
from tests.processes import until
from tests.server.worker.conftest import found as solution_of
from tests.server.worker.harness import FakeStore, World

pytestmark = pytest.mark.anyio

EMPTY = "." * 16
GRIDS = ("1234341221434321", "1234341243212143", "2143432112343412")
THINNED = Sampling(is_thinned=True)


def found(number: int, trajectory: int | None = None) -> FoundSolution:
    find = solution_of(GRIDS[number])
    return replace(find, trajectory=number if trajectory is None else trajectory)


def take_sampling(world: World, sampling: Sampling, **options: Any) -> ClaimedJob:
    job = world.job(grid=EMPTY, sampling=sampling, **{"max_solutions": 3, **options})
    return world.take(job)


def test_the_engine_takes_boards_by_trajectory(world: World) -> None:
    boards = take_sampling(world, Sampling(is_distinct=False)).engine_job(clock_offset_s=0.0)
    assert (boards.order, boards.distinct, boards.max_solutions) == ("trajectory", False, 3)


def test_a_result_has_exactly_the_shape_that_the_interface_promises(world: World) -> None:
    claimed = take_sampling(world, Sampling(), width=40)
    finds = (found(0), found(1), found(2, 9))
    claimed.boards += [claimed.board(find, None) for find in finds]
    end = world.end(solutions=finds, valid_trajectories=4, ended_trajectories=10)
    answer = claimed.generate_response(end)
    assert [made.answer for made in answer.boards] == list(GRIDS)
    assert [made.trajectory for made in answer.boards] == [0, 1, 9]
    assert (answer.status, answer.count, answer.max_trajectories) == ("complete", 3, 40)
    assert (answer.validity, answer.uniqueness) == (0.4, 0.75)


@pytest.mark.parametrize(
    ("outcome", "num_boards", "status"),
    [("done", 3, "complete"), ("done", 2, "exhausted"), ("expired", 2, "partial")],
)
def test_a_status_says_why_there_are_no_more_boards(
    world: World, outcome: str, num_boards: int, status: str
) -> None:
    claimed = take_sampling(world, Sampling())
    finds = tuple(found(number) for number in range(num_boards))
    claimed.boards += [claimed.board(find, None) for find in finds]
    end = world.end(outcome, solutions=finds)
    assert claimed.generate_response(end).status == status


def test_boards_that_are_not_distinct_are_counted_once(world: World) -> None:
    claimed = take_sampling(world, Sampling(is_distinct=False))
    finds = (found(0, 1), found(0, 2), found(1, 5))
    end = world.end(solutions=finds, valid_trajectories=3)
    result = claimed.generate_response(end)
    assert (result.distinct, result.uniqueness) == (2, 0.666667)


def test_nothing_is_divided_by_nothing(world: World) -> None:
    claimed = take_sampling(world, Sampling())
    result = claimed.generate_response(world.end(ended_trajectories=0))
    assert (result.validity, result.uniqueness) == (None, None)


@pytest.mark.slow
async def test_a_thinned_board_is_fixed_by_seed_and_trajectory(world: World) -> None:
    pool = SearchPool()

    async def puzzle(trajectory: int, seed: int) -> object:
        claimed = take_sampling(world, THINNED, seed=seed)
        tokens = await reduce_clues(pool, claimed, found(0, trajectory))
        assert tokens is not None
        return claimed.board(found(0), tokens).puzzle

    try:
        assert await puzzle(1, 7) == await puzzle(1, 7)
        pairs = [(trajectory, seed) for trajectory in range(3) for seed in range(3)]
        assert len({await puzzle(*pair) for pair in pairs}) > 5
    finally:
        await pool.close()


async def test_puzzles_are_told_in_the_order_of_their_boards(world: World) -> None:
    async with world.open() as harness:
        await harness.claim(world.job(grid=EMPTY, sampling=THINNED, max_solutions=3))
        finds = tuple(found(number) for number in range(3))
        await harness.drained(*finds, world.end(solutions=finds))
    result, outcome = world.store.completed["a"]
    assert outcome is JobState.DONE
    assert [event.data for _, event in world.store.published] == result["boards"]
    assert [made["answer"] for made in result["boards"]] == list(GRIDS)
    sudoku = family("sudoku")
    for made in result["boards"]:
        grid = sudoku.parse({"grid": made["puzzle"]})
        answers = [sudoku.decode(grid, tokens) for tokens in sudoku.enumerate(grid, limit=2)]
        assert answers == [made["answer"]]


async def test_boards_that_no_time_is_left_for_are_left_out(world: World) -> None:
    async with world.open() as harness:
        job = world.job(grid=EMPTY, sampling=THINNED, max_solutions=3, deadline_s=time.time() - 1.0)
        await harness.claim(job)
        finds = tuple(found(number) for number in range(3))
        await harness.drained(*finds, world.end(solutions=finds))
    result, outcome = world.store.completed["a"]
    assert (outcome, result["status"], result["boards"]) == (JobState.EXPIRED, "partial", [])


async def test_nobody_thins_for_a_cancelled_job(world: World) -> None:
    async with world.open() as harness:
        await harness.claim(world.job(grid=EMPTY, sampling=THINNED, max_solutions=3))
        world.store.cancelled.put_nowait("a")
        await until(lambda: Abort("a") in harness.sent)
        finds = tuple(found(number) for number in range(3))
        await harness.drained(*finds, world.end("cancelled"))
    assert (world.store.published, world.store.completed, world.store.failed) == ([], {}, {})


async def test_a_thinning_that_breaks_fails_the_job_and_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(pool: SearchPool, claimed: ClaimedJob, find: FoundSolution) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr("gram_server.worker.job_results.reduce_clues", broken)
    async with world.open() as harness:
        await harness.claim(world.job(grid=EMPTY, sampling=THINNED, max_solutions=3))
        await harness.claim(world.job("b"))
        harness.runner.on_events([found(0), found(1)])
        await until(lambda: world.store.failed)
        await harness.drained(world.end(), world.end(job_id="b"))
    assert world.store.failed == {"a": "thinning_failed"}
    assert list(world.store.completed) == ["b"]


async def test_a_store_that_goes_while_clues_are_reduced_is_no_broken_reduction(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = asyncio.Event()

    async def gone(store: FakeStore, job_id: str, *_: object, **__: object) -> None:
        asked.set()
        raise LinkClosed("the store is gone")

    monkeypatch.setattr(FakeStore, "publish", gone)
    monkeypatch.setattr(FakeStore, "fail", gone)
    async with world.open() as harness:
        await harness.claim(world.job(grid=EMPTY, sampling=THINNED, max_solutions=3))
        harness.runner.on_events([found(0)])
        await asked.wait()
        await asyncio.sleep(0)
    gc.collect()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
    assert Abort("a") not in harness.sent
