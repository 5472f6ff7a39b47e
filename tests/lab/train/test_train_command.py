"""The train command from start to card, in this process."""

import json
from pathlib import Path

import pytest
import torch

from gram_core import puzzles
from gram_core.checkpoint import load_model, save_model
from gram_core.config import preset
from gram_core.model import Gram
from gram_lab.card import main, write_card
from gram_lab.train.command import Trained
from gram_lab.train.recipe import Recipe, choices


@pytest.mark.slow
def test_a_run_writes_checkpoint_log_and_card_and_can_go_on(tmp_path: Path) -> None:
    options = [
        "nqueens-5",
        "--preset",
        "tiny",
        "--threads",
        "1",
        "--compile",
        "off",
        "--precision",
        "fp32",
    ]
    output = tmp_path / "first"
    assert main([*options, "--updates", "3", "--output", str(output)]) == 0
    assert load_model(output).info.task == "nqueens-5"
    line = json.loads((output / "log.jsonl").read_text().splitlines()[-1])
    assert line["updates"] == 3
    assert 0.0 <= line["probe_valid"] <= 1.0
    assert line["probe_distinct"] >= 0.0
    card = (output / "CARD.md").read_text()
    assert "gram-lab train nqueens-5" in card
    assert "held-out instances" in card
    assert "MFLOP a supervision step" in card
    more = ["--updates", "5", "--resume", str(output), "--output", str(tmp_path / "second")]
    assert main([*options, *more]) == 0
    line = json.loads((tmp_path / "second" / "log.jsonl").read_text().splitlines()[-1])
    assert line["updates"] == 5


@pytest.mark.slow
def test_a_budget_of_flop_is_spent_on_fewer_updates_where_they_are_dearer(tmp_path: Path) -> None:
    task = puzzles.task("nqueens-5")
    chosen, config = choices(task, preset_name="tiny", settings=["num_rows=8"])
    flop = str(2 * chosen.update_flops(config, task))
    for rows, updates in (("8", 2), ("4", 4)):
        options = ["--preset", "tiny", "--threads", "1", "--compile", "off", "--flop", flop]
        output = tmp_path / rows
        assert (
            main(["nqueens-5", *options, "--set", f"num_rows={rows}", "--output", str(output)]) == 0
        )
        line = json.loads((output / "log.jsonl").read_text().splitlines()[-1])
        assert line["updates"] == updates


def test_missing_training_files_are_refused_with_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sudoku-9x9", "--output", str(tmp_path)]) == 2
    assert "--data" in capsys.readouterr().err


@pytest.mark.slow
def test_the_card_of_a_model_that_generates_tells_its_raw_validity(tmp_path: Path) -> None:
    torch.manual_seed(0)
    task = puzzles.task("sudoku-4x4")
    model = Gram(preset("tiny", task), task.units)
    save_model(
        tmp_path,
        model,
        name="sudoku-4x4-generate",
        task=task,
        depth=3,
        dtype=torch.float32,
        purpose="generate",
    )
    trained = Trained(
        folder=tmp_path,
        loaded=load_model(tmp_path),
        command="gram-lab train",
        minutes=1.0,
        num_updates=2,
        hardware="a test",
        recipe=Recipe(),
    )
    write_card(trained)
    assert "Of 100 boards made up in 3 steps, 0 % were valid." in (tmp_path / "CARD.md").read_text()
