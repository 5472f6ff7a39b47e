"""Jobs that generate boards, from the engine's finds to the store."""

import time
from dataclasses import replace
from typing import Any

import pytest

from gram_core.puzzles import family
from gram_server.engine import FoundSolution
from gram_server.job import JobState, Sampling
from gram_server.worker.claimed_job import ClaimedJob
from gram_server.worker.engine_loop import Abort
from gram_server.worker.job_results import reduce_clues
from gram_server.worker.search_pool import SearchPool
from tests.server.worker.harness import FakeStore, MakeEnd, MakeJob, MakeModel, open_harness

pytestmark = pytest.mark.anyio

EMPTY = "." * 16
GRIDS = ("1234341221434321", "1234341243212143", "2143432112343412")
THINNED = Sampling(is_thinned=True)


def found(number: int, trajectory: int | None = None) -> FoundSolution:
    sudoku = family("sudoku")
    return FoundSolution(
        job_id="a",
        tokens=sudoku.encode(sudoku.parse({"grid": GRIDS[number]})).tokens,
        votes=1,
        value=0.75,
        trajectory=number if trajectory is None else trajectory,
        step=2,
        ms_since_admission=12.34567,
    )


def take(
    make_job: MakeJob, guessing_model: MakeModel, sampling: Sampling, **options: Any
) -> ClaimedJob:
    info = guessing_model("sudoku-4x4").info
    job = make_job(grid=EMPTY, sampling=sampling, **{"max_solutions": 3, **options})
    return ClaimedJob.parse(job, {info.name: info}, now_s=1_000.5)


def test_the_engine_takes_boards_by_trajectory(
    make_job: MakeJob, guessing_model: MakeModel
) -> None:
    boards = take(make_job, guessing_model, Sampling(is_distinct=False)).engine_job(
        clock_offset_s=0.0
    )
    assert (boards.order, boards.distinct, boards.max_solutions) == ("trajectory", False, 3)


def test_a_result_has_exactly_the_shape_that_the_interface_promises(
    make_job: MakeJob, make_end: MakeEnd, guessing_model: MakeModel
) -> None:
    claimed = take(make_job, guessing_model, Sampling(), width=40)
    finds = (found(0), found(1), found(2, 9))
    claimed.boards += [claimed.board(find, None) for find in finds]
    end = make_end(solutions=finds, valid_trajectories=4, ended_trajectories=10)
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
    make_job: MakeJob,
    make_end: MakeEnd,
    guessing_model: MakeModel,
    outcome: str,
    num_boards: int,
    status: str,
) -> None:
    claimed = take(make_job, guessing_model, Sampling())
    finds = tuple(found(number) for number in range(num_boards))
    claimed.boards += [claimed.board(find, None) for find in finds]
    end = make_end(outcome, solutions=finds)
    assert claimed.generate_response(end).status == status


def test_boards_that_are_not_distinct_are_counted_once(
    make_job: MakeJob, make_end: MakeEnd, guessing_model: MakeModel
) -> None:
    claimed = take(make_job, guessing_model, Sampling(is_distinct=False))
    finds = (found(0, 1), found(0, 2), found(1, 5))
    end = make_end(solutions=finds, valid_trajectories=3)
    result = claimed.generate_response(end)
    assert (result.distinct, result.uniqueness) == (2, 0.666667)


def test_nothing_is_divided_by_nothing(
    make_job: MakeJob, make_end: MakeEnd, guessing_model: MakeModel
) -> None:
    claimed = take(make_job, guessing_model, Sampling())
    result = claimed.generate_response(make_end(ended_trajectories=0))
    assert (result.validity, result.uniqueness) == (None, None)


@pytest.mark.slow
async def test_a_thinned_board_is_fixed_by_seed_and_trajectory(
    make_job: MakeJob, guessing_model: MakeModel
) -> None:
    pool = SearchPool()

    async def puzzle(trajectory: int, seed: int) -> object:
        claimed = take(make_job, guessing_model, THINNED, seed=seed)
        tokens = await reduce_clues(pool, claimed, found(0, trajectory))
        assert tokens is not None
        return claimed.board(found(0), tokens).puzzle

    try:
        assert await puzzle(1, 7) == await puzzle(1, 7)
        pairs = [(trajectory, seed) for trajectory in range(3) for seed in range(3)]
        assert len({await puzzle(*pair) for pair in pairs}) > 5
    finally:
        await pool.close()


async def test_puzzles_are_told_in_the_order_of_their_boards(
    store: FakeStore, make_job: MakeJob, make_end: MakeEnd, guessing_model: MakeModel
) -> None:
    async with open_harness(store, guessing_model) as harness:
        await harness.claim(make_job(grid=EMPTY, sampling=THINNED, max_solutions=3))
        finds = tuple(found(number) for number in range(3))
        harness.runner.on_events([*finds, make_end(solutions=finds)])
        harness.runner.drain()
        await harness.running
    result, outcome = store.completed["a"]
    assert outcome is JobState.DONE
    assert [event.data for _, event in store.published] == result["boards"]
    assert [made["answer"] for made in result["boards"]] == list(GRIDS)
    sudoku = family("sudoku")
    for made in result["boards"]:
        grid = sudoku.parse({"grid": made["puzzle"]})
        answers = [sudoku.decode(grid, tokens) for tokens in sudoku.enumerate(grid, limit=2)]
        assert answers == [made["answer"]]


async def test_boards_that_no_time_is_left_for_are_left_out(
    store: FakeStore, make_job: MakeJob, make_end: MakeEnd, guessing_model: MakeModel
) -> None:
    async with open_harness(store, guessing_model) as harness:
        job = make_job(grid=EMPTY, sampling=THINNED, max_solutions=3, deadline_s=time.time() - 1.0)
        await harness.claim(job)
        finds = tuple(found(number) for number in range(3))
        harness.runner.on_events([*finds, make_end(solutions=finds)])
        harness.runner.drain()
        await harness.running
    result, outcome = store.completed["a"]
    assert (outcome, result["status"], result["boards"]) == (JobState.EXPIRED, "partial", [])


async def test_nobody_thins_for_a_cancelled_job(
    store: FakeStore, make_job: MakeJob, make_end: MakeEnd, guessing_model: MakeModel
) -> None:
    async with open_harness(store, guessing_model) as harness:
        await harness.claim(make_job(grid=EMPTY, sampling=THINNED, max_solutions=3))
        store.cancelled.put_nowait("a")
        await harness.until(lambda: Abort("a") in harness.sent)
        finds = tuple(found(number) for number in range(3))
        harness.runner.on_events([*finds, make_end("cancelled")])
        harness.runner.drain()
        await harness.running
    assert (store.published, store.completed, store.failed) == ([], {}, {})


async def test_a_thinning_that_breaks_fails_the_job_and_no_other(
    store: FakeStore,
    make_job: MakeJob,
    make_end: MakeEnd,
    guessing_model: MakeModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(pool: SearchPool, claimed: ClaimedJob, find: FoundSolution) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr("gram_server.worker.job_results.reduce_clues", broken)
    async with open_harness(store, guessing_model) as harness:
        await harness.claim(make_job(grid=EMPTY, sampling=THINNED, max_solutions=3))
        await harness.claim(make_job("b"))
        harness.runner.on_events([found(0), found(1)])
        await harness.until(lambda: store.failed)
        end = make_end()
        harness.runner.on_events([end, replace(end, job_id="b")])
        harness.runner.drain()
        await harness.running
    assert store.failed == {"a": "thinning_failed"}
    assert list(store.completed) == ["b"]
