"""Jobs over real HTTP: handed in safely, waited for, cancelled, listed."""

import json

import pytest

import gram_client
from gram_client import Job
from tests.clients.scripted import JOB, PUZZLE, RESULT, Caller, Reply, problem

CANCELLED = Reply(body={**JOB, "state": "cancelled"})


def test_a_job_is_handed_in_with_its_options(call: Caller) -> None:
    call.say(Reply(status=202, body=JOB))
    made = call("jobs.create", PUZZLE, width=4, priority="high", show_trajectories=2, seed=5)
    assert isinstance(made, Job)
    assert (made.id, made.state, made.is_final, made.is_solved) == ("job-1", "queued", False, False)
    [received] = call.received
    assert (received.method, received.path, received.body) == ("POST", "/jobs", PUZZLE.encode())
    given = {"width": "4", "priority": "high", "show_trajectories": "2", "seed": "5"}
    assert received.params == given


def test_a_submit_is_repeated_under_one_key(call: Caller) -> None:
    call.say(Reply(is_dropped=True), Reply(status=503), Reply(status=200, body=JOB))
    assert call("jobs.create", PUZZLE).id == "job-1"
    keys = {received.headers["Idempotency-Key"] for received in call.received}
    assert (len(call.received), len(keys)) == (3, 1)


def test_two_submits_have_two_keys_and_a_given_key_is_kept(call: Caller) -> None:
    call.say(Reply(body=JOB))
    for key in (None, None, "mine"):
        call("jobs.create", PUZZLE, idempotency_key=key)
    keys = [received.headers["Idempotency-Key"] for received in call.received]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


def test_the_same_key_stands_for_the_same_work_and_another_for_other_work(call: Caller) -> None:
    call.say(Reply(body=JOB))
    for key in ("order-17", "order-17", "order-18"):
        call("jobs.create", PUZZLE, idempotency_key=key)
        call("jobs.create_batch", [PUZZLE], idempotency_key=key)
    seeds = [received.params["seed"] for received in call.received]
    assert len(set(seeds[:4])) == 1
    assert len(set(seeds)) == 2
    assert all(0 <= int(seed) < 2**53 for seed in seeds)
    call("jobs.create", PUZZLE, idempotency_key="order-17", seed=5)
    assert call.received[-1].params["seed"] == "5"


@pytest.mark.slow
def test_waiting_is_more_patient_than_a_client_that_expects_quick_answers(call: Caller) -> None:
    call.say(Reply(body=JOB, delay_s=0.6), Reply(body={**JOB, "state": "done"}))
    client = {"timeout_s": 0.2}
    assert call("jobs.wait", "job-1", client=client).state == "done"
    assert call("jobs.wait", "job-1", client=client, timeout_s=60).state == "done"
    assert int(call.received[0].params["wait"]) >= 2


@pytest.mark.slow
def test_a_server_that_holds_for_longer_than_it_was_asked_is_given_up(call: Caller) -> None:
    call.say(Reply(body=JOB, delay_s=30))
    with pytest.raises(gram_client.TimedOut):
        call("jobs.wait", "job-1", client={"timeout_s": 0.2}, timeout_s=1.2)


def test_a_batch_holds_every_puzzle_in_its_order(call: Caller) -> None:
    parts = [{**JOB, "id": f"part-{number}"} for number in range(2)]
    batch = {**JOB, "model": None, "batch": {"size": 2, "finished": 0}, "parts": parts}
    call.say(Reply(status=202, body=batch))
    puzzles = [PUZZLE, {"puzzle": "nqueens", "n": 4}]
    made = call("jobs.create_batch", puzzles, width=2)
    assert [part.id for part in made.parts] == ["part-0", "part-1"]
    assert (made.batch.size, made.batch.finished) == (2, 0)
    assert json.loads(call.received[0].body) == {"instances": puzzles}


def test_a_job_is_shown_with_its_result(call: Caller) -> None:
    call.say(Reply(body={**JOB, "state": "done", "result": RESULT}))
    shown = call("jobs.get", "job-1")
    assert shown.is_solved
    assert shown.result.best.grid[0] == [1, 2, 3, 4]
    assert call.received[0].path == "/jobs/job-1"


def test_waiting_asks_again_until_the_job_is_final(call: Caller) -> None:
    running = Reply(body={**JOB, "state": "running"})
    call.say(running, running, CANCELLED)
    assert call("jobs.wait", "job-1").state == "cancelled"
    assert [received.params for received in call.received] == [{"wait": "20"}] * 3


def test_waiting_has_an_end_of_its_own(call: Caller) -> None:
    call.say(Reply(body=JOB))
    with pytest.raises(gram_client.TimedOut, match="still queued"):
        call("jobs.wait", "job-1", timeout_s=0.25)


def test_a_job_is_cancelled(call: Caller) -> None:
    call.say(CANCELLED)
    assert call("jobs.cancel", "a/b").is_final
    assert (call.received[0].method, call.received[0].path) == ("DELETE", "/jobs/a%2Fb")


def test_jobs_are_listed_a_page_at_a_time(call: Caller) -> None:
    summary = {name: JOB[name] for name in JOB if name not in ("result", "error", "parts")}
    call.say(Reply(body={"jobs": [summary], "cursor": "next"}))
    page = call("jobs.list", limit=1, cursor="here")
    assert ([one.id for one in page.jobs], page.cursor) == (["job-1"], "next")
    assert call.received[0].params == {"limit": "1", "cursor": "here"}


@pytest.mark.parametrize("method", ["jobs.get", "jobs.wait", "jobs.cancel", "jobs.events"])
def test_a_job_that_is_not_there_is_said_to_be_so(call: Caller, method: str) -> None:
    call.say(problem(404, "job_not_found", detail="no job x", request_id="r-9"))
    with pytest.raises(gram_client.NotFound, match="request r-9"):
        call(method, "x")


@pytest.mark.parametrize(
    ("options", "state", "methods"),
    [
        ({"cancel_on_exit": True}, "queued", ["POST", "DELETE"]),
        ({"cancel_on_exit": False}, "queued", ["POST"]),
        ({}, "queued", ["POST"]),
        ({"cancel_on_exit": True}, "done", ["POST"]),
    ],
)
def test_open_jobs_are_cancelled_on_exit_where_that_is_asked_for(
    call: Caller, options: dict[str, bool], state: str, methods: list[str]
) -> None:
    call.say(Reply(status=202, body={**JOB, "state": state}), CANCELLED)
    call("jobs.create", PUZZLE, client=options)
    assert [one.method for one in call.received] == methods
    assert call.received[-1].path == ("/jobs" if len(methods) == 1 else "/jobs/job-1")
