"""The train command from start to card, in this process."""

import json
import math
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gram_core import puzzles
from gram_core.catalog import read_models
from gram_core.checkpoint import load_model, save_model
from gram_core.config import preset
from gram_core.model import Gram
from gram_lab.card import main, write_card
from gram_lab.train.command import Trained
from gram_lab.train.recipe import Recipe, choices
from gram_lab.train.sources import validation_examples


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


TINY = ("nqueens-5", "--preset", "tiny", "--threads", "1", "--compile", "off", "--updates", "2")


@pytest.mark.parametrize("tracker", ["tensorboard", "wandb"])
def test_a_tracker_that_is_not_installed_is_refused_in_one_sentence(
    tracker: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, tracker, None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    assert main([*TINY, "--log", tracker, "--output", str(tmp_path)]) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.endswith(f"is not installed: pip install {tracker}")


@pytest.mark.slow
def test_a_tracker_is_told_the_figures_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[dict[str, Any], int]] = []
    run = SimpleNamespace(log=lambda figures, step: told.append((figures, step)))
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **_: run))
    assert main([*TINY, "--log", "wandb", "--output", str(tmp_path)]) == 0
    line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    figures, step = told[-1]
    assert step == line["updates"] == 2
    assert figures == line


@pytest.mark.slow
def test_minutes_begin_with_the_first_update_and_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["nqueens-5", "--preset", "tiny", "--threads", "1", "--compile", "off"]

    def slow(*arguments: Any, **named: Any) -> object:
        time.sleep(1.0)
        return validation_examples(*arguments, **named)

    monkeypatch.setattr("gram_lab.train.command.validation_examples", slow)
    output = tmp_path / "short"
    assert main([*options, "--minutes", "0.01", "--output", str(output)]) == 0
    line = json.loads((output / "log.jsonl").read_text().splitlines()[-1])
    assert line["updates"] >= 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("0% measuring\n")
    assert "100% loss " in shown.err


@pytest.mark.parametrize("budget", ["--minutes", "--updates"])
def test_a_budget_without_an_update_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], budget: str
) -> None:
    options = ["nqueens-5", "--preset", "tiny", "--threads", "1", "--compile", "off"]
    assert main([*options, budget, "0", "--output", str(tmp_path / "none")]) == 2
    words = capsys.readouterr().err
    assert f"{budget.removeprefix('--')} = 0" in words
    assert "leaves no time for an update" in words


@pytest.mark.slow
def test_a_range_of_sizes_trains_one_set_of_weights(tmp_path: Path) -> None:
    options = ["--preset", "tiny", "--threads", "1", "--compile", "off", "--updates", "6"]
    output = tmp_path / "all"
    assert main(["nqueens-4..6", *options, "--set", "num_rows=8", "--output", str(output)]) == 0
    assert [info.name for info in read_models(output)] == ["nqueens-6", "nqueens-5", "nqueens-4"]
    line = json.loads((output / "log.jsonl").read_text().splitlines()[-1])
    assert list(line["probe_by_task"]) == ["nqueens-6", "nqueens-5", "nqueens-4"]
    assert main(["nqueens-6..4", *options, "--output", str(output)]) == 2


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


SMALLER = ("dim=16", "num_heads=4", "ffn_dim=16", "guidance_dim=8", "num_rows=4", "depths=2")


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--preset", "paper"), ("--recipe", "gram")])
def test_the_preset_of_the_paper_is_its_recipe(options: tuple[str, str], tmp_path: Path) -> None:
    settings = [word for setting in SMALLER for word in ("--set", setting)]
    command = ["nqueens-5", *options, *settings, "--updates", "6", "--compile", "off"]
    assert main([*command, "--output", str(tmp_path)]) == 0
    card = (tmp_path / "CARD.md").read_text()
    assert '"prior_share": 0.0' in card
    assert '"charges": "last"' in card
    assert load_model(tmp_path).info.architecture.num_transitions == 3
    line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    # Posterior rows alone.
    assert line["ended"] > 0
    assert line["kl_nats"] > 0.0
    assert line["posterior_solved"] >= 0.0
    assert math.isnan(line["prior_solved"])


@pytest.mark.slow
def test_a_recipe_may_say_how_long_it_trains(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('preset = "tiny"\nnum_updates = 3\nnum_rows = 4\ndepths = 2\n')
    options = ["nqueens-5", "--recipe", str(mine), "--compile", "off"]
    for budget, updates in (((), 3), (("--updates", "2"), 2)):
        output = tmp_path / str(updates)
        assert main([*options, *budget, "--output", str(output)]) == 0
        line = json.loads((output / "log.jsonl").read_text().splitlines()[-1])
        assert line["updates"] == updates


def test_a_preset_beside_a_recipe_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["nqueens-5", "--recipe", "gram", "--preset", "tiny", "--output", str(tmp_path)])
    assert "not allowed with" in capsys.readouterr().err
    assert main(["nqueens-5", "--recipe", "graham", "--output", str(tmp_path)]) == 2
    assert "trm-mlp" in capsys.readouterr().err
