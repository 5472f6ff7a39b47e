"""What both clients send, return and raise, over real HTTP."""

import inspect
import json
import subprocess
import sys
from typing import Any

import pytest

import gram_client
from gram_client import Client, SolveResult
from tests.clients.scripted import (
    BOARDS,
    JOB,
    MODEL,
    PUZZLE,
    RESULT,
    UNSOLVED,
    Caller,
    Reply,
    problem,
    stream,
)

SOLVED = Reply(body=RESULT)
NOT_READY = problem(503, "not_ready", detail="the engine is starting")


def test_a_solved_puzzle_comes_back_typed_and_travels_as_plain_text(call: Caller) -> None:
    call.say(SOLVED)
    answer = call("solve", PUZZLE, seed=5)
    assert isinstance(answer, SolveResult)
    assert (answer.is_solved, answer.status) == (True, "solved")
    [solution] = answer.solutions
    assert (solution.answer, solution.votes) == ("1234341221434321", 15)
    assert solution.first is not None
    assert solution.first.trajectory == 3
    assert (answer.completeness.estimate, answer.usage.supervision_steps) == (1.0, 40)
    [received] = call.received
    assert (received.method, received.path, received.body) == ("POST", "/solve", PUZZLE.encode())
    assert received.headers["Content-Type"].startswith("text/plain")
    # Defaults are left to the server.
    assert received.params == {"seed": "5"}


@pytest.mark.parametrize("method", ["solve", "generate", "jobs.create", "solve_stream", "map"])
def test_an_option_that_a_call_does_not_have_is_refused_before_anything_is_sent(
    call: Caller, method: str
) -> None:
    with pytest.raises(TypeError, match="widht"):
        call(method, [PUZZLE] if method == "map" else PUZZLE, widht=3)
    assert call.received == []


SOLVE_OPTIONS: dict[str, Any] = {
    "width": 64,
    "depth": 9,
    "max_solutions": 1,
    "deadline_ms": 250,
    "seed": 3,
    "augment": False,
    "halt": "halt_head",
    "fallback": "exact",
    "count_solutions": "exact",
    "model": "mine",
}
GENERATE_OPTIONS: dict[str, Any] = {
    "count": 3,
    "size": 4,
    "distinct": False,
    "reduce_clues": "unique",
    "max_trajectories": 50,
    "depth": 9,
    "halt": "halt_head",
    "augment": True,
    "deadline_ms": 800,
    "seed": 5,
    "model": "mine",
}


@pytest.mark.parametrize(
    ("method", "puzzle", "options", "more"),
    [
        ("solve", PUZZLE, SOLVE_OPTIONS, {}),
        ("generate", "sudoku", GENERATE_OPTIONS, {"puzzle": "sudoku"}),
    ],
)
def test_every_option_reaches_the_query(
    call: Caller, method: str, puzzle: str, options: dict[str, Any], more: dict[str, str]
) -> None:
    call.say(Reply(body=RESULT if method == "solve" else BOARDS))
    call(method, puzzle, **options)
    texts = {name: str(value).lower() for name, value in options.items()}
    assert call.received[0].params == {**more, **texts}


def test_an_unsolved_puzzle_is_a_result_with_its_best_attempt(call: Caller) -> None:
    violations = [{"rule": "row 0", "cells": [[0, 0], [0, 1]]}]
    attempt = {"answer": "1" * 16, "violations": violations}
    call.say(Reply(body=UNSOLVED | {"best_attempt": attempt}))
    answer = call("solve", PUZZLE)
    assert not answer.is_solved
    assert answer.best_attempt.violations[0].cells == ((0, 0), (0, 1))


def test_fields_of_a_newer_server_are_ignored(call: Caller) -> None:
    call.say(Reply(body=RESULT | {"energy_joules": 3}))
    assert call("solve", PUZZLE).id == "job-1"


