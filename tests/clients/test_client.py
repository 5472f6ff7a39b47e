"""What both clients send, return and raise, over real HTTP."""

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gram_client
from gram_client import Client, SolveResult
from tests.clients.scripted import (
    MODEL,
    PUZZLE,
    RESULT,
    UNSOLVED,
    Caller,
    Reply,
    ScriptedServer,
    problem,
)


def test_a_solved_puzzle_comes_back_typed(server: ScriptedServer, call: Caller) -> None:
    server.say(Reply(body=RESULT))
    answer = call("solve", PUZZLE)
    assert isinstance(answer, SolveResult)
    assert answer.is_solved
    assert answer.status == "solved"
    assert answer.solutions[0].answer == "1234341221434321"
    assert answer.solutions[0].votes == 15
    assert answer.solutions[0].first is not None
    assert answer.solutions[0].first.trajectory == 3
    assert answer.completeness.estimate == 1.0
    assert answer.usage.supervision_steps == 40


def test_text_travels_as_plain_text_and_defaults_are_left_to_the_server(
    server: ScriptedServer, call: Caller
) -> None:
    server.say(Reply(body=RESULT))
    call("solve", PUZZLE, seed=5)
    (received,) = server.received
    assert (received.method, received.path) == ("POST", "/solve")
    assert received.body == PUZZLE.encode()
    assert received.headers["Content-Type"].startswith("text/plain")
    assert received.params == {"seed": "5"}


@pytest.mark.parametrize("method", ["solve", "generate", "jobs.create", "solve_stream", "map"])
def test_an_option_that_a_call_does_not_have_is_refused_before_anything_is_sent(
    server: ScriptedServer, call: Caller, method: str
) -> None:
    with pytest.raises(TypeError, match="widht"):
        call(method, [PUZZLE] if method == "map" else PUZZLE, widht=3)
    assert server.received == []


@pytest.mark.parametrize(
    ("method", "old", "value"),
    [("solve", "count", "exact"), ("solve_stream", "decodes", 1), ("generate", "clues", "unique")],
)
def test_a_former_name_of_an_option_is_sent_and_its_user_is_told(
    server: ScriptedServer, call: Caller, method: str, old: str, value: Any
) -> None:
    server.say(problem(422, "parameter_invalid"))
    with (
        pytest.warns(DeprecationWarning, match=f"option {old} goes") as told,
        pytest.raises(gram_client.BadRequest),
    ):
        call(method, PUZZLE, **{old: value})
    assert server.received[0].params[old] == str(value)
    assert Path(told[0].filename).name == "scripted.py"


def test_every_parameter_reaches_the_query(server: ScriptedServer, call: Caller) -> None:
    server.say(Reply(body=RESULT))
    options: dict[str, Any] = {
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
    call("solve", PUZZLE, **options)
    expected = {name: str(value) for name, value in options.items()} | {"augment": "false"}
    assert server.received[0].params == expected


def test_an_unsolved_puzzle_is_a_result_with_its_best_attempt(
    server: ScriptedServer, call: Caller
) -> None:
    violations = [{"rule": "row 0", "cells": [[0, 0], [0, 1]]}]
    attempt = {"answer": "1" * 16, "violations": violations}
    server.say(Reply(body=UNSOLVED | {"best_attempt": attempt}))
    answer = call("solve", PUZZLE)
    assert not answer.is_solved
    assert answer.best_attempt.violations[0].cells == ((0, 0), (0, 1))


def test_fields_of_a_newer_server_are_ignored(server: ScriptedServer, call: Caller) -> None:
    server.say(Reply(body=RESULT | {"energy_joules": 3}))
    assert call("solve", PUZZLE).id == "job-1"


def test_an_invalid_puzzle_names_cells_and_rule(server: ScriptedServer, call: Caller) -> None:
    issue = {"field": "grid", "detail": "two 5s", "rule": "row 0", "cells": [[0, 0], [0, 8]]}
    more: dict[str, Any] = {"errors": [issue], "request_id": "r-1"}
    server.say(problem(422, "puzzle_invalid", detail="the puzzle contradicts itself", **more))
    with pytest.raises(gram_client.BadRequest) as caught:
        call("solve", "5" * 81)
    assert str(caught.value) == (
        "the puzzle contradicts itself (grid: two 5s, cells (0, 0) (0, 8)) [422, request r-1]"
    )
    assert caught.value.errors[0].rule == "row 0"
    assert caught.value.errors[0].cells == ((0, 0), (0, 8))
    assert caught.value.request_id == "r-1"
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "body_invalid", gram_client.BadRequest),
        (401, "unauthorized", gram_client.Unauthorized),
        (403, "forbidden", gram_client.Unauthorized),
        (404, "job_not_found", gram_client.NotFound),
        (404, "of_a_newer_server", gram_client.NotFound),
        (413, "body_too_large", gram_client.BadRequest),
        (415, "media_type_unsupported", gram_client.BadRequest),
        (418, "of_a_newer_server", gram_client.BadRequest),
        (422, "parameter_invalid", gram_client.BadRequest),
    ],
)
def test_a_refusal_is_raised_as_its_class_and_not_repeated(
    server: ScriptedServer,
    call: Caller,
    status: int,
    code: str,
    kind: type[gram_client.StatusError],
) -> None:
    server.say(problem(status, code, detail="no"))
    with pytest.raises(kind) as caught:
        call("solve", PUZZLE)
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert json.loads(caught.value.body)["code"] == code
    assert len(server.received) == 1
    assert call.slept_s == []


