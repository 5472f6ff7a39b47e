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

TINY = ("--preset", "tiny", "--threads", "1", "--compile", "off")
QUEENS = ("nqueens-5", *TINY, "--updates", "2")


def trained(output: Path, *options: str) -> dict[str, Any]:
    """Train, and return the last line of the log."""
    assert main([*options, "--output", str(output)]) == 0
    line: dict[str, Any] = json.loads((output / "log.jsonl").read_text().splitlines()[-1])
    return line


@pytest.mark.slow
def test_a_run_writes_checkpoint_log_and_card_and_can_go_on(tmp_path: Path) -> None:
    options = ["nqueens-5", *TINY, "--precision", "fp32"]
    output = tmp_path / "first"
    line = trained(output, *options, "--updates", "3")
    assert load_model(output).info.task == "nqueens-5"
    assert line["updates"] == 3
    assert 0.0 <= line["probe_valid"] <= 1.0
    assert line["probe_distinct"] >= 0.0
    card = (output / "CARD.md").read_text()
    assert "gram-lab train nqueens-5" in card
    assert "held-out instances" in card
    assert "MFLOP a supervision step" in card
    more = ["--updates", "5", "--resume", str(output)]
    assert trained(tmp_path / "second", *options, *more)["updates"] == 5


@pytest.mark.parametrize("tracker", ["tensorboard", "wandb"])
def test_a_tracker_that_is_not_installed_is_refused_in_one_sentence(
    tracker: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, tracker, None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    assert main([*QUEENS, "--log", tracker, "--output", str(tmp_path)]) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.endswith(f"is not installed: pip install {tracker}")


@pytest.mark.slow
def test_a_tracker_is_told_the_figures_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[dict[str, Any], int]] = []
    run = SimpleNamespace(log=lambda figures, step: told.append((figures, step)))
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **_: run))
    line = trained(tmp_path, *QUEENS, "--log", "wandb")
    figures, step = told[-1]
    assert step == line["updates"] == 2
    assert figures == line


@pytest.mark.slow
def test_minutes_begin_with_the_first_update_and_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*arguments: Any, **named: Any) -> object:
        time.sleep(1.0)
        return validation_examples(*arguments, **named)

    monkeypatch.setattr("gram_lab.train.command.validation_examples", slow)
    assert trained(tmp_path, "nqueens-5", *TINY, "--minutes", "0.01")["updates"] >= 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("0% measuring\n")
    assert "100% loss " in shown.err


@pytest.mark.parametrize("budget", ["--minutes", "--updates"])
def test_a_budget_without_an_update_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], budget: str
) -> None:
    assert main(["nqueens-5", *TINY, budget, "0", "--output", str(tmp_path / "none")]) == 2
    words = capsys.readouterr().err
    assert f"{budget.removeprefix('--')} = 0" in words
    assert "leaves no time for an update" in words


@pytest.mark.slow
def test_a_range_of_sizes_trains_one_set_of_weights(tmp_path: Path) -> None:
    options, names = [*TINY, "--updates", "6"], ["nqueens-6", "nqueens-5", "nqueens-4"]
    line = trained(tmp_path, "nqueens-4..6", *options, "--set", "num_rows=8")
    assert [info.name for info in read_models(tmp_path)] == names
    assert list(line["probe_by_task"]) == names
    assert main(["nqueens-6..4", *options, "--output", str(tmp_path)]) == 2


@pytest.mark.slow
def test_a_budget_of_flop_is_spent_on_fewer_updates_where_they_are_dearer(tmp_path: Path) -> None:
    task = puzzles.task("nqueens-5")
    chosen, config = choices(task, preset_name="tiny", settings=["num_rows=8"])
    flop = str(2 * chosen.update_flops(config, task))
    for rows, updates in (("8", 2), ("4", 4)):
        options = ["nqueens-5", *TINY, "--flop", flop, "--set", f"num_rows={rows}"]
        assert trained(tmp_path / rows, *options)["updates"] == updates


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
    named: Any = {"name": "m", "task": task, "depth": 3, "dtype": torch.float32}
    save_model(tmp_path, model, purpose="generate", **named)
    loaded = load_model(tmp_path)
    write_card(Trained(tmp_path, loaded, "gram-lab train", 1.0, 2, "a test", Recipe()))
    assert "Of 100 boards made up in 3 steps, 0 % were valid." in (tmp_path / "CARD.md").read_text()


SMALLER = ("dim=16", "num_heads=4", "ffn_dim=16", "guidance_dim=8", "num_rows=4", "depths=2")


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--preset", "paper"), ("--recipe", "gram")])
def test_the_preset_of_the_paper_is_its_recipe(options: tuple[str, str], tmp_path: Path) -> None:
    settings = [word for setting in SMALLER for word in ("--set", setting)]
    line = trained(tmp_path, "nqueens-5", *options, *settings, "--updates", "6", "--compile", "off")
    card = (tmp_path / "CARD.md").read_text()
    assert '"prior_share": 0.0' in card
    assert '"charges": "last"' in card
    assert load_model(tmp_path).info.architecture.num_transitions == 3
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
    assert trained(tmp_path / "3", *options)["updates"] == 3
    assert trained(tmp_path / "2", *options, "--updates", "2")["updates"] == 2


def test_a_preset_beside_a_recipe_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["nqueens-5", "--recipe", "gram", "--preset", "tiny", "--output", str(tmp_path)])
    assert "not allowed with" in capsys.readouterr().err
    assert main(["nqueens-5", "--recipe", "graham", "--output", str(tmp_path)]) == 2
    assert "trm-mlp" in capsys.readouterr().err