def test_an_invalid_puzzle_names_cells_and_rule(call: Caller) -> None:
    issue = {"field": "grid", "detail": "two 5s", "rule": "row 0", "cells": [[0, 0], [0, 8]]}
    more: dict[str, Any] = {"errors": [issue], "request_id": "r-1"}
    call.say(problem(422, "puzzle_invalid", detail="the puzzle contradicts itself", **more))
    with pytest.raises(gram_client.BadRequest) as caught:
        call("solve", "5" * 81)
    assert str(caught.value) == (
        "the puzzle contradicts itself (grid: two 5s, cells (0, 0) (0, 8)) [422, request r-1]"
    )
    [told] = caught.value.errors
    assert (told.rule, told.cells) == ("row 0", ((0, 0), (0, 8)))
    assert caught.value.request_id == "r-1"
    assert len(call.received) == 1


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "body_invalid", gram_client.BadRequest),
        (401, "unauthorized", gram_client.Unauthorized),
        (403, "forbidden", gram_client.Unauthorized),
        (404, "job_not_found", gram_client.NotFound),
        (404, "of_a_newer_server", gram_client.NotFound),
        (409, "idempotency_conflict", gram_client.BadRequest),
        (413, "body_too_large", gram_client.BadRequest),
        (415, "media_type_unsupported", gram_client.BadRequest),
        (418, "of_a_newer_server", gram_client.BadRequest),
        (422, "parameter_invalid", gram_client.BadRequest),
    ],
)
def test_a_refusal_is_raised_as_its_class_and_not_repeated(
    call: Caller, status: int, code: str, kind: type[gram_client.StatusError]
) -> None:
    call.say(problem(status, code, detail="no"))
    with pytest.raises(kind) as caught:
        call("solve", PUZZLE)
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert json.loads(caught.value.body)["code"] == code
    assert (len(call.received), call.slept_s) == (1, [])


@pytest.mark.parametrize("method", ["solve", "solve_stream"])
def test_a_full_queue_is_waited_for_as_long_as_it_asks(call: Caller, method: str) -> None:
    busy = problem(429, "queue_full", headers={"Retry-After": "3"})
    call.say(busy, SOLVED if method == "solve" else stream((1, "done", RESULT)))
    assert call(method, PUZZLE)
    assert call.slept_s == [3.0]


@pytest.mark.parametrize(
    ("method", "end"), [("solve", RESULT), ("generate", BOARDS), ("jobs.create", JOB)]
)
def test_a_retry_repeats_the_same_seed_and_body(call: Caller, method: str, end: object) -> None:
    call.say(Reply(is_dropped=True), problem(503, "not_ready"), Reply(status=500), Reply(body=end))
    call(method, *(() if method == "generate" else (PUZZLE,)), client={"max_retries": 3})
    assert len(call.received) == 4
    assert len({(one.params["seed"], one.body) for one in call.received}) == 1


def test_two_calls_draw_different_seeds(call: Caller) -> None:
    call.say(SOLVED)
    call("solve", PUZZLE)
    call("solve", PUZZLE)
    assert call.received[0].params["seed"] != call.received[1].params["seed"]


def test_a_wait_longer_than_a_minute_is_left_to_the_caller(call: Caller) -> None:
    call.say(problem(429, "queue_full", headers={"Retry-After": "3600"}))
    with pytest.raises(gram_client.TooManyRequests) as caught:
        call("solve", PUZZLE)
    assert caught.value.retry_after_s == 3600
    assert call.slept_s == []


def test_an_unavailable_server_is_given_up_after_the_retries(call: Caller) -> None:
    call.say(NOT_READY)
    with pytest.raises(gram_client.ServerUnavailable, match="the engine is starting"):
        call("solve", PUZZLE, client={"max_retries": 3})
    assert (len(call.received), len(call.slept_s)) == (4, 3)
    assert call.slept_s[0] <= 0.25
    assert call.slept_s[2] <= 1.0


@pytest.mark.parametrize("method", ["solve", "solve_stream"])
def test_a_silent_server_times_out_without_a_retry(call: Caller, method: str) -> None:
    call.say(Reply(is_silent=True))
    with pytest.raises(gram_client.TimedOut):
        call(method, PUZZLE, timeout_s=0.1)
    assert len(call.received) == 1


