import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gram_server.engine import Progress, TrajectoryView
from gram_server.errors import LinkClosed
from gram_server.job import Job, JobState, WorkerState
from gram_server.jobs.memory_store import MemoryStore
from gram_server.settings import QueueConfig
from gram_server.worker.engine_loop import Abort, Submit
from gram_server.worker.intake import FULL_LOOK_S, MAX_HELD_JOBS, MAX_SHARING_JOBS
from tests.server.worker.office import open_office

SOLVED = "1234341221434321"


def test_a_claimed_job_goes_to_the_engine_of_its_model(
    store: Any, make_job: Any, guessing_model: Any
) -> None:
    async def scenario() -> None:
        async with open_office(store, guessing_model) as office:
            await office.claim(make_job())
            [message] = office.sent
            assert isinstance(message, Submit)
            assert (message.model, message.job.id) == ("sudoku-4x4", "a")

    asyncio.run(scenario())


def test_a_job_that_cannot_be_worked_on_fails_with_the_reason(
    store: Any, make_job: Any, guessing_model: Any
) -> None:
    async def scenario() -> None:
        async with open_office(store, guessing_model) as office:
            store.jobs.put_nowait(make_job(model="unknown"))
            await office.until(lambda: store.failed)
            assert (store.failed, office.sent) == ({"a": "model_unknown"}, [])

    asyncio.run(scenario())


def test_solutions_are_told_before_the_end_and_only_once(
    store: Any, make_job: Any, make_end: Any, solved: Any, guessing_model: Any
) -> None:
    async def scenario() -> None:
        async with open_office(store, guessing_model) as office:
            await office.claim(make_job())
            office.desk.put([solved, make_end(grids=[(SOLVED, 2)])])
            await office.until(lambda: store.completed)
            assert [(job_id, event.kind) for job_id, event in store.published] == [
                ("a", "solution")
            ]
            result, outcome = store.completed["a"]
            assert (result["status"], outcome) == ("solved", JobState.DONE)

    asyncio.run(scenario())


@pytest.mark.parametrize("outcome", ["expired", "failed", "cancelled"])
def test_every_other_end_is_told_in_its_own_way(
    store: Any, make_job: Any, make_end: Any, guessing_model: Any, outcome: str
) -> None:
    async def scenario() -> None:
        async with open_office(store, guessing_model) as office:
            await office.claim(make_job())
            office.desk.put([make_end(outcome)])
            office.desk.drain()
            await office.running
            told = {job_id: state for job_id, (_, state) in store.completed.items()}
            assert told == ({"a": JobState.EXPIRED} if outcome == "expired" else {})
            assert store.failed == ({"a": "engine_failure"} if outcome == "failed" else {})
            assert store.handed_back == []

    asyncio.run(scenario())


def test_a_fallback_is_searched_for_before_the_job_ends(
    store: Any, make_job: Any, make_end: Any, guessing_model: Any
) -> None:
    async def scenario() -> None:
        async with open_office(store, guessing_model) as office:
            await office.claim(make_job(fallback="exact", count="exact"))
            office.desk.put([make_end()])
            await office.until(lambda: store.completed)
            [(_, event)] = store.published
            assert (event.data["source"], event.data["answer"]) == ("exact", SOLVED)
            result, _ = store.completed["a"]
            assert (result["status"], result["completeness"]["total"]) == ("solved", 1)

    asyncio.run(scenario())


def test_a_cancelled_job_is_aborted(store: Any, make_job: Any, guessing_model: Any) -> None:
    async def scenario() -> None:
        async with open_office(store, guessing_model) as office:
            await office.claim(make_job())
            store.cancelled.put_nowait("a")
            await office.until(lambda: len(office.sent) == 2)
            assert office.sent[1] == Abort("a")

    asyncio.run(scenario())


