"""Jobs that make up boards, from the engine's finds to the store."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gram_core.puzzles import family
from gram_server.engine import FoundSolution
from gram_server.job import JobState, Sampling, WorkerReport, WorkerState
from gram_server.worker import desk as desk_module
from gram_server.worker.assignment import Assignment
from gram_server.worker.boards import board, boards_result, thinned
from gram_server.worker.desk import Desk
from gram_server.worker.engine_loop import Abort
from gram_server.worker.exact import thin
from gram_server.worker.search_pool import SearchPool

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


def take(make_job: Any, guessing_model: Any, sampling: Sampling, **options: Any) -> Assignment:
    info = guessing_model("sudoku-4x4").info
    job = make_job(grid=EMPTY, sampling=sampling, **{"max_solutions": 3, **options})
    return Assignment.take(job, {info.name: info}, now_s=1_000.5)


def test_the_engine_takes_boards_by_trajectory(make_job: Any, guessing_model: Any) -> None:
    boards = take(make_job, guessing_model, Sampling(is_distinct=False)).engine_job(
        clock_offset_s=0.0
    )
    assert (boards.order, boards.distinct, boards.max_solutions) == ("trajectory", False, 3)


def test_a_result_has_exactly_the_shape_that_the_interface_promises(
    make_job: Any, make_end: Any, guessing_model: Any
) -> None:
    assignment = take(make_job, guessing_model, Sampling(), width=40)
    finds = (found(0), found(1), found(2, 9))
    assignment.boards += [board(assignment, find, None) for find in finds]
    end = make_end(solutions=finds, valid_trajectories=4, ended_trajectories=10)
    answer = boards_result(assignment, end)
    assert [made.answer for made in answer.boards] == list(GRIDS)
    assert [made.trajectory for made in answer.boards] == [0, 1, 9]
    assert (answer.status, answer.count, answer.max_trajectories) == ("complete", 3, 40)
    assert (answer.validity, answer.uniqueness) == (0.4, 0.75)


@pytest.mark.parametrize(
    ("outcome", "num_boards", "status"),
    [("done", 3, "complete"), ("done", 2, "exhausted"), ("expired", 2, "partial")],
)
def test_a_status_says_why_there_are_no_more_boards(
    make_job: Any, make_end: Any, guessing_model: Any, outcome: str, num_boards: int, status: str
) -> None:
    assignment = take(make_job, guessing_model, Sampling())
    finds = tuple(found(number) for number in range(num_boards))
    assignment.boards += [board(assignment, find, None) for find in finds]
    end = make_end(outcome, solutions=finds)
    assert boards_result(assignment, end).status == status


def test_boards_that_are_not_distinct_are_counted_once(
    make_job: Any, make_end: Any, guessing_model: Any
) -> None:
    assignment = take(make_job, guessing_model, Sampling(is_distinct=False))
    finds = (found(0, 1), found(0, 2), found(1, 5))
    end = make_end(solutions=finds, valid_trajectories=3)
    result = boards_result(assignment, end)
    assert (result.distinct, result.uniqueness) == (2, 0.666667)


def test_nothing_is_divided_by_nothing(make_job: Any, make_end: Any, guessing_model: Any) -> None:
    assignment = take(make_job, guessing_model, Sampling())
    result = boards_result(assignment, make_end(ended_trajectories=0))
    assert (result.validity, result.uniqueness) == (None, None)


def test_a_thinned_board_is_fixed_by_seed_and_trajectory(
    make_job: Any, guessing_model: Any
) -> None:
    async def scenario() -> None:
        pool = SearchPool()

        async def puzzle(trajectory: int, seed: int) -> object:
            assignment = take(make_job, guessing_model, THINNED, seed=seed)
            tokens = await thin(pool, assignment, found(0, trajectory))
            assert tokens is not None
            return thinned(assignment, tokens).puzzle

        try:
            assert await puzzle(1, 7) == await puzzle(1, 7)
            pairs = [(trajectory, seed) for trajectory in range(3) for seed in range(3)]
            assert len({await puzzle(*pair) for pair in pairs}) > 5
        finally:
            await pool.close()

    asyncio.run(scenario())


class Office:
    """A desk that has claimed one job that makes up puzzles."""

    def __init__(self, store: Any, guessing_model: Any) -> None:
        self.store = store
        self.sent: list[Any] = []
        self.desk = Desk(
            store,
            [guessing_model("sudoku-4x4").info],
            send=self.sent.append,
            report=lambda state: WorkerReport(worker="w", state=WorkerState(state)),
            drain_s=5.0,
        )

    async def open(self, job: Any) -> "asyncio.Task[None]":
        running = asyncio.create_task(self.desk.run())
        self.store.jobs.put_nowait(job)
        await self.until(lambda: self.sent)
        return running

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(60.0):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.001)

    async def close(self, running: "asyncio.Task[None]") -> None:
        self.desk.drain()
        await asyncio.wait_for(running, 60.0)


def test_puzzles_are_told_in_the_order_of_their_boards(
    store: Any, make_job: Any, make_end: Any, guessing_model: Any
) -> None:
    async def scenario() -> None:
        office = Office(store, guessing_model)
        running = await office.open(make_job(grid=EMPTY, sampling=THINNED, max_solutions=3))
        finds = tuple(found(number) for number in range(3))
        office.desk.put([*finds, make_end(solutions=finds)])
        await office.close(running)

    asyncio.run(scenario())
    result, outcome = store.completed["a"]
    assert outcome is JobState.DONE
    assert [event.data for _, event in store.published] == result["boards"]
    assert [made["answer"] for made in result["boards"]] == list(GRIDS)
    sudoku = family("sudoku")
    for made in result["boards"]:
        grid = sudoku.parse({"grid": made["puzzle"]})
        answers = [sudoku.decode(grid, tokens) for tokens in sudoku.enumerate(grid, limit=2)]
        assert answers == [made["answer"]]


def test_boards_that_no_time_is_left_for_are_left_out(
    store: Any, make_job: Any, make_end: Any, guessing_model: Any
) -> None:
    async def scenario() -> None:
        office = Office(store, guessing_model)
        job = make_job(grid=EMPTY, sampling=THINNED, max_solutions=3, deadline_s=time.time() - 1.0)
        running = await office.open(job)
        finds = tuple(found(number) for number in range(3))
        office.desk.put([*finds, make_end(solutions=finds)])
        await office.close(running)

    asyncio.run(scenario())
    result, outcome = store.completed["a"]
    assert (outcome, result["status"], result["boards"]) == (JobState.EXPIRED, "partial", [])


def test_nobody_thins_for_a_cancelled_job(
    store: Any, make_job: Any, make_end: Any, guessing_model: Any
) -> None:
    async def scenario() -> None:
        office = Office(store, guessing_model)
        running = await office.open(make_job(grid=EMPTY, sampling=THINNED, max_solutions=3))
        store.cancelled.put_nowait("a")
        await office.until(lambda: Abort("a") in office.sent)
        finds = tuple(found(number) for number in range(3))
        office.desk.put([*finds, make_end("cancelled")])
        await office.close(running)

    asyncio.run(scenario())
    assert (store.published, store.completed, store.failed) == ([], {}, {})


def test_a_thinning_that_breaks_fails_the_job_and_no_other(
    store: Any,
    make_job: Any,
    make_end: Any,
    guessing_model: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(pool: SearchPool, assignment: Assignment, find: FoundSolution) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(desk_module, "thin", broken)

    async def scenario() -> None:
        office = Office(store, guessing_model)
        running = await office.open(make_job(grid=EMPTY, sampling=THINNED, max_solutions=3))
        store.jobs.put_nowait(make_job("b"))
        await office.until(lambda: len(office.sent) == 2)
        office.desk.put([found(0), found(1)])
        await office.until(lambda: store.failed)
        end = make_end()
        office.desk.put([end, replace(end, job_id="b")])
        await office.close(running)

    asyncio.run(scenario())
    assert store.failed == {"a": "thinning_failed"}
    assert list(store.completed) == ["b"]
