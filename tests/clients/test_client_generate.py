"""Made-up boards, from both clients and the console script."""

import json

import pytest

import gram_client
from tests.clients.scripted import BOARD, BOARDS, Caller, Reply, ScriptedServer, gram

REDUCED = """\
+-----+-----+
| . 2 | . . |
| . . | 1 . |
+-----+-----+
| . . | 4 . |
| . 3 | . . |
+-----+-----+
"""
SUMMARY = (
    "complete: 1 boards, 1 of 4 trajectories valid, 31 ms, seed 7, sudoku-4x4-generate@0123abcd\n"
)


def test_boards_come_back_typed(call: Caller) -> None:
    call.say(Reply(body=BOARDS), Reply(body={**BOARDS, "count": 2, "status": "exhausted"}))
    result = call("generate", count=1, seed=7)
    assert isinstance(result, gram_client.GenerateResult)
    assert result.model_dump() == {**BOARDS, "boards": tuple(result.model_dump()["boards"])}
    assert (result.boards[0].answer, result.validity) == ("1234341221434321", 0.25)
    [received] = call.received
    assert (received.method, received.path, received.body) == ("POST", "/generate", b"")
    # Fewer than asked for are no error.
    assert (result.is_complete, call("generate", count=2).is_complete) == (True, False)


def test_the_boards_are_drawn(server: ScriptedServer) -> None:
    server.say(Reply(body=BOARDS))
    run = gram(server, "generate", "--boards")
    assert (run.stdout, run.stderr) == (f"board 1, trajectory 3\n{BOARD}", SUMMARY)
    assert run.exit_code == 0


def test_puzzles_are_drawn_before_their_boards(server: ScriptedServer) -> None:
    board = {**BOARDS["boards"][0], "puzzle": ".2....1...4..3..", "clues": 4}
    server.say(Reply(body={**BOARDS, "boards": [board]}))
    run = gram(server, "generate", "--boards", "--reduce-clues", "unique")
    assert run.stdout == f"puzzle 1, 4 clues\n{REDUCED}board 1, trajectory 3\n{BOARD}"


def test_json_is_one_line_for_each_board(server: ScriptedServer) -> None:
    made = [BOARDS["boards"][0], {**BOARDS["boards"][0], "trajectory": 5}]
    server.say(Reply(body={**BOARDS, "boards": made, "count": 3, "status": "exhausted"}))
    run = gram(server, "generate", "--json", "--count=3")
    assert [json.loads(line) for line in run.stdout.splitlines()] == made
    assert run.exit_code == 1


@pytest.mark.parametrize("text", ["unique", "30", "none"])
def test_clues_are_a_word_or_a_number(server: ScriptedServer, text: str) -> None:
    server.say(Reply(body=BOARDS))
    gram(server, "generate", "--reduce-clues", text, "--seed=9", "--no-distinct")
    assert server.received[0].params["reduce_clues"] == text
    assert server.received[0].params["distinct"] == "false"


def test_other_clues_are_refused_before_anything_is_sent(server: ScriptedServer) -> None:
    run = gram(server, "generate", "--reduce-clues", "few")
    assert (run.exit_code, server.received) == (2, [])
    assert "must be none, unique or a number" in run.stderr