def test_a_draining_desk_claims_no_more_and_ends_when_its_jobs_are_done(
    store: Any, make_job: Any, make_end: Any, guessing_model: Any
) -> None:
    async def scenario() -> None:
        async with open_office(store, guessing_model) as office:
            await office.claim(make_job("a"))
            office.desk.drain()
            await office.until(lambda: store.reports[-1].state is WorkerState.DRAINING)
            store.jobs.put_nowait(make_job("b"))
            await asyncio.sleep(0.02)
            assert not office.running.done()
            office.desk.put([make_end(grids=[(SOLVED, 1)])])
            await office.running
            assert (list(store.completed), store.handed_back) == (["a"], [])
            assert store.jobs.qsize() == 1

    asyncio.run(scenario())


def test_jobs_that_outlast_the_drain_are_handed_back(
    store: Any, make_job: Any, guessing_model: Any
) -> None:
    async def scenario() -> None:
        async with open_office(store, guessing_model, drain_s=0.05) as office:
            await office.claim(make_job("a"))
            await office.claim(make_job("b"))
            office.desk.drain()
            await office.running
            assert store.handed_back == ["a", "b"]

    asyncio.run(scenario())


def test_a_second_order_to_drain_hands_everything_back_at_once(
    store: Any, make_job: Any, guessing_model: Any
) -> None:
    async def scenario() -> None:
        async with open_office(store, guessing_model, drain_s=60.0) as office:
            await office.claim(make_job())
            office.desk.drain()
            await asyncio.sleep(0.01)
            assert not office.running.done()
            office.desk.drain()
            await asyncio.wait_for(office.running, 30.0)
            assert store.handed_back == ["a"]

    asyncio.run(scenario())


def test_a_full_desk_is_drained_wherever_it_waits(
    store: Any, make_job: Any, make_end: Any, guessing_model: Any
) -> None:
    async def scenario(delay_s: float) -> None:
        rooms = iter([1])
        async with open_office(
            store, guessing_model, drain_s=60.0, room=lambda: next(rooms, 0)
        ) as office:
            await office.claim(make_job())
            await asyncio.sleep(FULL_LOOK_S + delay_s)
            office.desk.drain()
            office.desk.put([make_end(grids=[(SOLVED, 1)])])
            async with asyncio.timeout(5.0):
                await asyncio.shield(office.running)
            assert list(store.completed) == ["a"]

    async def scenarios() -> None:
        for number in range(20):
            store.completed.clear()
            await scenario(number * FULL_LOOK_S / 20)

    asyncio.run(scenarios())


def test_a_lost_store_ends_the_desk(store: Any, guessing_model: Any) -> None:
    async def scenario() -> None:
        store.is_lost = True
        async with open_office(store, guessing_model) as office:
            with pytest.raises(LinkClosed):
                await asyncio.wait_for(asyncio.shield(office.running), 60.0)

    asyncio.run(scenario())


def _look(step: int, answer: np.ndarray) -> Progress:
    sight = TrajectoryView(trajectory=2, step=step, state="running", answer=answer, view=None)
    return Progress(job_id="a", step=step, live=3, solved=1, trajectories=(sight,))


def test_a_look_at_trajectories_is_told_in_the_posted_form(
    store: Any, make_job: Any, guessing_model: Any, wrong_answer: np.ndarray
) -> None:
    async def scenario() -> None:
        async with open_office(store, guessing_model) as office:
            await office.claim(make_job(decodes=4))
            assert office.sent[0].job.num_shown == 4  # type: ignore[union-attr]
            office.desk.put([_look(5, wrong_answer)])
            await office.until(lambda: store.published)
            [(job_id, event)] = store.published
            assert (job_id, event.kind, event.is_passing) == ("a", "progress", True)
            shown = {"trajectory": 2, "step": 5, "answer": "1" * 16, "state": "running"}
            assert event.data == {"step": 5, "live": 3, "solved": 1, "trajectories": [shown]}

    asyncio.run(scenario())


def test_a_slow_store_hears_the_newest_look_only(
    store: Any, make_job: Any, make_end: Any, guessing_model: Any, wrong_answer: np.ndarray
) -> None:
    async def scenario() -> None:
        async with open_office(store, guessing_model) as office:
            await office.claim(make_job(decodes=4))
            office.desk.put([_look(step, wrong_answer) for step in range(1, 50)])
            office.desk.put([make_end(grids=[(SOLVED, 1)])])
            await office.until(lambda: store.completed)
            assert [event.data["step"] for _, event in store.published] == [49]

    asyncio.run(scenario())


