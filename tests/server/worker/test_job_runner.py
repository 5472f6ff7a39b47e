import asyncio
import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from gram_server.engine import FoundSolution, Progress, TrajectoryView
from gram_server.errors import LinkClosed
from gram_server.job import EXACT, Job, JobState, WorkerState
from gram_server.jobs.memory_store import MemoryStore
from gram_server.jobs.worker_rpc import MemoryWorker
from gram_server.settings import QueueConfig
from gram_server.worker.engine_loop import Abort, Submit
from gram_server.worker.job_runner import (
    BUSY_REPORT_S,
    FULL_POLL_S,
    MAX_HELD_JOBS,
    MAX_SHARING_JOBS,
)
from tests.processes import until
from tests.server.worker.harness import World

pytestmark = pytest.mark.anyio

SOLVED = "1234341221434321"


async def test_a_claimed_job_goes_to_the_engine_of_its_model(world: World) -> None:
    async with world.open() as harness:
        await harness.claim(world.job())
        [message] = harness.sent
        assert isinstance(message, Submit)
        assert (message.model, message.job.id) == ("sudoku-4x4", "a")


async def test_a_job_that_cannot_be_worked_on_fails_with_the_reason(world: World) -> None:
    async with world.open() as harness:
        world.store.jobs.put_nowait(world.job(model="unknown"))
        await until(lambda: world.store.failed)
        assert (world.store.failed, harness.sent) == ({"a": "model_unknown"}, [])


async def test_solutions_are_told_before_the_end_and_only_once(
    world: World, solved: FoundSolution
) -> None:
    async with world.open() as harness:
        await harness.claim(world.job())
        harness.runner.on_events([solved, world.end(grids=[(SOLVED, 2)])])
        await until(lambda: world.store.completed)
        assert [(job_id, event.kind) for job_id, event in world.store.published] == [
            ("a", "solution")
        ]
        result, outcome = world.store.completed["a"]
        assert (result["status"], outcome) == ("solved", JobState.DONE)


@pytest.mark.parametrize("outcome", ["expired", "failed", "cancelled"])
async def test_every_other_end_is_told_in_its_own_way(world: World, outcome: str) -> None:
    async with world.open() as harness:
        await harness.claim(world.job())
        await harness.drained(world.end(outcome))
        told = {job_id: state for job_id, (_, state) in world.store.completed.items()}
        assert told == ({"a": JobState.EXPIRED} if outcome == "expired" else {})
        assert world.store.failed == ({"a": "engine_failure"} if outcome == "failed" else {})
        assert world.store.handed_back == []


@pytest.mark.slow
async def test_a_fallback_is_searched_for_before_the_job_ends(world: World) -> None:
    async with world.open() as harness:
        await harness.claim(world.job(fallback="exact", count="exact"))
        harness.runner.on_events([world.end()])
        await until(lambda: world.store.completed)
        [(_, event)] = world.store.published
        assert (event.data["source"], event.data["answer"]) == ("exact", SOLVED)
        result, _ = world.store.completed["a"]
        assert (result["status"], result["completeness"]["total"]) == ("solved", 1)


async def test_a_cancelled_job_is_aborted(world: World) -> None:
    async with world.open() as harness:
        await harness.claim(world.job())
        world.store.cancelled.put_nowait("a")
        await until(lambda: len(harness.sent) == 2)
        assert harness.sent[1] == Abort("a")


async def test_jobs_in_close_succession_are_not_reported_each_by_itself(world: World) -> None:
    """A report holds every metric of the worker: after each small job it cost more than the job."""
    async with world.open() as harness:
        started_s = time.monotonic()
        for name in map(str, range(30)):
            await harness.claim(world.job(name))
            harness.runner.on_events([world.end(job_id=name)])
            await until(partial(world.store.completed.get, name))
        assert len(world.store.reports) <= 1 + (time.monotonic() - started_s) / BUSY_REPORT_S


