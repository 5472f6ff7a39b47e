"""Jobs over real HTTP: handed in safely, waited for, cancelled, listed."""

import json

import pytest

import gram_client
from gram_client import Job
from tests.clients.scripted import JOB, PUZZLE, RESULT, Caller, Reply, ScriptedServer, problem


def test_a_job_is_handed_in_with_its_options(server: ScriptedServer, call: Caller) -> None:
    server.say(Reply(status=202, body=JOB))
    made = call("jobs.create", PUZZLE, width=4, priority="high", show_trajectories=2, seed=5)
    assert isinstance(made, Job)
    assert (made.id, made.state, made.is_final, made.is_solved) == ("job-1", "queued", False, False)
    (received,) = server.received
    assert (received.method, received.path) == ("POST", "/jobs")
    assert received.params == {
        "width": "4",
        "priority": "high",
        "show_trajectories": "2",
        "seed": "5",
    }
    assert received.body == PUZZLE.encode()


def test_a_submit_is_repeated_under_one_key(server: ScriptedServer, call: Caller) -> None:
    server.say(Reply(is_dropped=True), Reply(status=503), Reply(status=200, body=JOB))
    assert call("jobs.create", PUZZLE).id == "job-1"
    keys = {received.headers["Idempotency-Key"] for received in server.received}
    assert (len(server.received), len(keys)) == (3, 1)
    seeds = {received.params["seed"] for received in server.received}
    assert len(seeds) == 1


def test_two_submits_have_two_keys_and_a_given_key_is_kept(
    server: ScriptedServer, call: Caller
) -> None:
    server.say(Reply(body=JOB))
    for key in (None, None, "mine"):
        call("jobs.create", PUZZLE, idempotency_key=key)
    keys = [received.headers["Idempotency-Key"] for received in server.received]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


def test_the_same_key_stands_for_the_same_work_and_another_for_other_work(
    server: ScriptedServer, call: Caller
) -> None:
    server.say(Reply(body=JOB))
    for key in ("order-17", "order-17", "order-18"):
        call("jobs.create", PUZZLE, idempotency_key=key)
        call("jobs.create_batch", [PUZZLE], idempotency_key=key)
    seeds = [received.params["seed"] for received in server.received]
    assert len(set(seeds[:4])) == 1
    assert len(set(seeds)) == 2
    assert all(0 <= int(seed) < 2**53 for seed in seeds)
    call("jobs.create", PUZZLE, idempotency_key="order-17", seed=5)
    assert server.received[-1].params["seed"] == "5"


@pytest.mark.slow
def test_waiting_is_more_patient_than_a_client_that_expects_quick_answers(
    server: ScriptedServer, call: Caller
) -> None:
    server.say(Reply(body=JOB, delay_s=0.6), Reply(body={**JOB, "state": "done"}))
    client = {"timeout_s": 0.2}
    assert call("jobs.wait", "job-1", client=client).state == "done"
    assert call("jobs.wait", "job-1", client=client, timeout_s=60).state == "done"
    assert int(server.received[0].params["wait"]) >= 2


@pytest.mark.slow
def test_a_server_that_holds_for_longer_than_it_was_asked_is_given_up(
    server: ScriptedServer, call: Caller
) -> None:
    server.say(Reply(body=JOB, delay_s=30))
    with pytest.raises(gram_client.TimedOut):
        call("jobs.wait", "job-1", client={"timeout_s": 0.2}, timeout_s=1.2)


def test_a_taken_key_is_a_conflict(server: ScriptedServer, call: Caller) -> None:
    server.say(problem(409, "idempotency_conflict"))
    with pytest.raises(gram_client.BadRequest):
        call("jobs.create", PUZZLE, idempotency_key="mine")


def test_a_batch_holds_every_puzzle_in_its_order(server: ScriptedServer, call: Caller) -> None:
    parts = [{**JOB, "id": f"part-{number}"} for number in range(2)]
    batch = {**JOB, "model": None, "batch": {"size": 2, "finished": 0}, "parts": parts}
    server.say(Reply(status=202, body=batch))
    made = call("jobs.create_batch", [PUZZLE, {"puzzle": "nqueens", "n": 4}], width=2)
    assert [part.id for part in made.parts] == ["part-0", "part-1"]
    assert (made.batch.size, made.batch.finished) == (2, 0)
    body = json.loads(server.received[0].body)
    assert body == {"instances": [PUZZLE, {"puzzle": "nqueens", "n": 4}]}


