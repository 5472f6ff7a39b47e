"""What ``gram submit``, ``watch``, ``cancel``, ``puzzles`` and ``completion`` print, exactly."""

import json

import pytest
from click.testing import CliRunner

from gram_client.cli import main
from tests.clients.scripted import (
    BOARD,
    JOB,
    PUZZLE,
    RESULT,
    Received,
    Reply,
    ScriptedServer,
    gram,
    problem,
    stream,
)

ACCEPTED = {"id": "job-1", "puzzle": "sudoku", "model": "m", "width": 4, "depth": 8, "seed": 7}
LOOK = {"step": 2, "live": 3, "solved": 1, "trajectories": []}
FOUND = {
    "answer": "1234341221434321",
    "votes": 1,
    "source": "model",
    "value": 0.5,
    "first": {"trajectory": 1, "step": 2, "ms": 3.5},
}


def test_submit_prints_the_job(server: ScriptedServer) -> None:
    server.say(Reply(status=202, body=JOB))
    run = gram(server, "submit", PUZZLE, "--priority=high", "--key=mine", "--boards")
    assert (run.stdout, run.exit_code) == ("job-1 queued\n", 0)
    received = server.received[0]
    assert (received.path, received.params["priority"]) == ("/jobs", "high")
    assert received.headers["Idempotency-Key"] == "mine"
    assert json.loads(gram(server, "submit", PUZZLE).stdout) == JOB


def test_many_puzzles_are_submitted_as_one_batch(server: ScriptedServer) -> None:
    server.say(Reply(status=202, body={**JOB, "batch": {"size": 2, "finished": 0}}))
    run = gram(server, "submit", "-", "--boards", stdin=f"{PUZZLE}\n{PUZZLE}\n")
    assert run.stdout == "job-1 queued, 0 of 2 puzzles done\n"
    assert json.loads(server.received[0].body) == {"instances": [PUZZLE, PUZZLE]}


def test_watch_draws_what_happens(server: ScriptedServer) -> None:
    server.say(
        stream(
            (1, "accepted", ACCEPTED),
            (2, "progress", LOOK),
            (3, "solution", FOUND),
            (4, "done", RESULT),
        ),
        Reply(body={**JOB, "state": "done", "result": RESULT}),
    )
    run = gram(server, "watch", "job-1", "--boards")
    assert run.stdout == (
        "sudoku, width 4, seed 7, m\n"
        f"solution, step 2\n{BOARD}"
        "solved: 1 distinct, 15 of 16 trajectories valid, 31 ms, seed 7, sudoku-4x4@0123abcd\n"
    )
    assert run.stderr == "step 2: 3 live, 1 solved\n"
    assert run.exit_code == 0


def test_watch_prints_events_as_lines_where_nobody_looks(server: ScriptedServer) -> None:
    events = stream((2, "progress", LOOK), (4, "done", {**RESULT, "solutions": []}))
    server.say(events, Reply(body={**JOB, "state": "done"}))
    run = gram(server, "watch", "job-1", "--after", "1")
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    # A server of before says no steps.
    assert lines[0] == {"id": 2, "event": "progress", "data": {**LOOK, "solved_at": []}}
    assert (lines[1]["id"], lines[1]["event"]) == (4, "done")
    assert run.exit_code == 1
    assert server.received[0].headers["Last-Event-ID"] == "1"


def test_watching_a_job_that_failed_exits_with_two(server: ScriptedServer) -> None:
    problem = {"status": 500, "code": "job_failed", "detail": "engine: no"}
    server.say(stream((1, "error", problem)))
    run = gram(server, "watch", "job-1")
    assert (run.stdout, run.stderr, run.exit_code) == ("", "gram: engine: no [500]\n", 2)


def test_cancel_shows_each_job(server: ScriptedServer) -> None:
    server.say(Reply(body={**JOB, "state": "cancelled"}))
    run = gram(server, "cancel", "job-1", "job-1", "--boards")
    assert (run.stdout, run.exit_code) == ("job-1 cancelled\njob-1 cancelled\n", 0)
    assert {received.method for received in server.received} == {"DELETE"}


