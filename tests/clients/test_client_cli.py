"""The console script: exact output and exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gram_client import GenerateOptions, JobOptions, SolveOptions, __version__
from gram_client.cli import main
from tests.clients.scripted import (
    BOARD,
    MODEL,
    PUZZLE,
    RESULT,
    UNSOLVED,
    Reply,
    ScriptedServer,
    gram,
    problem,
)

HELP = """\
Usage: gram [OPTIONS] COMMAND [ARGS]...

  Ask a gram-server to solve puzzles.

  Exit status 0: solved, 1: unsolved, 2: wrong usage, or the server could not or
  would not, 130: interrupted.

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
  cancel      End jobs that are not final yet; final ones stay as they are.
  completion  Print the script that completes gram's words in SHELL.
  generate    Generate boards of PUZZLE (sudoku), or puzzles made of them.
  jobs        List the jobs of the API key, newest first.
  models      List the models the server has loaded.
  puzzles     List the puzzles the server knows.
  show        Show a job and its result.
  solve       Solve each PUZZLE: a file, - for stdin, or the puzzle itself.
  submit      Hand in each PUZZLE as a job, many as one batch.
  watch       Follow a job to its end; leaving does not end it.

  Environment:
    GRAM_BASE_URL  the server, http://127.0.0.1:8000 by default
    GRAM_API_KEY   the key, where the server asks for one
    GRAM_LOG       info or debug: show every request
    NO_COLOR       no colours