@pytest.mark.slow
async def test_the_end_of_the_last_job_is_reported_soon(world: World) -> None:
    async with world.open() as harness:
        await harness.claim(world.job())
        await until(lambda: len(world.store.reports) == 2)
        harness.runner.on_events([world.end()])
        async with asyncio.timeout(2.5 * BUSY_REPORT_S):
            await until(lambda: len(world.store.reports) == 3)


async def test_a_draining_runner_claims_no_more_and_ends_when_its_jobs_are_done(
    world: World,
) -> None:
    async with world.open() as harness:
        await harness.claim(world.job("a"))
        harness.runner.drain()
        await until(lambda: world.store.reports[-1].state is WorkerState.DRAINING)
        world.store.jobs.put_nowait(world.job("b"))
        await asyncio.sleep(0.02)
        assert not harness.running.done()
        harness.runner.on_events([world.end(grids=[(SOLVED, 1)])])
        await harness.running
        assert (list(world.store.completed), world.store.handed_back) == (["a"], [])
        assert world.store.jobs.qsize() == 1


async def test_jobs_that_outlast_the_drain_are_handed_back(world: World) -> None:
    async with world.open(drain_s=0.05) as harness:
        await harness.claim(world.job("a"))
        await harness.claim(world.job("b"))
        harness.runner.drain()
        await harness.running
        assert world.store.handed_back == ["a", "b"]


async def test_a_second_order_to_drain_hands_everything_back_at_once(world: World) -> None:
    async with world.open(drain_s=60.0) as harness:
        await harness.claim(world.job())
        harness.runner.drain()
        await asyncio.sleep(0.01)
        assert not harness.running.done()
        harness.runner.drain()
        await asyncio.wait_for(harness.running, 30.0)
        assert world.store.handed_back == ["a"]


@pytest.mark.parametrize("part", [0.0, 0.25, 0.5, 0.75])
async def test_a_full_runner_is_drained_wherever_it_waits(world: World, part: float) -> None:
    free_slots = iter([1])
    async with world.open(drain_s=60.0, free_slots=lambda: next(free_slots, 0)) as harness:
        await harness.claim(world.job())
        await asyncio.sleep(FULL_POLL_S * (1 + part))
        harness.runner.drain()
        harness.runner.on_events([world.end(grids=[(SOLVED, 1)])])
        await asyncio.wait_for(asyncio.shield(harness.running), 30.0)
        assert list(world.store.completed) == ["a"]


async def test_a_lost_store_ends_the_runner(world: World) -> None:
    world.store.is_lost = True
    async with world.open() as harness:
        with pytest.raises(LinkClosed):
            await asyncio.wait_for(asyncio.shield(harness.running), 60.0)


def _look(step: int, answer: np.ndarray) -> Progress:
    sight = TrajectoryView(trajectory=2, step=step, state="running", answer=answer, view=None)
    return Progress(
        job_id="a", step=step, live=3, solved=1, solved_at=(0, 1), trajectories=(sight,)
    )


async def test_a_look_at_trajectories_is_told_in_the_posted_form(
    world: World, wrong_answer: np.ndarray
) -> None:
    async with world.open() as harness:
        await harness.claim(world.job(decodes=4))
        assert harness.sent[0].job.num_shown == 4  # type: ignore[union-attr]
        harness.runner.on_events([_look(5, wrong_answer)])
        await until(lambda: world.store.published)
        [(job_id, event)] = world.store.published
        assert (job_id, event.kind, event.is_passing) == ("a", "progress", True)
        shown = {"trajectory": 2, "step": 5, "answer": "1" * 16, "state": "running"}
        assert event.data == {
            "step": 5,
            "live": 3,
            "solved": 1,
            "solved_at": [0, 1],
            "trajectories": [shown],
        }


