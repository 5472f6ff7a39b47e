"""The bench beside exact solvers: the right answers, and none where there is none."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from gram_lab.bench.exact import SUDOKU, ExactOptions, backtracker, measure_exact

EASY = "534678912672195348198342567859761423426853791713924856961537284287419635345286170"

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler here")


def test_every_solver_solves_an_easy_puzzle_and_is_charged_for_it(tmp_path: Path) -> None:
    data = tmp_path / "puzzles.txt"
    data.write_text(f"{EASY}\n{EASY.replace('5', '0')}\n")
    results: Any = measure_exact(ExactOptions(data=data, widths=(2,)))["results"]
    assert [row["solver"] for row in results] == [
        "backtracker in C",
        "CP-SAT",
        "sudoku-9x9, width 2",
    ]
    assert [row["solved"] for row in results] == [2, 2, 2]
    assert all(row["ms_per_puzzle"] > 0 for row in results)


def test_the_backtracker_finds_nothing_where_nothing_is() -> None:
    solve = backtracker()
    posted = "." * 80 + "1"
    solved = solve(SUDOKU.parse_text(posted))
    assert solved is not None
    assert SUDOKU.check(SUDOKU.parse_text(posted), solved)
    # The last open cell of the first row would have to repeat the column's 1.
    impossible = "23456789." + "." * 17 + "1" + "." * 54
    assert solve(SUDOKU.parse_text(impossible)) is None