def test_a_full_queue_is_waited_for_as_long_as_it_asks(
    server: ScriptedServer, call: Caller
) -> None:
    server.say(problem(429, "queue_full", headers={"Retry-After": "3"}), Reply(body=RESULT))
    assert call("solve", PUZZLE).is_solved
    assert call.slept_s == [3.0]


def test_a_retry_repeats_the_same_seed_and_body(server: ScriptedServer, call: Caller) -> None:
    server.say(problem(503, "not_ready"), problem(500, "job_failed"), Reply(body=RESULT))
    call("solve", PUZZLE)
    first, second, third = server.received
    assert first.params["seed"] == second.params["seed"] == third.params["seed"]
    assert first.body == second.body == third.body == PUZZLE.encode()


def test_two_calls_draw_different_seeds(server: ScriptedServer, call: Caller) -> None:
    server.say(Reply(body=RESULT))
    call("solve", PUZZLE)
    call("solve", PUZZLE)
    assert server.received[0].params["seed"] != server.received[1].params["seed"]


def test_a_wait_longer_than_a_minute_is_left_to_the_caller(
    server: ScriptedServer, call: Caller
) -> None:
    server.say(problem(429, "queue_full", headers={"Retry-After": "3600"}))
    with pytest.raises(gram_client.TooManyRequests) as caught:
        call("solve", PUZZLE)
    assert caught.value.retry_after_s == 3600
    assert call.slept_s == []


def test_an_unavailable_server_is_given_up_after_the_retries(
    server: ScriptedServer, call: Caller
) -> None:
    server.say(problem(503, "not_ready", detail="the engine is starting"))
    with pytest.raises(gram_client.ServerUnavailable, match="the engine is starting"):
        call("solve", PUZZLE, client={"max_retries": 3})
    assert len(server.received) == 4
    assert len(call.slept_s) == 3
    assert call.slept_s[0] <= 0.25
    assert call.slept_s[2] <= 1.0


def test_a_dropped_connection_is_retried(server: ScriptedServer, call: Caller) -> None:
    server.say(Reply(is_dropped=True), Reply(body=RESULT))
    assert call("solve", PUZZLE).is_solved
    assert len(server.received) == 2


def test_a_silent_server_times_out_without_a_retry(server: ScriptedServer, call: Caller) -> None:
    server.say(Reply(is_silent=True))
    with pytest.raises(gram_client.TimedOut):
        call("solve", PUZZLE, timeout_s=0.1)
    assert len(server.received) == 1