"""
SUMMARY = "solved: 1 distinct, 15 of 16 trajectories valid, 31 ms, seed 7, sudoku-4x4@0123abcd\n"


def test_solve_draws_the_boards(server: ScriptedServer) -> None:
    server.say(Reply(body=RESULT))
    run = gram(server, "solve", PUZZLE, "--boards")
    assert (run.stdout, run.stderr) == (f"solution 1, 15 votes\n{BOARD}", SUMMARY)
    assert run.exit_code == 0


def test_json_prints_the_result_on_one_line(server: ScriptedServer) -> None:
    server.say(Reply(body=RESULT))
    run = gram(server, "solve", PUZZLE, "--json")
    assert json.loads(run.stdout) == {"source": "puzzle", **RESULT, "posted": PUZZLE}
    assert run.stdout.count("\n") == 1
    assert run.stderr == ""
    assert run.exit_code == 0


def test_options_reach_the_server(server: ScriptedServer) -> None:
    server.say(Reply(body=RESULT))
    gram(server, "solve", PUZZLE, "--width=64", "--depth=4", "--max-solutions=1", "--seed=9",
         "--no-augment", "--model=mine")  # fmt: skip
    expected = {"width": "64", "depth": "4", "max_solutions": "1", "seed": "9"}
    expected |= {"augment": "false", "model": "mine"}
    assert expected.items() <= server.received[0].params.items()


def test_a_file_and_stdin_are_read(server: ScriptedServer, tmp_path: Path) -> None:
    server.say(Reply(body=RESULT))
    file = tmp_path / "board.txt"
    file.write_text(f"{PUZZLE}\n", encoding="utf-8")
    assert gram(server, "solve", str(file)).exit_code == 0
    assert gram(server, "solve", "-", stdin=f"{PUZZLE}\n").exit_code == 0
    assert [received.body for received in server.received] == [PUZZLE.encode()] * 2


def test_an_unsolved_puzzle_exits_with_one_and_shows_what_is_wrong(server: ScriptedServer) -> None:
    attempt = {
        "answer": "1234341221434322",
        "violations": [{"rule": "row 3", "cells": [[3, 2], [3, 3]]}],
    }
    server.say(Reply(body=UNSOLVED | {"best_attempt": attempt, "valid_trajectories": 0}))
    run = gram(server, "solve", PUZZLE, "--boards")
    assert run.exit_code == 1
    assert run.stdout == ""
    assert run.stderr == (
        "unsolved: 0 distinct, 0 of 16 trajectories valid, 31 ms, seed 7, sudoku-4x4@0123abcd\n"
        "best attempt, broken rules: 1\n"
        f"{BOARD.replace('| 4 3 | 2 1 |', '| 4 3 | 2 2 |')}"
        "  row 3: (3, 2) (3, 3)\n"
    )


def test_candidates_are_drawn_and_exit_as_what_is_not_solved(server: ScriptedServer) -> None:
    first = {"trajectory": 0, "step": 6, "ms": 1.5}
    candidate = {"answer": [[1, 2]], "votes": 9, "value": 0.5, "first": first}
    told = {"puzzle": "arc", "verified": False, "candidates": [candidate]}
    server.say(Reply(body={**UNSOLVED, **told, "best_attempt": None}))
    run = gram(server, "solve", PUZZLE, "--boards")
    assert (run.exit_code, run.stdout) == (1, "candidate 1, 9 votes\n1 2\n")
    assert run.stderr.startswith("not verified: 1 candidates, 16 trajectories, ")


def test_a_puzzle_without_a_solution_is_said_to_have_none(server: ScriptedServer) -> None:
    proof = {"reason": "exact search found no solution", "cells": []}
    server.say(Reply(body={**UNSOLVED, "unsolvable": proof}))
    run = gram(server, "solve", PUZZLE, "--boards")
    assert run.exit_code == 1
    assert run.stderr.startswith(
        "unsolved: no solution, exact search found no solution; 0 distinct"
    )


def test_only_the_first_broken_rules_are_spelled_out(server: ScriptedServer) -> None:
    violations = [{"rule": f"row {row}", "cells": [[row, 0]]} for row in range(7)]
    attempt = {"answer": "1" * 16, "violations": violations}
    server.say(Reply(body=UNSOLVED | {"best_attempt": attempt}))
    lines = gram(server, "solve", PUZZLE, "--boards").stderr.splitlines()
    assert lines[1] == "best attempt, broken rules: 7"
    assert lines[-2:] == ["  row 4: (4, 0)", "  and 2 more"]


def test_a_best_attempt_with_too_few_queens_keeps_the_size_of_the_board(
    server: ScriptedServer,
) -> None:
    attempt = {"answer": [[0, 1]], "violations": [{"rule": "row 3", "cells": []}]}
    server.say(Reply(body=UNSOLVED | {"puzzle": "nqueens", "best_attempt": attempt}))
    run = gram(server, "solve", "--boards", '{"puzzle": "nqueens", "n": 4}')
    assert run.stderr.splitlines()[2:6] == [". Q . .", ". . . .", ". . . .", ". . . ."]


def test_a_refused_puzzle_exits_with_two_and_says_where_it_is_wrong(server: ScriptedServer) -> None:
    detail = "5 stands 2 times in row 0"
    issue = {"field": "grid", "detail": detail, "rule": "row 0", "cells": [[0, 0], [0, 8]]}
    server.say(problem(422, "puzzle_invalid", detail=f"grid: {detail}", errors=[issue]))
    run = gram(server, "solve", "5" * 81)
    assert run.exit_code == 2
    assert run.stdout == ""
    assert run.stderr == ("gram: grid: 5 stands 2 times in row 0 [422]\n  row 0: (0, 0) (0, 8)\n")


def test_a_missing_server_exits_with_two(closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    run = CliRunner().invoke(main, ["models", "--base-url", url])
    assert run.exit_code == 2
    assert run.stderr.startswith(f"gram: no connection to {url}: ")
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["solve"], None),
        (["solve", "no-such-file.txt"], None),
        (["solve", "{not json"], None),
        (["solve", PUZZLE, "--width=many"], None),
        (["solve", PUZZLE, "--halt=later"], None),
        (["dance"], None),
        *((["solve", "-"], text) for text in ("", "\n\n", "[]", "{not json", "[1]")),
    ],
)
def test_wrong_usage_exits_with_two_and_reaches_no_server(
    server: ScriptedServer, arguments: list[str], stdin: str | None
) -> None:
    run = gram(server, *arguments, stdin=stdin)
    assert run.exit_code == 2
    assert run.stderr.startswith("Usage: ")
    assert server.received == []


def test_models_and_puzzles_are_listed(server: ScriptedServer) -> None:
    tasks = ["sudoku-4x4", "sudoku-9x9"]
    puzzle = {"name": "sudoku", "tasks": tasks, "example": None, "walls": ""}
    server.say(Reply(body={"models": [MODEL]}), Reply(body={"puzzles": [puzzle]}))
    assert gram(server, "models", "--boards").stdout == (
        "sudoku-9x9@0123abcd              sudoku-9x9           depth 16   190,000 parameters\n"
    )
    assert gram(server, "puzzles", "--boards").stdout == "sudoku           sudoku-4x4 sudoku-9x9\n"
    # Lines of JSON where nobody looks.
    assert json.loads(gram(server, "puzzles").stdout) == puzzle


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_has_help_with_examples(command: str) -> None:
    run = CliRunner().invoke(main, [command, "--help"], prog_name="gram")
    assert run.exit_code == 0
    assert run.stdout.startswith(f"Usage: gram {command} ")
    examples = run.stdout.partition("Examples:\n")[2]
    assert f"gram {command}" in examples


@pytest.mark.parametrize(
    ("command", "options"),
    [("solve", SolveOptions), ("submit", JobOptions), ("generate", GenerateOptions)],
)
def test_every_option_of_a_call_has_a_flag(command: str, options: Any) -> None:
    given = {name for one in main.commands[command].params for name in one.opts}
    # Headers are for programs.
    names = options.__optional_keys__ - {"extra_headers"}
    flags = {f"--{name.replace('_', '-')}" for name in names}
    # The flag of a key is --key.
    assert flags - given == {"--idempotency-key"} & flags


def test_the_help_lists_every_command() -> None:
    run = CliRunner().invoke(main, ["--help"], prog_name="gram")
    assert run.stdout == HELP


def test_the_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(main, ["--version"]).stdout == f"gram, version {__version__}\n"


@pytest.mark.parametrize(
    "posted",
    [" .#\nS.G\n", '{"puzzle": "maze", "grid": [" .#", "S.G"]}'],
)
def test_the_path_through_a_maze_is_drawn_on_it(server: ScriptedServer, posted: str) -> None:
    path = {"answer": [[1, 0], [1, 1], [1, 2]], "votes": 4, "source": "model"}
    server.say(Reply(body=RESULT | {"puzzle": "maze", "solutions": [path]}))
    run = gram(server, "solve", "-", "--boards", stdin=posted)
    assert run.stdout == "solution 1, 4 votes\n .#\nS*G\n"
    assert server.received[0].body.startswith((b" .#\nS.G", b"{"))
