"""The commands that choose answers, generate boards and write cards, on small models."""

import json
from pathlib import Path

import pytest
import torch

from gram_core import puzzles
from gram_core.checkpoint import LoadedModel, load_model, save_model
from gram_core.config import preset
from gram_core.flops import step_flops
from gram_core.model import Gram
from gram_lab.data.instances import Case, held_out_cases
from gram_lab.evaluate.command import main
from gram_lab.evaluate.cost import Comparison, sampling_costs, solving_costs
from gram_lab.evaluate.plan import Plan
from gram_lab.evaluate.published import paper_step_flops
from gram_lab.evaluate.selection import VERIFIED, WAYS


@pytest.fixture
def boards(tmp_path: Path) -> str:
    path = tmp_path / "boards.txt"
    path.write_text("123434122143432.\n12343412214.4321\n1.343.12.1434321\n")
    return str(path)


@pytest.fixture
def generator(guesser: LoadedModel, tmp_path: Path) -> LoadedModel:
    """The same weights, said to generate."""
    folder = tmp_path / "generator"
    save_model(
        folder,
        guesser.model,
        name="sudoku-4x4-generate",
        task=guesser.task,
        depth=4,
        dtype=torch.float32,
        purpose="generate",
    )
    return load_model(folder)


@pytest.mark.parametrize("halt", ["never", "act"])
def test_selection_compares_all_ways_at_all_widths(
    guesser: LoadedModel,
    boards: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    halt: str,
) -> None:
    options = ["--selection", "--model", str(guesser.info.path), "--data", boards, "--depth", "3"]
    options += ["--widths", "1,4", "--halt", halt, "--output", str(tmp_path / "out")]
    assert main([*options, "--json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)
    one, four = table["rows"]
    assert set(one["figures"]) == {*WAYS, VERIFIED}
    # Of one answer there is nothing to choose.
    assert len({figure["value"] for figure in one["figures"].values()}) == 1
    verified = four["figures"][VERIFIED]["value"]
    assert all(four["figures"][way]["value"] <= verified for way in WAYS)
    assert four["steps_per_puzzle"] == 4 * one["steps_per_puzzle"] == 12
    suffix = "" if halt == "never" else "-act"
    assert (tmp_path / f"out/selection/sudoku-4x4-depth-3{suffix}.json").is_file()
    assert "without a verifier" in (tmp_path / "out/selection.md").read_text()


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


def test_the_card_of_a_generator_compares_raw_validity(
    generator: LoadedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--card", "--model", str(generator.info.path), "--limit", "10"]) == 0
    printed = capsys.readouterr().out
    assert "99.05 % raw validity: the paper's model takes 16 supervision steps" in printed
    assert "Not reached here" in printed


def test_the_card_names_parameters_and_what_a_step_costs(
    guesser: LoadedModel, boards: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--card", "--model", str(guesser.info.path), "--data", boards, "--budget", "8"]
    assert main(options) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"**Cost.** {guesser.info.num_parameters:,} parameters")
    megaflops = step_flops(guesser.model.config, guesser.task) / 1e6
    assert f"{megaflops:,.1f} MFLOP a supervision step" in printed
    # The paper has no figures for boards of this size.
    assert "exact" not in printed


def test_the_cost_of_an_accuracy_is_that_of_the_cheapest_split(guesser: LoadedModel) -> None:
    family = puzzles.family("sudoku")
    easy = [Case(family.parse_text("1234341221434321"), "all", 1)]
    (first, *_) = solving_costs(guesser, easy, Plan(command=""), budget=8)
    assert first.setting == "width 1, depth 1"
    assert first.flops == step_flops(guesser.model.config, guesser.task)
    assert first.paper_flops == 80 * paper_step_flops(guesser.task)


def test_sampling_costs_compare_what_does_not_hang_on_the_unknown_edge_probability(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    task = puzzles.task("graph-coloring-8")
    model = Gram(preset("tiny", task), task.units)
    save_model(tmp_path, model, name=task.name, task=task, depth=4, dtype=torch.float32)
    loaded = load_model(tmp_path)
    graphs = held_out_cases(task, edge_probabilities=(0.5, 0.5), num_graphs=3)
    found = sampling_costs(loaded, graphs, Plan(command=""))
    assert [each.what for each in found] == ["2.7 conflicts"]
    assert all(each.paper_steps == 320 for each in found)


def test_a_comparison_says_by_how_much_it_is_cheaper() -> None:
    reached = Comparison(
        what="97.0 %",
        paper_steps=320,
        paper_flops=4_000_000_000_000,
        setting="width 4",
        reached="98.0 %",
        steps=20.0,
        flops=2e9,
    )
    assert reached.sentence() == (
        "- 97.0 %: the paper's model takes 320 supervision steps, 4,000 GFLOP, a puzzle. "
        "Here width 4 gives 98.0 % in 20.0 steps on average, 2 GFLOP: 2,000 times cheaper."
    )
