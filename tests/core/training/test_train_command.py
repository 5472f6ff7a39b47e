"""The train command from start to card, in this process."""

import json
from pathlib import Path

import pytest

from gram_core.checkpoint import load_model
from gram_core.training.command import main


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
    assert "gram-server train nqueens-5" in card
    assert "held-out instances" in card
    more = ["--updates", "5", "--resume", str(output), "--output", str(tmp_path / "second")]
    assert main([*options, *more]) == 0
    line = json.loads((tmp_path / "second" / "log.jsonl").read_text().splitlines()[-1])
    assert line["updates"] == 5


def test_missing_training_files_are_refused_with_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sudoku-9x9", "--output", str(tmp_path)]) == 2
    assert "--data" in capsys.readouterr().err
