"""The paper's tables of small untrained models: what they hold, and the files they end in."""

import json
from pathlib import Path
from typing import Any

import pytest

from gram_core import puzzles
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.errors import ConfigError
from gram_core.flops import step_flops
from gram_lab.data import pools
from gram_lab.evaluate.command import main, paper_sets, parser
from gram_lab.evaluate.published import paper_step_flops, published
from gram_lab.evaluate.table import section
from gram_lab.evaluate.tables import has_many
from tests.lab.evaluate.conftest import fresh


def untrained(folder: Path, name: str) -> str:
    return str(fresh(folder, name).info.path)


def run(capsys: pytest.CaptureFixture[str], *options: str) -> Any:
    assert main(["--paper-tables", *options, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def named(table: Any) -> dict[str, Any]:
    return {row["name"]: row for row in table["rows"]}


@pytest.mark.slow
def test_queens_rows_stand_beside_the_published_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = untrained(tmp_path / "m", "nqueens-8")
    (table,) = run(capsys, "--model", model, "--limit", "4", "--seeds", "0,5", "--no-ablations")
    rows = named(table)
    assert {row.name for row in published("nqueens-8", puzzles.task("nqueens-8"))} < set(rows)
    assert rows["GRAM, 10 M"]["steps_per_puzzle"] == 320
    ours = rows["ours, no verifier"]
    assert ours["steps_per_puzzle"] == 320
    config = load_model(tmp_path / "m").model.config
    assert ours["flop_per_puzzle"] == 320 * step_flops(config, puzzles.task("nqueens-8"))
    assert all(row["mismatches"] == 0 for row in rows.values())
    assert table["seeds"] == [0, 5]
    assert table["puzzles"] == 4
    # The path of the model is this machine's business.
    assert str(tmp_path) not in str(table)


@pytest.mark.slow
def test_graphs_are_measured_at_each_edge_probability_with_their_bounds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = untrained(tmp_path / "m", "graph-coloring-8")
    mixed, textbook = sorted(
        run(capsys, "--model", model, "--limit", "3", "--no-ablations"),
        key=lambda table: str(table["title"]),
    )
    assert [mixed["table"], textbook["table"]] == [
        "graph-coloring-8-edge-probability-0.3-to-0.7",
        "graph-coloring-8-edge-probability-0.5",
    ]
    rows = named(textbook)
    uniform = rows["bound: uniform over all solutions"]["figures"]
    best = rows["bound: never the same twice"]["figures"]
    assert 0 < uniform["coverage"] <= best["coverage"] <= 1
    (single,) = run(capsys, "--model", model, "--limit", "2", "--edge-probability", "0.3")
    assert single["table"] == "graph-coloring-8-edge-probability-0.3"
    assert "ours, no noise (sigma = 0)" in named(single)


@pytest.mark.slow
def test_a_twin_of_the_task_gets_a_row(
    guesser: LoadedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = untrained(tmp_path / "twin", "sudoku-4x4")
    other = untrained(tmp_path / "other", "nqueens-6")
    data = tmp_path / "boards.txt"
    data.write_text("123434122143432.\n12343412214.4321\n")
    options = ["--model", str(guesser.info.path), "--data", str(data), "--no-ablations"]
    (table,) = run(capsys, *options, "--twin", twin, "--twin", other)
    names = [name for name, row in named(table).items() if row["measured"]]
    assert names == [
        "ours, N = 1, verified",
        "ours, N = 5, verified",
        "ours, N = 20, verified",
        "ours, N = 1, no verifier",
        "ours, N = 5, by value",
        "ours, N = 5, by votes",
        "ours, N = 20, by value",
        "ours, N = 20, by votes",
        "deterministic twin, N = 1, verified",
        "deterministic twin, N = 20, verified",
        "ours, width 64, depth 64, verified",
    ]


@pytest.mark.slow
def test_mazes_get_a_table_although_the_paper_has_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = untrained(tmp_path / "m", "maze-3x3")
    (table,) = run(capsys, "--model", model, "--limit", "4", "--no-ablations")
    rows = named(table)
    assert all(row["measured"] and row["mismatches"] == 0 for row in rows.values())
    one, many = (rows[f"ours, N = {width}, verified"]["figures"]["exact"] for width in (1, 20))
    assert one["value"] <= many["value"]
    assert table["puzzles"] == 4


@pytest.mark.slow
def test_the_page_is_made_of_all_tables_in_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("nqueens-6", "nqueens-7"):
        model = untrained(tmp_path / name, name)
        options = ["--paper-tables", "--model", model, "--limit", "2", "--no-ablations"]
        assert main([*options, "--output", str(tmp_path / "results")]) == 0
    printed = capsys.readouterr().out
    page = (tmp_path / "results/paper-tables.md").read_text()
    for line in printed.splitlines():
        assert line in page
    values = json.loads((tmp_path / "results/paper-tables/nqueens-7.json").read_text())
    assert section(values) in page


def test_a_file_of_puzzles_is_for_the_task_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "boards.txt"
    path.write_text(
        "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79\n"
    )
    options = parser().parse_args(["--paper-tables", "--data", str(path), "--limit", "2"])
    (nine,) = paper_sets(puzzles.task("sudoku-9x9"), options, has_data=True)
    assert (nine.data, len(nine.cases)) == ("boards.txt", 1)
    (mazes,) = paper_sets(puzzles.task("maze-6x6"), options, has_data=False)
    assert (mazes.data, len(mazes.cases)) == ("held out or freshly made", 2)


@pytest.mark.parametrize("name", ["graph-coloring-24", "nqueens-20"])
def test_puzzles_with_more_solutions_than_can_be_listed_are_made_anew(name: str) -> None:
    task = puzzles.task(name)
    options = parser().parse_args(["--paper-tables", "--limit", "2"])
    (test,) = paper_sets(task, options, has_data=True)
    assert [case.num_solutions for case in test.cases] == [None, None]
    assert not has_many(task)


@pytest.mark.parametrize("name", ["graph-coloring-8", "graph-coloring-12"])
def test_edges_that_leave_no_graph_with_a_coloring_are_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "NUM_GRAPHS", 20)
    options = parser().parse_args(["--paper-tables", "--edge-probability", "1"])
    with pytest.raises(ConfigError, match=f"leaves no graph of {name}"):
        paper_sets(puzzles.task(name), options, has_data=True)


def test_tables_that_no_model_is_for_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--paper-tables", "--tables", "chess"]) == 2
    assert "no shipped model" in capsys.readouterr().err
    assert main([]) == 2
    assert "name a task" in capsys.readouterr().err


def test_the_papers_model_costs_what_its_sizes_say() -> None:
    """By hand: blocks of token mixing over 81 cells, D = F = 512, K = 6, T = 3."""
    block = 512 * 6 * 81 * 512 + 81 * 6 * 512 * 512
    passes = 2 * 7 * block
    guidance = 2 * 81 * 6 * 512 * 512
    readout = 2 * 512 * (81 * 11 + 3)
    nine = puzzles.task("sudoku-9x9")
    assert paper_step_flops(nine) == 3 * (passes + guidance) + readout
    (best,) = (row for row in published("sudoku-9x9", nine) if row.name.startswith("EqR"))
    assert best.steps_per_puzzle == 8192
