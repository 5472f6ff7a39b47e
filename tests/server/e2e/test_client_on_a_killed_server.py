"""The client goes on where a real server was killed in the middle of its stream."""

import signal
from typing import Any

import pytest

from gram_client import Accepted, AnyEvent, Client, Done, Found, Progress
from tests.server.e2e.conftest import Server, Start

pytestmark = pytest.mark.slow

EMPTY = "." * 16
OPTIONS: dict[str, Any] = {
    "width": 4,
    "depth": 400,
    "halt": "never",
    "seed": 3,
    "show_trajectories": 1,
}


def kill_and_start_again(start_server: Start, server: Server) -> None:
    port = server.url.rsplit(":", 1)[1]
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(20.0)
    start_server("--port", port)


def check(events: list[AnyEvent], expected: Any) -> None:
    kinds = [type(event) for event in events]
    assert kinds.count(Accepted) == 1
    assert kinds.count(Done) == 1
    assert isinstance(events[-1], Done)
    answers = [str(event.solution.answer) for event in events if isinstance(event, Found)]
    assert len(answers) == len(set(answers))
    result = events[-1].result
    assert result is not None
    assert sorted(answers) == sorted(str(one.answer) for one in result.solutions)
    assert result.seed == 3
    assert [one.answer for one in result.solutions] == expected


def test_a_solve_survives_the_death_of_its_server(start_server: Start) -> None:
    server = start_server()
    with Client(server.url, max_retries=8) as client:
        result = client.solve(EMPTY, width=4, depth=400, halt="never", seed=3)
        events: list[AnyEvent] = []
        is_killed = False
        for event in client.solve_stream(EMPTY, **OPTIONS):
            events.append(event)
            if isinstance(event, Progress) and not is_killed:
                is_killed = True
                kill_and_start_again(start_server, server)
    assert is_killed
    check(events, [one.answer for one in result.solutions])


def test_leaving_a_stream_ends_its_work(server: Server) -> None:
    with Client(server.url) as client:
        events = client.solve_stream(EMPTY, **{**OPTIONS, "depth": 1024})
        accepted = next(events)
        assert isinstance(accepted, Accepted)
        events.close()
    words = f"job={accepted.job_id} state=cancelled attempt=0"
    server.wait(lambda: any(line["message"].endswith(words) for line in server.lines))