def test_a_refused_connection_names_the_server(call: Caller, closed_port: int) -> None:
    call.base_url = f"http://127.0.0.1:{closed_port}"
    with pytest.raises(gram_client.ConnectionFailed, match=call.base_url):
        call("solve", PUZZLE)
    assert len(call.slept_s) == 2


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"id": "job-1"}', b'{"id": 3}', b"[1, 2", b"[]", b"null"]
)
@pytest.mark.parametrize("method", ["solve", "jobs.create", "jobs.get", "jobs.cancel"])
def test_an_answer_that_is_not_a_result_is_refused(call: Caller, method: str, body: bytes) -> None:
    call.say(Reply(body=body))
    with pytest.raises(gram_client.ResponseInvalid) as caught:
        call(method, PUZZLE)
    assert caught.value.body == body


def test_a_failure_without_a_problem_document_keeps_its_status(call: Caller) -> None:
    call.say(Reply(status=502, body=b"<html>bad gateway</html>"))
    with pytest.raises(gram_client.ServerFailure, match=r"Bad Gateway \[502\]"):
        call("solve", PUZZLE, client={"max_retries": 0})


def test_the_key_is_sent_as_a_bearer_token(call: Caller) -> None:
    call.say(SOLVED)
    call("solve", PUZZLE, client={"api_key": "k-1"})
    call("solve", PUZZLE)
    assert call.received[0].headers["Authorization"] == "Bearer k-1"
    assert "Authorization" not in call.received[1].headers


def test_address_and_key_come_from_the_environment_where_not_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def settings(*args: str, **options: Any) -> tuple[str, str | None]:
        with Client(*args, **options) as client:
            return client.settings.base_url, client.settings.api_key

    monkeypatch.setenv("GRAM_BASE_URL", "http://puzzles.example:9")
    monkeypatch.setenv("GRAM_API_KEY", "k-2")
    assert settings() == ("http://puzzles.example:9", "k-2")
    assert settings("http://localhost:1", api_key="k-3") == ("http://localhost:1", "k-3")
    monkeypatch.delenv("GRAM_BASE_URL")
    assert settings() == ("http://127.0.0.1:8000", "k-2")


def test_models_and_puzzles_come_back_typed(call: Caller) -> None:
    known = {"puzzles": [{"name": "sudoku", "tasks": ["sudoku-9x9"]}]}
    call.say(Reply(body={"models": [MODEL]}), Reply(body=known))
    assert call("models")[0].id == "sudoku-9x9@0123abcd"
    assert call("puzzles")[0].tasks == ("sudoku-9x9",)
    assert [received.path for received in call.received] == ["/models", "/puzzles"]


def test_health_reports_a_server_that_is_not_ready_instead_of_raising(call: Caller) -> None:
    call.say(NOT_READY, Reply(body={}))
    starting = call("health")
    assert (starting.is_ready, starting.reason) == (False, "the engine is starting")
    assert call("health").is_ready


def test_the_client_imports_neither_torch_nor_the_server() -> None:
    code = "import gram_client, gram_client.cli, sys; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    roots = {name.partition(".")[0] for name in run.stdout.split()}
    assert "gram_client" in roots
    assert not roots & {"torch", "numpy", "gram_core", "gram_kernels", "gram_server", "fastapi"}


@pytest.mark.parametrize(
    ("one", "other"), [(Client, gram_client.AsyncClient), (gram_client.Jobs, gram_client.AsyncJobs)]
)
def test_the_same_calls_take_the_same_arguments(one: type, other: type) -> None:
    mine, theirs = (
        {name for name in vars(kind) if not name.startswith("_")} - {"close", "aclose"}
        for kind in (one, other)
    )
    assert mine == theirs
    for name in mine:
        sync, waiting = (inspect.signature(getattr(kind, name)) for kind in (one, other))
        assert sync.parameters == waiting.parameters
        is_stream = name in ("solve_stream", "map", "events", "all")
        assert inspect.iscoroutinefunction(getattr(other, name)) is not is_stream
        assert not inspect.iscoroutinefunction(getattr(one, name))
