import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from gram_lab.bench.client import Form, Load, Target, offer
from gram_lab.bench.questions import Question

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

QUESTION = Question(task="sudoku-4x4", body={"puzzle": "sudoku", "grid": "1"}, width=4, seed=7)


def ask(
    handler: Handler, moments: list[float], *, timeout_s: float = 5.0, form: Form = "query"
) -> Load:
    """Offer a load to a server that answers as the handler does."""

    async def run() -> Load:
        app = web.Application()
        app.router.add_post("/solve", handler)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            return await offer(Target(url=url, timeout_s=timeout_s, form=form), [QUESTION], moments)
        finally:
            await runner.cleanup()

    return asyncio.run(run())


def answer() -> web.Response:
    return web.Response(text=json.dumps({"solutions": [{"answer": "1"}]}))


@pytest.mark.slow
def test_a_slow_server_does_not_slow_the_load_down_and_its_queue_is_measured() -> None:
    turn = asyncio.Lock()

    async def one_at_a_time(request: web.Request) -> web.Response:
        async with turn:
            await asyncio.sleep(0.05)
        return answer()

    records = ask(one_at_a_time, [0.0] * 10).records
    waits = sorted((record.first_s or 0.0) - record.scheduled_s for record in records)
    assert 0.05 <= waits[0] < waits[-1] / 2
    assert waits[-1] >= 0.5


def test_requests_are_sent_when_they_are_due() -> None:
    async def at_once(request: web.Request) -> web.Response:
        return answer()

    records = ask(at_once, [0.0, 1.0, 2.0]).records
    assert [record.sent_s for record in records] == pytest.approx([0.0, 1.0, 2.0], abs=0.45)
    assert [record.end for record in records] == ["solved"] * 3


@pytest.mark.parametrize("form", ["query", "body"])
def test_options_go_where_the_server_wants_them(form: Form) -> None:
    seen: list[tuple[dict[str, str], dict[str, object]]] = []

    async def note(request: web.Request) -> web.Response:
        seen.append((dict(request.query), await request.json()))
        return answer()

    ask(note, [0.0], form=form)
    options = {"width": 4, "seed": 7, "max_solutions": 1}
    if form == "query":
        assert seen == [({name: str(value) for name, value in options.items()}, QUESTION.body)]
    else:
        assert seen == [({}, {**QUESTION.body, **options})]


def test_the_first_solution_of_a_stream_is_timed_when_it_comes() -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"event: accepted\ndata: {}\n\nevent: solution\ndata: {}\n\n")
        await asyncio.sleep(0.3)
        await response.write(b"event: done\ndata: {}\n\n")
        return response

    (record,) = ask(stream, [0.0]).records
    assert record.end == "solved"
    assert record.first_s is not None
    assert record.end_s - record.first_s >= 0.25


def test_a_stream_that_breaks_off_is_a_failure() -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"event: accepted\ndata: {}\n\n")
        return response

    assert ask(broken, [0.0]).records[0].end == "failed"


@pytest.mark.parametrize(
    ("status", "end"), [(429, "refused"), (503, "refused"), (500, "failed"), (422, "failed")]
)
def test_every_status_has_its_end(status: int, end: str) -> None:
    async def say(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Retry-After": "3"})

    (record,) = ask(say, [0.0]).records
    assert (record.status, record.end) == (status, end)
    assert record.retry_after_s == (3.0 if end == "refused" else None)


@pytest.mark.slow
def test_a_client_out_of_patience_counts_the_request_as_late() -> None:
    async def never(request: web.Request) -> web.Response:
        await asyncio.sleep(2.0)
        return answer()

    assert ask(never, [0.0], timeout_s=0.2).records[0].end == "late"