async def test_a_slow_store_hears_the_newest_look_only(
    world: World, wrong_answer: np.ndarray
) -> None:
    async with world.open() as harness:
        await harness.claim(world.job(decodes=4))
        harness.runner.on_events([_look(step, wrong_answer) for step in range(1, 50)])
        harness.runner.on_events([world.end(grids=[(SOLVED, 1)])])
        await until(lambda: world.store.completed)
        assert [event.data["step"] for _, event in world.store.published] == [49]


async def test_a_worker_with_room_takes_what_fills_it_and_one_without_leaves_jobs_to_others(
    world: World,
) -> None:
    room = 64
    async with world.open(free_slots=lambda: room) as harness:
        await until(lambda: world.store.claims)
        assert world.store.claims == [(MAX_HELD_JOBS, 64, True)]
        room = 0
        await harness.claim(world.job("a"))
        await until(lambda: len(world.store.claims) > 3)
        # It looks now and then whether there is one that nobody else had room for.
        assert set(world.store.claims[1:]) == {(1, None, False)}
        await harness.claim(world.job("b"))
        room = 5
        await until(lambda: world.store.claims[-1][2])
        assert world.store.claims[-1] == (MAX_HELD_JOBS - 2, 5, True)


@pytest.mark.parametrize(("free_slots", "limit"), [(0, MAX_SHARING_JOBS), (None, MAX_HELD_JOBS)])
async def test_any_number_of_low_jobs_keeps_no_higher_one_and_none_of_another_model_from_the_engine(
    world: World, free_slots: int | None, limit: int
) -> None:
    def other(job: Job) -> Job:
        puzzle = {"puzzle": "sudoku", "grid": "." * 36}
        return replace(job, model="sudoku-6x6", task="sudoku-6x6", body=puzzle)

    store = MemoryStore(QueueConfig())
    for number in range(limit + 5):
        await store.submit(replace(world.job(f"low {number}", width=1), priority=2))
    async with world.open(
        MemoryWorker(store, "w"),
        free_slots=lambda: free_slots,
        tasks=("sudoku-4x4", "sudoku-6x6"),
    ) as harness:
        await until(lambda: len(harness.sent) == limit)
        await store.submit(world.job("normal", width=1))
        await store.submit(replace(world.job("high", width=1), priority=0))
        await store.submit(replace(other(world.job("other", width=1)), priority=2))
        await until(lambda: len(harness.sent) == limit + 3)
        await asyncio.sleep(5 * FULL_POLL_S)
        later = harness.sent[limit:]
        begun = {message.job.id for message in later if isinstance(message, Submit)}
        assert begun == {"normal", "high", "other"}
    await store.close()


async def test_a_job_that_is_cancelled_while_another_is_refused_is_aborted_after_it_was_begun(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = asyncio.Event()

    async def fail(_: Any, job_id: str, *, code: str, detail: str) -> None:
        world.store.cancelled.put_nowait("b")
        await refused.wait()

    async def claim(_: Any, **__: Any) -> list[Any]:
        if world.store.claims:
            await asyncio.Event().wait()
        world.store.claims.append((0, None, True))
        return [world.job("a", model="unknown"), world.job("b")]

    monkeypatch.setattr(type(world.store), "fail", fail)
    monkeypatch.setattr(type(world.store), "claim", claim)
    async with world.open() as harness:
        await until(lambda: len(harness.sent) == 2)
        assert [type(message) for message in harness.sent] == [Submit, Abort]
        refused.set()


async def test_a_runner_asks_for_jobs_of_its_models_only(world: World) -> None:
    async with world.open() as harness:
        await until(lambda: world.store.models is not None)
        info = world.model("sudoku-4x4").info
        assert set(world.store.models or ()) == {info.name, info.id, EXACT.name}
        await harness.claim(replace(world.job("pinned"), fingerprint=info.fingerprint))
        world.store.jobs.put_nowait(replace(world.job("other"), fingerprint="0123abcd"))
        await until(lambda: world.store.failed)
        assert world.store.failed == {"other": "model_unknown"}
        assert len(harness.sent) == 1
