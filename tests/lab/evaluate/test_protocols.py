"""Models by the protocols of papers, alone and one against another."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gram_core import puzzles
from gram_core.checkpoint import LoadedModel, load_model
from gram_lab.data.instances import Case
from gram_lab.evaluate import tables
from gram_lab.evaluate.command import main
from gram_lab.evaluate.protocols import PROTOCOLS, protocol_table
from gram_lab.evaluate.samples import first_valid, last_answers
from gram_lab.evaluate.variants import Plan, Variant
from tests.lab.evaluate.conftest import fresh, saved

BOARDS = ("123434122143432.", "12343412214.4321", "1234341.21434.21", "12.43412.1434321")


def puzzles_of_four() -> tables.TestSet:
    family = puzzles.family("sudoku")
    return tables.TestSet(
        "", "boards", [Case(family.parse_text(text), "all", 1) for text in BOARDS]
    )


def rows(table: Any) -> dict[str, Any]:
    return {row["name"]: row for row in table["rows"] if row["measured"]}


def right(row: Any) -> float:
    return float(row["figures"]["exact"]["value"])


def sample(folder: Path, guesser: LoadedModel, seed: int) -> LoadedModel:
    """Return the guesser with other guesses."""
    torch.manual_seed(seed)
    torch.nn.init.normal_(guesser.model.prior.mean.down.weight, std=0.2)
    return saved(folder, guesser.model, guesser.task)


@pytest.mark.slow
def test_each_protocol_has_its_own_width_depth_and_choice(guesser: LoadedModel) -> None:
    cases = puzzles_of_four().cases
    whole = Variant(loaded=guesser, augment=False)
    costs = {"gram": {5 * 16, 20 * 16}, "trm": {16}, "eqr": {64 * 128}}
    for name, steps in costs.items():
        found = rows(protocol_table(name, [guesser], puzzles_of_four(), Plan()))
        assert {row["steps_per_puzzle"] for row in found.values()} == steps
    (run,) = whole.run(cases, Plan(), width=20, depth=16)
    last = last_answers(guesser.task, cases, run)
    single = rows(protocol_table("trm", [guesser], puzzles_of_four(), Plan()))
    assert right(single[f"{guesser.info.id}, one trajectory"]) == last.is_valid[:, 0].mean()
    voted = rows(protocol_table("gram", [guesser], puzzles_of_four(), Plan()))
    assert list(voted) == [
        f"{guesser.info.id}, N = {width}, by {way}"
        for width in (5, 20)
        for way in ("value", "votes")
    ]
    ours = rows(protocol_table("ours", [guesser], puzzles_of_four(), Plan()))
    verified, settled = ours.values()
    (run,) = replace(whole, augment=True).run(cases, Plan(), width=16, depth=4, stops="solved")
    assert right(verified) == first_valid(guesser.task, cases, run).is_valid.any(axis=1).mean()
    assert verified["steps_per_puzzle"] == run.served_steps().mean()
    assert verified["steps_per_puzzle"] < settled["steps_per_puzzle"]


@pytest.mark.slow
def test_two_models_are_compared_puzzle_by_puzzle(guesser: LoadedModel, tmp_path: Path) -> None:
    other = sample(tmp_path / "other", load_model(guesser.info.path), seed=5)
    table = protocol_table("trm", [guesser, other], puzzles_of_four(), Plan(seeds=(0, 1, 2)))
    first, second, gain = rows(table).values()
    assert gain["name"] == "first minus second, one trajectory"
    assert right(gain) == pytest.approx(right(first) - right(second))
    assert gain["figures"]["exact"]["low"] <= right(gain) <= gain["figures"]["exact"]["high"]
    same = protocol_table("trm", [guesser, guesser], puzzles_of_four(), Plan())
    assert right([*rows(same).values()][-1]) == 0.0


@pytest.mark.slow
def test_puzzles_with_many_answers_are_sampled(tmp_path: Path) -> None:
    loaded = fresh(tmp_path, "graph-coloring-4")
    family = puzzles.family("graph-coloring")
    instance = family.generate(loaded.task, np.random.default_rng(0))
    test = tables.TestSet("some", "graphs", [Case(instance, "all", 6)] * 3)
    table = protocol_table("gram", [loaded, loaded], test, Plan())
    first, _, gain = (row for row in table["rows"] if row["measured"])
    assert set(first["figures"]) == {"conflicts", "samples", "any", "coverage"}
    assert first["steps_per_puzzle"] == 320
    assert gain["figures"]["conflicts"]["value"] == 0.0
    assert list(rows(protocol_table("trm", [loaded], test, Plan()))) == [
        f"{loaded.info.id}, one trajectory"
    ]


@pytest.mark.slow
def test_the_command_prints_and_writes_the_comparison(
    guesser: LoadedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "boards.txt"
    data.write_text("\n".join(BOARDS))
    options = ["--model", str(guesser.info.path), "--data", str(data), "--protocol", "trm"]
    options += ["--against", str(guesser.info.path), "--output", str(tmp_path / "out")]
    assert main(options) == 0
    assert "first minus second, one trajectory" in capsys.readouterr().out
    assert "first minus second" in (tmp_path / "out/protocols.md").read_text()
    (written,) = (tmp_path / "out/protocols").glob("*.json")
    assert json.loads(written.read_text())["puzzles"] == len(BOARDS)


def test_what_cannot_be_compared_is_refused(
    guesser: LoadedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sudoku-4x4", "--against", str(guesser.info.path)]) == 2
    assert "--protocol" in capsys.readouterr().err
    options = ["sudoku-4x4", "--protocol", "trm", "--limit", "1", "--against", "nqueens-8"]
    assert main(options) == 2
    assert "is for nqueens-8, not for sudoku-4x4" in capsys.readouterr().err


def test_every_protocol_says_whose_it_is() -> None:
    for name, protocol in PROTOCOLS.items():
        assert name == "ours" or "arXiv" in protocol.note


def test_figures_are_means_over_seeds() -> None:
    seeds = [{"exact": np.array([0.0, 1.0])}, {"exact": np.array([1.0, 1.0])}]
    assert tables.averaged(seeds)["exact"].tolist() == [0.5, 1.0]
    assert tables.figures(seeds)["exact"].value == 0.75