def test_a_job_is_shown_with_its_result(server: ScriptedServer, call: Caller) -> None:
    server.say(Reply(body={**JOB, "state": "done", "result": RESULT}))
    shown = call("jobs.get", "job-1")
    assert shown.is_solved
    assert shown.result.best.grid[0] == [1, 2, 3, 4]
    assert server.received[0].path == "/jobs/job-1"


def test_waiting_asks_again_until_the_job_is_final(server: ScriptedServer, call: Caller) -> None:
    running = Reply(body={**JOB, "state": "running"})
    server.say(running, running, Reply(body={**JOB, "state": "cancelled"}))
    assert call("jobs.wait", "job-1").state == "cancelled"
    assert [received.params for received in server.received] == [{"wait": "20"}] * 3


def test_waiting_has_an_end_of_its_own(server: ScriptedServer, call: Caller) -> None:
    server.say(Reply(body=JOB))
    with pytest.raises(gram_client.TimedOut, match="still queued"):
        call("jobs.wait", "job-1", timeout_s=0.25)


def test_a_job_is_cancelled(server: ScriptedServer, call: Caller) -> None:
    server.say(Reply(body={**JOB, "state": "cancelled"}))
    assert call("jobs.cancel", "a/b").is_final
    assert (server.received[0].method, server.received[0].path) == ("DELETE", "/jobs/a%2Fb")


def test_jobs_are_listed_a_page_at_a_time(server: ScriptedServer, call: Caller) -> None:
    summary = {name: JOB[name] for name in JOB if name not in ("result", "error", "parts")}
    server.say(Reply(body={"jobs": [summary], "cursor": "next"}))
    page = call("jobs.list", limit=1, cursor="here")
    assert ([one.id for one in page.jobs], page.cursor) == (["job-1"], "next")
    assert server.received[0].params == {"limit": "1", "cursor": "here"}


@pytest.mark.parametrize("method", ["jobs.get", "jobs.wait", "jobs.cancel", "jobs.events"])
def test_a_job_that_is_not_there_is_said_to_be_so(
    server: ScriptedServer, call: Caller, method: str
) -> None:
    server.say(problem(404, "job_not_found", detail="no job x", request_id="r-9"))
    with pytest.raises(gram_client.NotFound, match="request r-9"):
        call(method, "x")


def test_jobs_are_cancelled_on_exit_where_that_is_asked_for(
    server: ScriptedServer, call: Caller
) -> None:
    server.say(Reply(status=202, body=JOB), Reply(body={**JOB, "state": "cancelled"}))
    call("jobs.create", PUZZLE, client={"cancel_on_exit": True})
    assert [(one.method, one.path) for one in server.received] == [
        ("POST", "/jobs"),
        ("DELETE", "/jobs/job-1"),
    ]


def test_jobs_go_on_after_their_client_otherwise(server: ScriptedServer, call: Caller) -> None:
    server.say(Reply(status=202, body=JOB))
    call("jobs.create", PUZZLE)
    call("jobs.create", PUZZLE, client={"cancel_on_exit": False})
    assert {one.method for one in server.received} == {"POST"}


def test_a_job_that_ended_is_not_cancelled_on_exit(server: ScriptedServer, call: Caller) -> None:
    server.say(Reply(status=200, body={**JOB, "state": "done"}))
    call("jobs.create", PUZZLE, client={"cancel_on_exit": True})
    assert len(server.received) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"id": 3}', b'{"jobs": 1}'])
@pytest.mark.parametrize("method", ["jobs.create", "jobs.get", "jobs.cancel"])
def test_a_malformed_answer_is_said_to_be_one(
    server: ScriptedServer, call: Caller, method: str, body: bytes
) -> None:
    server.say(Reply(body=body))
    with pytest.raises(gram_client.ResponseInvalid) as caught:
        call(method, "x")
    assert caught.value.body == body
