"""The grid of widths and depths, and what models that generate are measured by."""

import json
from pathlib import Path

import pytest

from gram_core.checkpoint import LoadedModel
from gram_core.flops import step_flops
from gram_lab.data.instances import read_cases
from gram_lab.evaluate.command import main
from gram_lab.evaluate.report import measure
from gram_lab.evaluate.samples import VERIFIED, WAYS
from tests.lab.evaluate.conftest import saved


@pytest.fixture
def boards(tmp_path: Path) -> str:
    path = tmp_path / "boards.txt"
    path.write_text("123434122143432.\n12343412214.4321\n1.343.12.1434321\n")
    return str(path)


@pytest.fixture
def generator(guesser: LoadedModel, tmp_path: Path) -> LoadedModel:
    """The same weights, said to generate."""
    return saved(tmp_path / "generator", guesser.model, guesser.task, purpose="generate")


def test_the_grid_is_what_measuring_each_of_its_points_gives(
    guesser: LoadedModel, boards: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--grid", "--model", str(guesser.info.path), "--data", boards, "--width", "4"]
    options += ["--depth", "3", "--no-ablations", "--seed", "4", "--output", str(tmp_path / "out")]
    assert main([*options, "--json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in table["rows"]}
    assert list(rows) == [f"ours, {width} x {depth}" for width in (1, 2, 4) for depth in (1, 2, 3)]
    cases = read_cases(guesser.task, Path(boards), limit=None)
    shares = set()
    for width, depth in ((1, 1), (2, 2), (4, 3)):
        report = measure(guesser, cases, width=width, depth=depth, seed=4)[0]
        shares.add(report.solved)
        verified = rows[f"ours, {width} x {depth}"]["figures"][VERIFIED]["value"]
        assert verified == pytest.approx(report.solved)
    assert len(shares) > 1
    assert set(rows["ours, 4 x 3"]["figures"]) == {*WAYS, VERIFIED}
    assert set(rows["ours, 4 x 2"]["figures"]) == {VERIFIED}
    assert rows["ours, 4 x 2"]["flop_per_puzzle"] == pytest.approx(
        rows["ours, 4 x 2"]["steps_per_puzzle"] * step_flops(guesser.model.config, guesser.task)
    )
    assert (tmp_path / "out/grid/sudoku-4x4-4-x-3.json").is_file()
    assert "Widths and depths" in (tmp_path / "out/grid.md").read_text()


@pytest.mark.slow
def test_a_model_that_generates_is_measured_on_the_empty_board(
    generator: LoadedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    """However it is asked for; its untrained boards are hardly ever valid."""
    options = ["--model", str(generator.info.path), "--limit", "40", "--json"]
    assert main(options) == 0
    (table,) = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in table["rows"]}
    assert rows["GRAM"]["figures"] == {"validity": 0.9905}
    for depth in (4, 8, 16, 32, 64):
        assert rows[f"ours, {depth} steps"]["steps_per_puzzle"] == depth
        assert 0 <= rows[f"ours, {depth} steps"]["figures"]["validity"]["value"] <= 1
        assert rows[f"ours, {depth} steps"]["mismatches"] == 0
    assert "ours, no noise (sigma = 0), 16 steps" in rows
    assert not any("no views" in name for name in rows)
    assert rows["ours, first valid within 16 steps"]["steps_per_puzzle"] <= 16


def test_a_model_that_generates_is_measured_on_boards_where_they_are_given(
    generator: LoadedModel, boards: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--model", str(generator.info.path), "--data", boards, "--width", "2", "--json"]
    assert main(options) == 0
    (report,) = json.loads(capsys.readouterr().out)["reports"]
    assert (report["instances"], report["width"]) == (3, 2)