def test_a_refused_connection_names_the_server(call: Caller, closed_port: int) -> None:
    call.base_url = f"http://127.0.0.1:{closed_port}"
    with pytest.raises(gram_client.ConnectionFailed, match=call.base_url):
        call("solve", PUZZLE)
    assert len(call.slept_s) == 2


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"id": "job-1"}', b"[1, 2", b"null"])
def test_an_answer_that_is_not_a_result_is_refused(
    server: ScriptedServer, call: Caller, body: bytes
) -> None:
    server.say(Reply(body=body))
    with pytest.raises(gram_client.ResponseInvalid) as caught:
        call("solve", PUZZLE)
    assert caught.value.body == body


def test_a_failure_without_a_problem_document_keeps_its_status(
    server: ScriptedServer, call: Caller
) -> None:
    server.say(Reply(status=502, body=b"<html>bad gateway</html>"))
    with pytest.raises(gram_client.ServerFailure, match=r"Bad Gateway \[502\]"):
        call("solve", PUZZLE, client={"max_retries": 0})


def test_the_key_is_sent_as_a_bearer_token(server: ScriptedServer, call: Caller) -> None:
    server.say(Reply(body=RESULT))
    call("solve", PUZZLE, client={"api_key": "k-1"})
    call("solve", PUZZLE)
    assert server.received[0].headers["Authorization"] == "Bearer k-1"
    assert "Authorization" not in server.received[1].headers


def test_address_and_key_come_from_the_environment_where_not_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GRAM_BASE_URL", "http://puzzles.example:9")
    monkeypatch.setenv("GRAM_API_KEY", "k-2")
    with Client() as client:
        assert client.settings.base_url == "http://puzzles.example:9"
        assert client.settings.api_key == "k-2"
    with Client("http://localhost:1", api_key="k-3") as client:
        assert client.settings.base_url == "http://localhost:1"
        assert client.settings.api_key == "k-3"
    monkeypatch.delenv("GRAM_BASE_URL")
    with Client() as client:
        assert client.settings.base_url == "http://127.0.0.1:8000"


def test_models_and_puzzles_come_back_typed(server: ScriptedServer, call: Caller) -> None:
    server.say(
        Reply(body={"models": [MODEL]}),
        Reply(body={"puzzles": [{"name": "sudoku", "tasks": ["sudoku-9x9"]}]}),
    )
    assert call("models")[0].id == "sudoku-9x9@0123abcd"
    assert call("puzzles")[0].tasks == ("sudoku-9x9",)
    assert [received.path for received in server.received] == ["/models", "/puzzles"]


def test_health_reports_a_server_that_is_not_ready_instead_of_raising(
    server: ScriptedServer, call: Caller
) -> None:
    server.say(problem(503, "not_ready", detail="the engine is starting"), Reply(body={}))
    starting = call("health")
    assert (starting.is_ready, starting.reason) == (False, "the engine is starting")
    assert call("health").is_ready


def test_the_client_imports_neither_torch_nor_the_server() -> None:
    code = "import gram_client, gram_client.cli, sys; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    roots = {name.partition(".")[0] for name in run.stdout.split()}
    assert "gram_client" in roots
    assert not roots & {"torch", "numpy", "gram_core", "gram_kernels", "gram_server", "fastapi"}


def methods(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_both_clients_offer_the_same_calls() -> None:
    assert methods(gram_client.AsyncClient) - {"aclose"} == methods(Client) - {"close"}
    assert methods(gram_client.AsyncJobs) == methods(gram_client.Jobs)


@pytest.mark.parametrize(
    ("one", "other"), [(Client, gram_client.AsyncClient), (gram_client.Jobs, gram_client.AsyncJobs)]
)
def test_the_same_calls_take_the_same_arguments(one: type, other: type) -> None:
    for name in methods(one) & methods(other):
        mine, theirs = (inspect.signature(getattr(kind, name)) for kind in (one, other))
        assert mine.parameters == theirs.parameters
        is_stream = name in ("solve_stream", "map", "events", "all")
        assert inspect.iscoroutinefunction(getattr(other, name)) is not is_stream
        assert not inspect.iscoroutinefunction(getattr(one, name))
