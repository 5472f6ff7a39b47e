"""What ``gram`` reads: every form of file, many puzzles in one, and what is said of many."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gram_client.cli import main
from gram_client.cli.puzzle_files import read_entries
from gram_client.cli.solve_command import Tally
from gram_files import Entry
from tests.clients.scripted import PUZZLE, RESULT, UNSOLVED, Reply, ScriptedServer, gram, problem

GRAPH = "c a path\np edge 3 2\ne 1 2\ne 2 3\n"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("one.txt", f"{PUZZLE}\n", [("", PUZZLE)]),
        ("rows.txt", "12.4\n3412\n2143\n4321\n", [("", "12.4\n3412\n2143\n4321")]),
        ("many.txt", f"{PUZZLE}\n\n{PUZZLE}\n", [(":1", PUZZLE), (":3", PUZZLE)]),
        ("rated.txt", f"{PUZZLE} 1.2\n{PUZZLE} 7.1\n", [(":1", PUZZLE), (":2", PUZZLE)]),
        ("many.sdm", f"# easy\n{PUZZLE}\n{PUZZLE}\n", [(":2", PUZZLE), (":3", PUZZLE)]),
        ("one.sdm", f"# easy\n{PUZZLE}\n", [("", PUZZLE)]),
        (
            "one.sdk",
            "#A someone\n[Puzzle]\n12.4\n3412\n2143\n4321\n[State]\n1234\n3412\n2143\n4321\n",
            [("", "12.4\n3412\n2143\n4321")],
        ),
        ("path.col", GRAPH, [("", GRAPH.rstrip())]),
        ("queens.json", '{"puzzle": "nqueens", "n": 4}', [("", {"puzzle": "nqueens", "n": 4})]),
        ("rows.json", "[[2, 0], [0, 1]]", [("", {"puzzle": "sudoku", "grid": [[2, 0], [0, 1]]})]),
        ("list.json", f'["{PUZZLE}", {{"n": 4}}]', [(":1", PUZZLE), (":2", {"n": 4})]),
        ("batch.json", f'{{"instances": ["{PUZZLE}"]}}', [(":1", PUZZLE)]),
        ("lines.jsonl", '{"n": 4}\n\n{"n": 5}\n', [(":1", {"n": 4}), (":3", {"n": 5})]),
        ("maze.txt", " .#\nS.G\n", [("", " .#\nS.G")]),
        ("walls.txt", "#####\n#S.G#\n#####\n", [("", "#####\n#S.G#\n#####")]),
    ],
)
def test_every_form_of_file_is_read(
    tmp_path: Path, name: str, text: str, expected: list[tuple[str, Any]]
) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    entries = [Entry(f"{path}{where}", puzzle) for where, puzzle in expected]
    assert read_entries([str(path)]) == entries


def test_many_puzzles_are_json_lines_and_a_table(server: ScriptedServer) -> None:
    refused = problem(422, "puzzle_invalid", detail="4 stands twice")
    server.say(Reply(body=RESULT), Reply(body=UNSOLVED), refused)
    run = gram(server, "solve", "-", "--concurrency=1", stdin=f"{PUZZLE}\n" * 3)
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert lines[0] == {"source": "stdin:1", **RESULT, "posted": PUZZLE}
    assert (lines[1]["source"], lines[1]["status"]) == ("stdin:2", "unsolved")
    assert lines[2] == {
        "source": "stdin:3",
        "error": {"code": "puzzle_invalid", "detail": "4 stands twice [422]"},
    }
    assert "gram: stdin:3: 4 stands twice [422]\n" in run.stderr
    assert run.exit_code == 2


def test_many_puzzles_of_a_file_show_progress_and_end_with_a_table(
    server: ScriptedServer, tmp_path: Path
) -> None:
    path, output = tmp_path / "puzzles.txt", tmp_path / "solved.jsonl"
    path.write_text(f"{PUZZLE}\n" * 4, encoding="utf-8")
    server.say(Reply(body=RESULT), Reply(body=RESULT), Reply(body=RESULT), Reply(body=UNSOLVED))
    run = gram(server, "solve", str(path), "--output", str(output), "--concurrency=1")
    assert (run.exit_code, run.stdout) == (1, "")
    assert "solving" in run.stderr
    lines = output.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["source"] for line in lines] == [f"{path}:{n}" for n in range(1, 5)]
    table = run.stderr.splitlines()[-5:]
    assert table[:4] == [
        "          puzzles   share  solutions  steps  median ms",
        "solved          3   75.0%          3    120       31.4",
        "unsolved        1   25.0%          0     40       31.4",
        "all             4  100.0%          3    160       31.4",
    ]
    assert re.fullmatch(r"[\d.]+ s, [\d.]+ puzzles/s", table[4])


def test_nothing_to_count_is_no_failure() -> None:
    assert Tally().report(duration_s=0.0).endswith("0.0 s, 0.0 puzzles/s")


def test_boards_of_many_puzzles_are_drawn_where_asked_for(server: ScriptedServer) -> None:
    server.say(Reply(body=RESULT))
    run = gram(server, "solve", "-", "--boards", stdin=f"{PUZZLE}\n" * 2)
    assert run.stdout.count("+-----+-----+\n") == 6
    assert run.stdout.startswith("stdin:1\nsolution 1, 15 votes\n")


def test_what_was_found_stands_out_on_a_terminal(server: ScriptedServer) -> None:
    server.say(Reply(body=RESULT))
    runner = CliRunner(env={"GRAM_BASE_URL": server.url})
    run = runner.invoke(main, ["solve", PUZZLE, "--boards"], color=True)
    # One cell was open.
    assert re.findall(r"\x1b\[36m\x1b\[1m(\d)\x1b\[0m", run.stdout) == ["3"]


def test_local_needs_the_server_to_be_installed(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gram_client.cli.local.find_spec", lambda name: None)
    run = gram(server, "solve", PUZZLE, "--local")
    assert run.exit_code == 2
    assert "in a checkout pip install ." in run.stderr


def test_what_can_be_read_is_solved_and_the_rest_is_named(
    server: ScriptedServer, tmp_path: Path
) -> None:
    server.say(Reply(body=RESULT))
    path = tmp_path / "quiz.csv"
    path.write_text(f"id,quizzes\n1,{PUZZLE}\n2\n3,{PUZZLE}\n", encoding="utf-8")
    run = gram(server, "solve", str(path), str(tmp_path / "none"), "--concurrency=1")
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [line["source"] for line in lines] == [
        *(f"{path}:{number}" for number in (2, 3, 4)),
        str(tmp_path / "none"),
    ]
    assert lines[1]["error"] == {"code": "puzzle_unusable", "detail": "has 1 of 2 columns"}
    assert f"gram: {path}:3: has 1 of 2 columns\n" in run.stderr
    assert "error         2   50.0%\n" in run.stderr
    assert (run.exit_code, len(server.received)) == (2, 2)


def test_the_only_puzzle_of_a_file_is_named_too(server: ScriptedServer, tmp_path: Path) -> None:
    path = tmp_path / "board.txt"
    path.write_text(f"{PUZZLE}5\n", encoding="utf-8")
    server.say(problem(422, "puzzle_invalid", detail="has 17 cells"))
    for command in ("solve", "submit"):
        run = gram(server, command, str(path))
        assert (run.exit_code, run.stderr) == (2, f"gram: {path}: has 17 cells [422]\n")


def test_a_busy_server_is_waited_for(server: ScriptedServer) -> None:
    busy = problem(429, "queue_full", headers={"Retry-After": "0"}, retryable=True)
    server.say(*[busy] * 8, Reply(body=RESULT))
    run = gram(server, "solve", "-", "--concurrency=1", stdin=f"{PUZZLE}\n" * 2)
    assert run.exit_code == 0
    assert len(run.stdout.splitlines()) == 2
    server.received.clear()
    server.say(problem(429, "queue_full", headers={"Retry-After": "1"}, retryable=True))
    run = gram(server, "solve", "-", "--patience-s=0", stdin=f"{PUZZLE}\n" * 2)
    assert (run.exit_code, run.stdout.count("queue_full")) == (2, 2)


def test_a_run_that_ended_early_is_resumed(server: ScriptedServer, tmp_path: Path) -> None:
    path, output = tmp_path / "puzzles.txt", tmp_path / "solved.jsonl"
    path.write_text(f"{PUZZLE}\n" * 4, encoding="utf-8")
    kept = json.dumps({"source": f"{path}:2", "status": "solved"})
    failed = json.dumps({"source": f"{path}:1", "error": {"code": "queue_full"}})
    output.write_text(f'{kept}\n{failed}\n{{"source": "{path}:3", "sta', encoding="utf-8")
    server.say(Reply(body=RESULT))
    run = gram(server, "solve", str(path), "--output", str(output), "--resume", "--concurrency=1")
    assert run.exit_code == 0
    sources = [json.loads(line)["source"] for line in output.read_text("utf-8").splitlines()]
    assert sources == [f"{path}:{number}" for number in (2, 1, 3, 4)]
    assert gram(server, "solve", str(path), "--resume").exit_code == 2
