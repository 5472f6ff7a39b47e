import asyncio
from collections.abc import AsyncGenerator

import pytest

from gram_server.answers import SolveResponse
from gram_server.api.dispatch import KEEP_ALIVE, with_heartbeat
from gram_server.api.schemas import ProblemDocument
from tests.server.api.conftest import OpenService, Service, events_of

pytestmark = pytest.mark.anyio

PUZZLE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
STREAM = {"Accept": "text/event-stream"}


async def test_a_stream_tells_acceptance_solutions_and_the_whole_answer(service: Service) -> None:
    response = await service.solve("." * 16, params={"width": 3, "seed": 5}, headers=STREAM)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/event-stream")
    events = events_of(response.text)
    assert [event[:2] for event in events] == [
        (1, "accepted"),
        (2, "solution"),
        (3, "solution"),
        (4, "solution"),
        (5, "done"),
    ]
    answer = SolveResponse.model_validate(events[-1][2])
    told = [data["answer"] for _, kind, data in events if kind == "solution"]
    assert told == [solution.answer for solution in answer.solutions]
    assert answer.seed == 5


async def test_acceptance_tells_what_will_be_done(service: Service) -> None:
    response = await service.solve(PUZZLE, params={"width": 3, "seed": 5}, headers=STREAM)
    accepted = events_of(response.text)[0][2]
    assert accepted["id"] == service.worker.jobs[0].id
    assert (accepted["width"], accepted["seed"], accepted["model"]) == (3, 5, "sudoku-9x9")


@pytest.mark.slow
async def test_a_stream_cut_short_ends_with_what_was_found(service: Service) -> None:
    service.worker.is_held = True
    response = await service.solve(PUZZLE, params={"deadline_ms": 20}, headers=STREAM)
    events = events_of(response.text)
    assert [kind for _, kind, _ in events] == ["accepted", "solution", "done"]
    assert SolveResponse.model_validate(events[-1][2]).status == "partial"
    assert KEEP_ALIVE.decode() in response.text


async def test_a_failure_in_a_stream_is_a_problem_event(service: Service) -> None:
    service.worker.is_held = True
    solving = asyncio.create_task(service.solve(PUZZLE, headers=STREAM))
    await service.until_taken()
    await service.worker.side.fail(service.worker.jobs[0].id, code="x", detail="rows failed")
    response = await solving
    kind, data = events_of(response.text)[-1][1:]
    assert kind == "error"
    problem = ProblemDocument.model_validate(data)
    assert (problem.code, problem.detail) == ("job_failed", "x: rows failed")
    assert problem.request_id == response.headers["X-Request-ID"]


async def test_a_refusal_comes_before_the_stream_starts(open_service: OpenService) -> None:
    async with open_service(max_trajectories=64) as service:
        service.worker.is_held = True
        filling = asyncio.create_task(service.solve(PUZZLE, params={"width": 64}))
        await service.until_taken()
        response = await service.solve(PUZZLE, headers=STREAM)
        assert (response.status_code, response.json()["code"]) == (429, "queue_full")
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)


async def test_silence_is_filled_with_comments() -> None:
    is_heard = asyncio.Event()

    async def slow() -> AsyncGenerator[bytes]:
        yield b"first"
        await is_heard.wait()
        yield b"second"

    chunks = []
    async for chunk in with_heartbeat(slow(), 0.01):
        chunks.append(chunk)
        if chunks.count(KEEP_ALIVE) == 2:
            is_heard.set()
    assert chunks[:3] == [b"first", KEEP_ALIVE, KEEP_ALIVE]
    assert chunks[-1] == b"second"


async def test_leaving_a_quiet_stream_closes_its_source() -> None:
    is_closed = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes]:
        try:
            yield b"first"
            await asyncio.Event().wait()
        finally:
            is_closed.set()

    async def read() -> None:
        async for _ in with_heartbeat(endless(), 60.0):
            pass

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.01)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert is_closed.is_set()
