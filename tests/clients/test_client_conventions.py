"""What people know from other clients: copies with other options, own connections and headers, raw
responses, ids of requests, pages, a log.
"""

import asyncio
import logging
import os
import subprocess
import sys
from typing import Any, assert_type

import httpx
import pytest

import gram_client
from gram_client import AsyncClient, Client, Job, RawResponse, SolveResult
from tests.clients.scripted import (
    BOARDS,
    JOB,
    PUZZLE,
    RESULT,
    Caller,
    Reply,
    ScriptedServer,
    problem,
    stream,
)

ID = {"X-Request-ID": "r-1"}
SUMMARY = {name: JOB[name] for name in JOB if name not in ("result", "error", "parts")}
MODELS = Reply(body={"models": []})


def header(asked: ScriptedServer | Caller, name: str) -> str | None:
    value: str | None = httpx.Headers(dict(asked.received[-1].headers)).get(name)
    return value


def test_a_copy_has_other_options_on_the_same_connections(server: ScriptedServer) -> None:
    server.say(MODELS)
    with Client(server.url, default_headers={"X-Team": "a"}, max_retries=5) as client:
        copy = client.with_options(timeout_s=3.0, max_retries=0, default_headers={"X-User": "b"})
        assert (copy.settings.timeout_s, copy.settings.max_retries) == (3.0, 0)
        assert (client.settings.timeout_s, client.settings.max_retries) == (120.0, 5)
        with copy:
            copy.models()
        assert (header(server, "X-Team"), header(server, "X-User")) == ("a", "b")
        # It did not close what is not its own.
        client.models()
        assert (header(server, "X-Team"), header(server, "X-User")) == ("a", None)


def test_a_copy_of_an_asynchronous_client_is_one(server: ScriptedServer) -> None:
    server.say(problem(503, "not_ready"))

    async def ask() -> None:
        async with AsyncClient(server.url) as client:
            copy = client.with_options(max_retries=0)
            assert_type(copy, AsyncClient)
            with pytest.raises(gram_client.ServerUnavailable):
                await copy.models()

    asyncio.run(ask())
    assert len(server.received) == 1


def test_jobs_of_a_copy_are_cancelled_with_its_original(server: ScriptedServer) -> None:
    server.say(Reply(status=202, body=JOB), Reply(body={**JOB, "state": "cancelled"}))
    with Client(server.url, cancel_on_exit=True) as client:
        client.with_options(timeout_s=5.0).jobs.create(PUZZLE)
        assert [received.method for received in server.received] == ["POST"]
    assert [received.method for received in server.received] == ["POST", "DELETE"]


