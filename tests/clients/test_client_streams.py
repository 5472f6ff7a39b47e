"""Streams of typed events over real HTTP: whole, broken, taken up again, and not understood."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

import gram_client
from gram_client import Accepted, AnyEvent, AsyncClient, Client, Done, Found, PartEnded, Progress
from tests.clients.scripted import PUZZLE, RESULT, Caller, Reply, ScriptedServer, stream

ACCEPTED = {"id": "job-1", "puzzle": "sudoku", "model": "m", "width": 4, "depth": 8, "seed": 7}
LOOK = {
    "step": 2,
    "live": 3,
    "solved": 1,
    "trajectories": [{"trajectory": 0, "step": 2, "answer": PUZZLE, "state": "running"}],
}


def found(answer: str) -> dict[str, object]:
    first = {"trajectory": 1, "step": 2, "ms": 3.5}
    return {"answer": answer, "votes": 1, "source": "model", "value": 0.5, "first": first}


def test_a_solve_is_told_as_typed_events(call: Caller) -> None:
    call.say(
        stream(
            (1, "accepted", ACCEPTED),
            (4, "progress", LOOK),
            (5, "solution", found("1234341221434321")),
            (6, "done", RESULT),
        )
    )
    events = call("solve_stream", PUZZLE, width=4, show_trajectories=1)
    assert [type(event) for event in events] == [Accepted, Progress, Found, Done]
    assert [event.id for event in events] == [1, 4, 5, 6]
    assert (events[0].job_id, events[0].seed) == ("job-1", 7)
    assert (events[1].live, events[1].trajectories[0].answer) == (3, PUZZLE)
    assert events[2].solution.grid == [[1, 2, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]]
    assert events[3].result.is_solved
    (received,) = call.received
    assert received.headers["Accept"] == "text/event-stream"
    assert {"width": "4", "show_trajectories": "1"}.items() <= received.params.items()


@pytest.mark.parametrize("size", [1, 3, 50])
def test_events_are_read_whole_however_their_bytes_arrive(size: int) -> None:
    reply = stream((1, "accepted", ACCEPTED), (2, "solution", found("\u00e9")), (3, "done", RESULT))
    chunks = [reply.content[at : at + size] for at in range(0, len(reply.content), size)]

    async def arriving() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def read() -> list[AnyEvent]:
        answer = httpx.Response(200, headers=reply.headers, content=arriving())
        mine = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: answer))
        async with AsyncClient(http_client=mine) as client:
            return [event async for event in client.solve_stream(PUZZLE)]

    answer = httpx.Response(200, headers=reply.headers, content=iter(chunks))
    mine = httpx.Client(transport=httpx.MockTransport(lambda request: answer))
    with Client(http_client=mine) as client:
        events = list(client.solve_stream(PUZZLE))
    assert [event.id for event in events] == [1, 2, 3]
    assert events == asyncio.run(read())


def test_a_broken_solve_is_asked_for_again_and_nothing_is_told_twice(call: Caller) -> None:
    beginning = ((1, "accepted", ACCEPTED), (2, "solution", found("a" * 16)))
    call.say(
        stream(*beginning, is_cut=True),
        stream(*beginning, (3, "solution", found("b" * 16)), (4, "done", RESULT)),
    )
    events = call("solve_stream", PUZZLE)
    assert [type(event) for event in events] == [Accepted, Found, Found, Done]
    assert [event.solution.answer[0] for event in events[1:3]] == ["a", "b"]
    first, second = call.received
    # The seed makes it the same work.
    assert first.params == second.params
    assert len(call.slept_s) == 1


def test_broken_events_of_a_job_go_on_after_the_last_one_known(call: Caller) -> None:
    call.say(
        stream((1, "accepted", ACCEPTED), (7, "progress", LOOK), is_cut=True),
        stream((8, "solution", found("a" * 16)), (9, "done", RESULT)),
    )
    events = call("jobs.events", "job-1", after=0)
    assert [event.id for event in events] == [1, 7, 8, 9]
    first, second = call.received
    assert (first.path, second.path) == ("/jobs/job-1/events",) * 2
    assert "Last-Event-ID" not in first.headers
    assert second.headers["Last-Event-ID"] == "7"


def test_a_follower_starts_where_it_is_told(call: Caller) -> None:
    call.say(stream((9, "done", RESULT)))
    assert [event.id for event in call("jobs.events", "job-1", after=8)] == [9]
    assert call.received[0].headers["Last-Event-ID"] == "8"


def test_a_stream_with_nothing_more_to_tell_is_empty(call: Caller) -> None:
    call.say(Reply(status=204, body=b""))
    assert call("jobs.events", "job-1", after=9) == []


def test_a_batch_tells_of_its_parts(call: Caller) -> None:
    part = {"id": "part-1", "state": "done"}
    end = {"id": "job-1", "state": "done"}
    call.say(stream((1, "accepted", ACCEPTED), (2, "progress", part), (3, "done", end)))
    events = call("jobs.events", "job-1")
    assert isinstance(events[1], PartEnded)
    assert (events[1].job_id, events[1].state) == ("part-1", "done")
    assert events[2].result is None


def test_an_error_in_a_stream_is_raised_as_its_class(call: Caller) -> None:
    problem = {"status": 500, "code": "job_failed", "detail": "x: rows failed", "request_id": "r"}
    call.say(stream((1, "accepted", ACCEPTED), (1, "error", problem)))
    with pytest.raises(gram_client.ServerFailure, match="rows failed") as caught:
        call("solve_stream", PUZZLE)
    assert (caught.value.request_id, caught.value.status_code) == ("r", 500)
    assert len(call.received) == 1


def test_an_error_that_passes_is_waited_for(call: Caller) -> None:
    problem = {"status": 503, "code": "not_ready", "retryable": True, "retry_after_s": 2}
    call.say(stream((1, "accepted", ACCEPTED), (1, "error", problem)), stream((2, "done", RESULT)))
    events = call("jobs.events", "job-1")
    assert [event.id for event in events] == [1, 2]
    assert call.slept_s == [2.0]


def test_a_stream_that_breaks_again_and_again_is_given_up(call: Caller) -> None:
    call.say(stream(is_cut=True))
    with pytest.raises(gram_client.ConnectionFailed):
        call("solve_stream", PUZZLE, client={"max_retries": 3})
    assert len(call.received) == 4


def test_every_event_gives_new_patience(call: Caller) -> None:
    cuts = [stream((number, "progress", LOOK), is_cut=True) for number in range(1, 6)]
    call.say(*cuts, stream((9, "done", RESULT)))
    events = call("jobs.events", "job-1", client={"max_retries": 1})
    assert [event.id for event in events] == [1, 2, 3, 4, 5, 9]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("solution", {"votes": 1}),
        ("progress", {"trajectories": 3}),
        ("accepted", {}),
        ("done", {"solutions": "none"}),
        ("done", [1]),
    ],
)
def test_an_event_that_cannot_be_read_is_said_to_be_so(
    call: Caller, kind: str, data: object
) -> None:
    call.say(stream((1, kind, data)))
    with pytest.raises(gram_client.ResponseInvalid, match=kind):
        call("solve_stream", PUZZLE)


def test_what_is_no_stream_is_said_to_be_none(call: Caller) -> None:
    call.say(Reply(body=RESULT))
    with pytest.raises(gram_client.ResponseInvalid, match="no stream"):
        call("solve_stream", PUZZLE)


def test_events_of_a_newer_server_are_passed_over(call: Caller) -> None:
    call.say(stream((1, "weather", {"sun": True}), (2, "done", RESULT)))
    assert [event.id for event in call("solve_stream", PUZZLE)] == [2]


def test_leaving_an_iterator_closes_its_connection(server: ScriptedServer) -> None:
    server.say(stream((1, "accepted", ACCEPTED), (2, "done", RESULT)))
    with Client(server.url) as client:
        events = client.solve_stream(PUZZLE)
        assert isinstance(next(events), Accepted)
        events.close()
        assert list(events) == []

    async def leave() -> list[Any]:
        async with AsyncClient(server.url) as client:
            events = client.solve_stream(PUZZLE)
            assert isinstance(await anext(events), Accepted)
            await events.aclose()
            return [event async for event in events]

    assert asyncio.run(leave()) == []
