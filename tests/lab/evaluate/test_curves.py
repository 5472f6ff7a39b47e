"""Curves of depth and width: against brute force, against a measurement of each point, as files."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from gram_core import puzzles
from gram_core.checkpoint import LoadedModel
from gram_lab.data.instances import Case
from gram_lab.evaluate.command import main
from gram_lab.evaluate.curve_report import CurveReport
from gram_lab.evaluate.curves import (
    Point,
    bent,
    best_splits,
    cheapest,
    curve,
    grid,
    needed_depths,
)
from gram_lab.evaluate.intervals import wilson
from gram_lab.evaluate.measure import measure
from gram_lab.evaluate.plan import Plan, contenders

BOARDS = ("123434122143432.", "1.343.12.1434321", "12343412214..321", "..34.412.1.34..1")


def cases() -> list[Case]:
    family = puzzles.family("sudoku")
    return [Case(family.parse_text(board), "all", None) for board in BOARDS]


@pytest.mark.parametrize(
    ("budget", "max_width", "max_depth"), [(16, 8, 8), (100, 64, 5), (8, 99, 99)]
)
def test_every_point_within_the_budget_finds_its_trajectories_run_deep_enough(
    budget: int, max_width: int, max_depth: int
) -> None:
    depths = needed_depths(budget=budget, max_width=max_width, max_depth=max_depth)
    for width in (1, 2, 4, 8, 16, 32, 64):
        depth = min(max_depth, budget // width)
        if width <= max_width and depth:
            assert min(depths[:width]) >= depth
            assert len(depths) >= width
    assert max(depths) <= max_depth
    assert len(depths) <= max_width


def test_points_are_what_counting_gives() -> None:
    rng = np.random.default_rng(0)
    seeds = [rng.integers(0, 9, size=(5, 4)) for _ in range(2)]
    points = grid(seeds, budget=16, max_depth=8)
    sizes = {(point.width, point.depth) for point in points}
    assert sizes == {(w, d) for w in (1, 2, 4) for d in (1, 2, 4, 8) if w * d <= 16}
    for point in points:
        solved, steps = [], []
        for solved_at in seeds:
            for row in solved_at:
                hits = [step for step in row[: point.width] if 1 <= step <= point.depth]
                solved.append(bool(hits))
                steps.append(point.width * (min(hits) if hits else point.depth))
        assert point.solved.value == pytest.approx(np.mean(solved))
        assert point.steps == pytest.approx(np.mean(steps))


def test_one_sweep_gives_every_point_its_own_measurement(guesser: LoadedModel) -> None:
    (ours, *_) = contenders(guesser, Plan(command=""))
    found = curve(ours, cases(), Plan(command="", seeds=(4,)), budget=16, max_width=8, max_depth=8)
    assert found.num_mismatches == 0
    shares = set()
    for point in found.points:
        report = measure(guesser, cases(), width=point.width, depth=point.depth, seed=4)[0]
        assert report.solved == pytest.approx(point.solved.value)
        shares.add(report.solved)
    assert len(shares) > 1


def point(width: int, depth: int, solved: float, steps: float = 1.0) -> Point:
    return Point(width=width, depth=depth, solved=wilson(solved, 100), steps=steps)


def test_the_best_split_solves_most_and_then_costs_least() -> None:
    points = [
        point(1, 1, 0.1),
        point(1, 2, 0.3, steps=1.5),
        point(2, 1, 0.3, steps=1.2),
        point(1, 4, 0.5),
        point(2, 2, 0.6),
        point(4, 1, 0.2),
    ]
    splits = best_splits(points)
    assert [(each.width, each.depth) for each in splits] == [(1, 1), (2, 1), (2, 2)]
    assert cheapest(points, 0.3) == points[4] or cheapest(points, 0.3) == points[3]
    assert cheapest(points, 0.55) == points[4]
    assert cheapest(points, 0.61) is None


def test_the_curve_bends_where_doubling_stops_to_pay() -> None:
    late = point(1, 4, 0.8)
    assert bent([point(1, 1, 0.5), point(1, 2, 0.505), late, point(1, 8, 0.805)]) == late
    early = point(1, 1, 1.0)
    assert bent([early, point(1, 2, 1.0)]) == early
    assert bent([point(1, 1, 0.5), point(1, 2, 0.7)]) is None


def curves_command(guesser: LoadedModel, folder: Path) -> list[str]:
    data = folder / "boards.txt"
    data.write_text("".join(f"{board}\n" for board in BOARDS))
    options = ["--curves", "--model", str(guesser.info.path), "--data", str(data)]
    return [*options, "--budget", "8", "--output", str(folder / "out")]


def test_the_command_writes_numbers_a_plot_and_a_page(
    guesser: LoadedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    assert main(curves_command(guesser, tmp_path)) == 0
    printed = capsys.readouterr().out
    assert "The curve bends at width" in printed or "does not bend within" in printed
    assert (tmp_path / "out/curves.md").read_text().endswith(printed.rstrip("\n") + "\n")
    plot = (tmp_path / "out/curves/sudoku-4x4.png").read_bytes()
    assert plot.startswith(b"\x89PNG")
    values = json.loads((tmp_path / "out/curves/sudoku-4x4.json").read_text())
    report = CurveReport.from_json(values)
    assert report.to_json() == values
    names = [each.name for each in report.curves]
    assert names == ["ours", "ours, no noise (sigma = 0)", "ours, no views"]


def test_without_matplotlib_the_command_says_which_extra_it_needs(
    guesser: LoadedModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(curves_command(guesser, tmp_path)) == 2
    assert "gram-lab[plots]" in capsys.readouterr().err