class Transport:
    """Answers in memory and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200, json=RESULT, headers=ID)


def test_the_callers_own_connections_carry_the_requests() -> None:
    transport = Transport()
    mine = httpx.Client(transport=httpx.MockTransport(transport), headers={"X-Proxy": "p"})
    with Client("http://puzzles/prefix/", api_key="k", http_client=mine) as client:
        assert client.solve(PUZZLE, seed=3).is_solved
    assert mine.is_closed
    (request,) = transport.requests
    assert str(request.url) == "http://puzzles/prefix/solve?seed=3"
    assert (request.headers["X-Proxy"], request.headers["Authorization"]) == ("p", "Bearer k")
    assert request.headers["User-Agent"].startswith("gram-client/")

    async def ask() -> SolveResult:
        mine = httpx.AsyncClient(transport=httpx.MockTransport(transport))
        async with AsyncClient("http://puzzles", http_client=mine) as client:
            return await client.solve(PUZZLE)

    assert asyncio.run(ask()).is_solved


def test_a_connection_has_five_seconds_and_an_answer_the_timeout() -> None:
    transport = Transport()
    mine = httpx.Client(transport=httpx.MockTransport(transport), timeout=1.0)
    with Client(http_client=mine) as client:
        client.solve(PUZZLE)
        client.solve(PUZZLE, timeout_s=2.0)
    slow, quick = (request.extensions["timeout"] for request in transport.requests)
    assert (slow["connect"], slow["read"], quick["connect"], quick["read"]) == (
        5.0,
        120.0,
        2.0,
        2.0,
    )


CALLS: list[tuple[str, tuple[Any, ...], Reply]] = [
    ("solve", (PUZZLE,), Reply(body=RESULT, headers=ID)),
    ("generate", (), Reply(body=BOARDS, headers=ID)),
    ("health", (), Reply(body={}, headers=ID)),
    ("jobs.create", (PUZZLE,), Reply(status=202, body=JOB, headers=ID)),
    ("jobs.create_batch", ([PUZZLE],), Reply(status=202, body=JOB, headers=ID)),
    ("jobs.get", ("job-1",), Reply(body=JOB, headers=ID)),
    ("jobs.wait", ("job-1",), Reply(body={**JOB, "state": "done"}, headers=ID)),
    ("jobs.cancel", ("job-1",), Reply(body=JOB, headers=ID)),
    ("jobs.list", (), Reply(body={"jobs": [SUMMARY]}, headers=ID)),
    ("models", (), Reply(body={"models": []}, headers=ID)),
    ("puzzles", (), Reply(body={"puzzles": []}, headers=ID)),
]


@pytest.mark.parametrize(("method", "args", "reply"), CALLS, ids=[case[0] for case in CALLS])
def test_every_call_takes_headers_and_gives_its_raw_response(
    call: Caller, method: str, args: tuple[Any, ...], reply: Reply
) -> None:
    call.say(reply)
    given: dict[str, Any] = {"default_headers": {"X-A": "1", "User-Agent": "mine"}}
    result = call(method, *args, client=given, extra_headers={"x-a": "2", "X-B": "3"})
    seen = [header(call, name) for name in ("X-A", "X-B", "User-Agent")]
    assert seen == ["2", "3", "mine"]
    raw = call(f"with_raw_response.{method}", *args)
    assert isinstance(raw, RawResponse)
    assert (raw.parse(), raw.status_code) == (result, reply.status)
    assert (raw.request_id, raw.headers["x-request-id"]) == ("r-1", "r-1")
    assert isinstance(raw.http_response, httpx.Response)
    if method not in ("models", "puzzles"):
        assert result.request_id == "r-1"


def test_raw_responses_are_typed(server: ScriptedServer) -> None:
    server.say(Reply(body=RESULT), Reply(body=JOB), Reply(body=RESULT))
    with Client(server.url) as client:
        assert_type(client.with_raw_response.solve(PUZZLE, width=2), RawResponse[SolveResult])
        assert_type(client.with_raw_response.jobs.get("x"), RawResponse[Job])

    async def ask() -> None:
        async with AsyncClient(server.url) as client:
            raw = await client.with_raw_response.solve(PUZZLE)
            assert_type(raw, RawResponse[SolveResult])

    asyncio.run(ask())


def test_headers_that_no_request_can_carry_are_refused(call: Caller) -> None:
    with pytest.raises(gram_client.ConfigInvalid, match="X-A"):
        call("solve", PUZZLE, extra_headers={"X-A": "two\nlines"})
    assert call.received == []


def test_streams_take_headers_and_know_their_request(call: Caller) -> None:
    reply = stream((1, "done", RESULT))
    call.say(Reply(body=reply.body, headers={**reply.headers, **ID}))
    for method in ("solve_stream", "jobs.events"):
        (done,) = call(method, PUZZLE, extra_headers={"X-A": "2"})
        assert header(call, "X-A") == "2"
        assert done.result.request_id == "r-1"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=502, body=b"<html>", headers=ID), gram_client.ServerFailure),
        (Reply(body=b"<html>", headers=ID), gram_client.ResponseInvalid),
        (problem(422, "puzzle_invalid", request_id="r-1"), gram_client.BadRequest),
    ],
)
def test_errors_know_their_request(
    call: Caller, reply: Reply, kind: type[gram_client.GramError]
) -> None:
    call.say(reply)
    for method in ("solve", "solve_stream"):
        with pytest.raises(kind) as caught:
            call(method, PUZZLE, client={"max_retries": 0})
        assert caught.value.request_id == "r-1"  # type: ignore[attr-defined]  # of all three


def test_the_id_of_a_request_is_no_part_of_the_answer(server: ScriptedServer) -> None:
    server.say(Reply(body=RESULT, headers=ID), Reply(body=RESULT))
    with Client(server.url) as client:
        one, other = client.solve(PUZZLE), client.solve(PUZZLE)
    assert (one.request_id, other.request_id) == ("r-1", None)
    assert one == other
    assert "request_id" not in one.to_dict()
    assert SolveResult.model_validate(RESULT).request_id is None


def test_all_jobs_are_asked_for_page_by_page(call: Caller) -> None:
    pages = [[{**SUMMARY, "id": f"job-{number}"}] for number in range(3)]
    call.say(
        Reply(body={"jobs": pages[0], "cursor": "a"}),
        Reply(body={"jobs": pages[1], "cursor": "b"}),
        Reply(body={"jobs": pages[2]}),
    )
    assert [job.id for job in call("jobs.all", limit=1)] == ["job-0", "job-1", "job-2"]
    asked = [received.params for received in call.received]
    assert asked == [{"limit": "1"}, {"limit": "1", "cursor": "a"}, {"limit": "1", "cursor": "b"}]


def test_no_page_is_asked_for_before_it_is_needed(server: ScriptedServer) -> None:
    server.say(Reply(body={"jobs": [SUMMARY, SUMMARY], "cursor": "a"}))
    with Client(server.url) as client:
        jobs = client.jobs.all()
        assert next(jobs).id == next(jobs).id == "job-1"
    assert len(server.received) == 1


def test_calls_are_logged_without_keys_and_puzzles(
    call: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="gram_client")
    call.say(problem(503, "not_ready", detail="starting"), Reply(body=RESULT, headers=ID))
    call("solve", PUZZLE, client={"api_key": "s3cret"}, extra_headers={"X-A": "s3cret"})
    told = [record.getMessage() for record in caplog.records if record.levelname == "INFO"]
    first, again, second = (line for line in told if line.startswith("POST /solve "))
    assert first.endswith(" ms: starting [503]")
    assert again.startswith("POST /solve again in 0.")
    assert second.endswith(" ms: 200, request r-1")
    assert any("seed" in record.getMessage() for record in caplog.records)
    assert "s3cret" not in caplog.text
    assert PUZZLE not in caplog.text


@pytest.mark.parametrize(
    ("level", "is_told", "is_detailed"),
    [("info", True, False), ("debug", True, True), ("", False, False)],
)
def test_the_environment_switches_the_log_on(
    server: ScriptedServer, level: str, is_told: bool, is_detailed: bool
) -> None:
    server.say(Reply(body=RESULT, headers=ID))
    code = f"from gram_client import Client\nClient().solve({PUZZLE!r})"
    environment = {**os.environ, "GRAM_LOG": level, "GRAM_BASE_URL": server.url}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert ("200, request r-1" in run.stderr) == is_told
    assert ("seed" in run.stderr) == is_detailed
    assert bool(run.stderr) == is_told


def test_a_level_of_the_log_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAM_LOG", "loud")
    with pytest.raises(gram_client.ConfigInvalid, match="GRAM_LOG='loud': must be debug or info"):
        Client()