def test_a_worker_with_room_takes_what_fills_it_and_one_without_leaves_jobs_to_others(
    store: Any, make_job: Any, guessing_model: Any
) -> None:
    async def scenario() -> None:
        room = 64
        async with open_office(store, guessing_model, room=lambda: room) as office:
            await office.until(lambda: store.claims)
            assert store.claims == [(MAX_HELD_JOBS, 64, True)]
            room = 0
            await office.claim(make_job("a"))
            await office.until(lambda: len(store.claims) > 3)
            # It looks now and then whether there is one that nobody else had room for.
            assert set(store.claims[1:]) == {(1, None, False)}
            await office.claim(make_job("b"))
            room = 5
            await office.until(lambda: store.claims[-1][2])
            assert store.claims[-1] == (MAX_HELD_JOBS - 2, 5, True)

    asyncio.run(scenario())


@pytest.mark.parametrize(("room", "limit"), [(0, MAX_SHARING_JOBS), (None, MAX_HELD_JOBS)])
def test_any_number_of_low_jobs_keeps_no_higher_one_and_none_of_another_model_from_the_engine(
    make_job: Any, guessing_model: Any, room: int | None, limit: int
) -> None:
    def other(job: Job) -> Job:
        puzzle = {"puzzle": "sudoku", "grid": "." * 36}
        return replace(job, model="sudoku-6x6", task="sudoku-6x6", body=puzzle)

    async def scenario() -> None:
        store = MemoryStore(QueueConfig())
        for number in range(limit + 5):
            await store.submit(replace(make_job(f"low {number}", width=1), priority=2))
        async with open_office(
            store.connect("w"),
            guessing_model,
            room=lambda: room,
            tasks=("sudoku-4x4", "sudoku-6x6"),
        ) as office:
            await office.until(lambda: len(office.sent) == limit)
            await store.submit(make_job("normal", width=1))
            await store.submit(replace(make_job("high", width=1), priority=0))
            await store.submit(replace(other(make_job("other", width=1)), priority=2))
            await office.until(lambda: len(office.sent) == limit + 3)
            await asyncio.sleep(5 * FULL_LOOK_S)
            later = office.sent[limit:]
            begun = {message.job.id for message in later if isinstance(message, Submit)}
            assert begun == {"normal", "high", "other"}
        await store.close()

    asyncio.run(scenario())


def test_a_job_that_is_cancelled_while_another_is_refused_is_aborted_after_it_was_begun(
    store: Any, make_job: Any, guessing_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        refused = asyncio.Event()

        async def fail(_: Any, job_id: str, *, code: str, detail: str) -> None:
            store.cancelled.put_nowait("b")
            await refused.wait()

        async def claim(_: Any, **__: Any) -> list[Any]:
            if store.claims:
                await asyncio.Event().wait()
            store.claims.append((0, None, True))
            return [make_job("a", model="unknown"), make_job("b")]

        monkeypatch.setattr(type(store), "fail", fail)
        monkeypatch.setattr(type(store), "claim", claim)
        async with open_office(store, guessing_model) as office:
            await office.until(lambda: len(office.sent) == 2)
            assert [type(message) for message in office.sent] == [Submit, Abort]
            refused.set()

    asyncio.run(scenario())


def test_a_desk_asks_for_jobs_of_its_models_only(
    store: Any, make_job: Any, guessing_model: Any
) -> None:
    async def scenario() -> None:
        async with open_office(store, guessing_model) as office:
            await office.until(lambda: store.models is not None)
            info = guessing_model("sudoku-4x4").info
            assert set(store.models) == {info.name, info.id}
            await office.claim(replace(make_job("pinned"), fingerprint=info.fingerprint))
            store.jobs.put_nowait(replace(make_job("other"), fingerprint="0123abcd"))
            await office.until(lambda: store.failed)
            assert store.failed == {"other": "model_unknown"}
            assert len(office.sent) == 1

    asyncio.run(scenario())
