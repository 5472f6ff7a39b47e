"""Made-up boards, from both clients and the console script."""

import json
from typing import Any

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


def test_boards_come_back_typed(server: ScriptedServer, call: Caller) -> None:
    server.say(Reply(body=BOARDS))
    result = call("generate", count=1, seed=7)
    assert isinstance(result, gram_client.GenerateResult)
    assert result.model_dump() == {**BOARDS, "boards": tuple(result.model_dump()["boards"])}
    assert result.is_complete
    assert (result.boards[0].answer, result.validity) == ("1234341221434321", 0.25)
    [received] = server.received
    assert (received.method, received.path, received.body) == ("POST", "/generate", b"")


def test_every_option_reaches_the_server(server: ScriptedServer, call: Caller) -> None:
    server.say(Reply(body=BOARDS))
    options: dict[str, Any] = {
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
    call("generate", "sudoku", **options)
    texts = {name: str(value).lower() for name, value in options.items()}
    assert server.received[0].params == {"puzzle": "sudoku", **texts}


def test_a_repeated_attempt_repeats_the_seed(server: ScriptedServer, call: Caller) -> None:
    server.say(Reply(status=503), Reply(body=BOARDS))
    call("generate")
    first, second = (received.params["seed"] for received in server.received)
    assert first == second


def test_fewer_boards_than_asked_for_are_no_error(server: ScriptedServer, call: Caller) -> None:
    server.say(Reply(body={**BOARDS, "count": 2, "status": "exhausted"}))
    assert not call("generate", count=2).is_complete


def test_the_boards_are_drawn(server: ScriptedServer) -> None:
    server.say(Reply(body=BOARDS))
    run = gram(server, "generate", "--boards")
    assert run.stdout == f"board 1, trajectory 3\n{BOARD}"
    assert run.stderr == SUMMARY
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


@pytest.mark.parametrize(("text", "sent"), [("unique", "unique"), ("30", "30"), ("none", "none")])
def test_clues_are_a_word_or_a_number(server: ScriptedServer, text: str, sent: str) -> None:
    server.say(Reply(body=BOARDS))
    gram(server, "generate", "--clues", text, "--seed=9", "--no-distinct")
    assert server.received[0].params["reduce_clues"] == sent
    assert server.received[0].params["distinct"] == "false"


def test_other_clues_are_refused_before_anything_is_sent(server: ScriptedServer) -> None:
    run = gram(server, "generate", "--clues", "few")
    assert (run.exit_code, server.received) == (2, [])
    assert "must be none, unique or a number" in run.stderr