@pytest.mark.parametrize("command", [["watch", "x"], ["cancel", "x"], ["show", "x"], ["jobs"]])
def test_what_the_server_refuses_exits_with_two(server: ScriptedServer, command: list[str]) -> None:
    server.say(problem(404, "job_not_found", detail="no job x"))
    run = gram(server, *command)
    assert (run.stdout, run.stderr, run.exit_code) == ("", "gram: no job x [404]\n", 2)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    run = CliRunner().invoke(main, ["completion", shell])
    assert run.exit_code == 0
    assert f"_GRAM_COMPLETE={shell}_complete" in run.stdout


def test_the_completion_knows_the_commands() -> None:
    env = {"_GRAM_COMPLETE": "bash_complete", "COMP_WORDS": "gram so", "COMP_CWORD": "1"}
    run = CliRunner(env=env).invoke(main, [], prog_name="gram")
    assert run.stdout == "plain,solve\n"


class Batches:
    """Takes batches of at most four puzzles, none of which says 0."""

    def __init__(self, server: ScriptedServer) -> None:
        self.taken: list[list[str]] = []
        self.keys: list[str] = []
        self.num_busy = 0
        server.next_reply = self._answer  # type: ignore[method-assign]  # a server of its own kind

    def _answer(self, received: Received) -> Reply:
        self.keys.append(received.headers["Idempotency-Key"])
        body = received.body.decode()
        puzzles = json.loads(body)["instances"] if body.startswith("{") else [body]
        if len(puzzles) > 4:
            issue = {"field": "width", "detail": "too many trajectories"}
            return problem(422, "parameter_invalid", errors=[issue], retryable=False)
        wrong = next((at for at, text in enumerate(puzzles) if "0" in text), None)
        if wrong is not None:
            issue = {"field": f"instances[{wrong}].grid", "detail": "no"}
            return problem(422, "puzzle_invalid", errors=[issue], retryable=False)
        if self.num_busy:
            self.num_busy -= 1
            return problem(429, "queue_full", headers={"Retry-After": "0"}, retryable=True)
        self.taken.append(puzzles)
        return Reply(status=202, body={**JOB, "id": f"job-{len(self.taken)}"})


def test_more_puzzles_than_a_batch_holds_become_several(server: ScriptedServer) -> None:
    batches = Batches(server)
    batches.num_busy = 7
    lines = [PUZZLE] * 10
    lines[3] = lines[7] = PUZZLE.replace(".", "0")
    lines.insert(5, "no puzzle")
    run = gram(server, "submit", "-", "--json", stdin="\n".join(lines))
    assert [puzzle for part in batches.taken for puzzle in part] == [PUZZLE] * 8
    assert len(batches.taken) > 1
    assert run.stdout.count("\n") == len(batches.taken)
    assert "gram: stdin:6: is no puzzle: no puzzle\n" in run.stderr
    assert "gram: stdin:4: " in run.stderr
    assert "gram: stdin:9: " in run.stderr
    assert "job-1: stdin:1 to stdin:" in run.stderr
    assert run.exit_code == 2


def test_what_every_puzzle_would_be_refused_for_ends_a_submission(server: ScriptedServer) -> None:
    server.say(problem(401, "key_missing", detail="no key", retryable=False))
    run = gram(server, "submit", "-", stdin=f"{PUZZLE}\n" * 9)
    assert (run.exit_code, len(server.received)) == (2, 1)
    assert run.stderr == (
        "gram: 9 puzzles are not handed in, from stdin:1 on\ngram: no key [401]\n"
    )


def test_parts_of_a_submission_have_keys_of_their_own(server: ScriptedServer) -> None:
    keys = Batches(server).keys
    puzzles = "\n".join(PUZZLE.replace(".", str(number)) for number in range(1, 7))
    for _ in range(2):
        assert gram(server, "submit", "-", "--key=mine", stdin=puzzles).exit_code == 0
    assert keys[:3] == keys[3:]
    assert len(set(keys)) == 3
