"""Answers of trajectories on their way, from a real worker through a store to a reader."""

from typing import Any

import httpx
import pytest

from gram_server.answers import AcceptedEvent, ProgressEvent, SolveResponse
from tests.server.api.conftest import events_of
from tests.server.e2e.conftest import Server, is_whole

pytestmark = pytest.mark.slow

EMPTY = "." * 16
STREAM = {"Accept": "text/event-stream"}

Events = list[tuple[int, str, dict[str, Any]]]


def solve(server: Server, **params: Any) -> Events:
    query = {"width": 4, "depth": 1024, "halt": "never", "seed": 3, **params}
    response = httpx.post(
        f"{server.url}/solve", params=query, content=EMPTY, headers=STREAM, timeout=60.0
    )
    assert response.status_code == 200, response.text
    return events_of(response.text)


def test_decodes_show_how_trajectories_come_to_their_answers(server: Server) -> None:
    events = solve(server, show_trajectories=2)
    ids = [number for number, _, _ in events]
    assert ids == sorted(set(ids))
    assert events[0][1] == "accepted"
    AcceptedEvent.model_validate(events[0][2], strict=True)
    looks = [
        ProgressEvent.model_validate(data, strict=True)
        for _, kind, data in events
        if kind == "progress"
    ]
    assert len(looks) >= 2
    steps = [look.step for look in looks]
    assert steps == sorted(steps)
    assert steps[-1] == 1024
    assert [sight.trajectory for sight in looks[-1].trajectories] == [0, 1]
    answer = SolveResponse.model_validate(events[-1][2])
    assert looks[-1].solved == answer.valid_trajectories
    for look in looks:
        for sight in look.trajectories:
            assert isinstance(sight.answer, str)
            assert is_whole(sight.answer) is (sight.state == "solved")


def test_a_job_is_watched_over_a_broken_connection(server: Server) -> None:
    query = "width=64&depth=1024&halt=never&show_trajectories=4"
    job = httpx.post(f"{server.url}/jobs", params=query, content=EMPTY).json()
    url = f"{server.url}/jobs/{job['id']}/events"
    last = 0
    with httpx.stream("GET", url, timeout=60.0) as response:
        for line in response.iter_lines():
            if line.startswith("id: "):
                last = int(line.removeprefix("id: "))
            if line.startswith("event: progress"):
                break
    rest = events_of(httpx.get(url, headers={"Last-Event-ID": str(last)}, timeout=60.0).text)
    assert all(number > last for number, _, _ in rest)
    assert [kind for _, kind, _ in rest][-2:] == ["progress", "done"]
    assert rest[-2][2]["step"] == 1024
    # What has passed is gone: a late reader sees one look.
    late = [kind for _, kind, _ in events_of(httpx.get(url, timeout=60.0).text)]
    assert (late[0], late.count("progress"), late[-1]) == ("accepted", 1, "done")
