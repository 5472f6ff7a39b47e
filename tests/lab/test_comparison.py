"""Recipes and their variants at an equal budget."""

import json
from pathlib import Path

import pytest

from gram_core import puzzles
from gram_core.errors import ConfigError
from gram_core.flops import step_flops
from gram_lab.comparison import UNCHANGED, main, update_flops, variants
from gram_lab.train.recipe import choices

SUDOKU = puzzles.task("sudoku-9x9")
QUEENS = puzzles.task("nqueens-8")


def test_variants_add_to_the_settings_that_all_share() -> None:
    found = variants(["fixed noise: a=1 b=2", "D 96: dim=96"], ["curriculum=denoising"])
    assert found == {
        UNCHANGED: ("curriculum=denoising",),
        "fixed noise": ("curriculum=denoising", "a=1", "b=2"),
        "D 96": ("curriculum=denoising", "dim=96"),
    }


@pytest.mark.parametrize("text", ["dim=96", "D 96:", "D 96: "])
def test_a_variant_without_a_name_or_settings_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="variant"):
        variants([text], [])


def test_an_update_costs_its_forward_passes_and_twice_those_with_a_gradient() -> None:
    chosen, config = choices(QUEENS, settings=("num_transitions=3", "num_rows=10"))
    expected = 10 * (3 + 2) / 3 * step_flops(config, QUEENS)
    assert update_flops(config, chosen, QUEENS) == pytest.approx(expected)
    chosen, config = choices(SUDOKU, settings=("curriculum=denoising", "num_rows=10"))
    assert config.num_transitions == 1
    expected = 10 * 4 * (1 + 2) * step_flops(config, SUDOKU)
    assert update_flops(config, chosen, SUDOKU) == pytest.approx(expected)


@pytest.mark.slow
def test_every_run_gets_the_same_flop_and_none_is_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "runs.jsonl"
    arguments = ["nqueens-5", "--output", str(output), "--updates", "4", "--seeds", "1"]
    arguments += ["--set", "num_rows=8", "--set", "dim=32", "--set", "ffn_dim=64"]
    arguments += ["--variant", "half the rows: num_rows=4", "--width", "2", "--depth", "2"]
    arguments += ["--threads", "1"]
    assert main(arguments) == 0
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert [(line["variant"], line["updates"]) for line in lines] == [
        (UNCHANGED, 4),
        ("half the rows", 8),
    ]
    assert lines[0]["flops"] == pytest.approx(lines[1]["flops"])
    printed = capsys.readouterr().out
    assert "| half the rows | 1 | 8 |" in printed
    assert main(arguments) == 0
    assert len(output.read_text().splitlines()) == 2
