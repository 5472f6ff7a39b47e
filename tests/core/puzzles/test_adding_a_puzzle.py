"""The family of docs/adding-a-puzzle.md, from the text of the page to a solved puzzle."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from gram_core import puzzles
from gram_core.errors import ConfigError, GenerateFailed, PuzzleInvalid
from gram_lab.card import main
from gram_lab.data import pools
from gram_server.api.openapi import solve_request_body
from tests.brought_family import block, install, looked_up_anew


@pytest.fixture(autouse=True)
def no_families_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with looked_up_anew(tmp_path, monkeypatch):
        yield


@pytest.fixture
def latin(tmp_path: Path) -> puzzles.AnyFamily:
    """Return the family of the page, brought by its entry point."""
    install(tmp_path)
    return puzzles.family("latin")


@pytest.mark.slow
@pytest.mark.usefixtures("latin")
def test_the_program_of_the_page_solves_a_puzzle_with_a_model_that_has_hardly_been_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pools, "NUM_GENERATED", 60)
    options = ["--preset", "tiny", "--threads", "1", "--compile", "off", "--precision", "fp32"]
    assert main(["latin-4x4", *options, "--updates", "2", "--output", "weights"]) == 0
    capsys.readouterr()
    names: dict[str, object] = {}
    exec(compile(block("solve.py"), "solve.py", "exec"), names)
    solved, exact = names["solved"], names["exact"]
    assert isinstance(solved, list)
    assert isinstance(exact, np.ndarray)
    # Chance does not find every trajectory the answer, and what is let through is the answer.
    assert 0 < len(solved) < 64
    assert all(np.array_equal(tokens, exact) for tokens in solved)
    assert capsys.readouterr().out == "1 2 3 4\n2 1 4 3\n3 4 1 2\n4 3 2 1\n"


@pytest.mark.parametrize(("name", "num_solutions"), [("latin-4x4", 1), ("latin-3x3", 2)])
def test_rules_units_and_exact_solver_agree(
    latin: puzzles.AnyFamily, name: str, num_solutions: int
) -> None:
    task, rng = latin.task(name), np.random.default_rng(3)
    square = latin.generate(task, rng, num_solutions=num_solutions)
    assert latin.parse(latin.dump(square)) == square
    assert latin.instance_of(task, latin.encode(square)) == square
    solutions = list(latin.enumerate(square, limit=9))
    assert len(solutions) == num_solutions
    symmetry = latin.symmetry(task, rng)
    for solution in solutions:
        assert latin.check(square, solution)
        assert latin.violations(square, solution) == []
        damaged = solution.copy()
        damaged[0] = damaged[1]
        assert not latin.check(square, damaged)
        assert "row 0" in {broken.rule for broken in latin.violations(square, damaged)}
        view = latin.instance_of(
            task, puzzles.Encoded(tokens=symmetry.apply(latin.encode(square).tokens))
        )
        assert latin.check(view, symmetry.apply(solution))


def test_the_api_says_what_bodies_the_family_reads(latin: puzzles.AnyFamily) -> None:
    schema = latin.schema()
    bodies = solve_request_body()["content"]["application/json"]["schema"]["oneOf"]
    assert {"$ref": f"#/components/schemas/{schema['title']}"} in bodies
    [example] = cast("list[dict[str, object]]", schema["examples"])
    assert latin.dump(latin.parse(example)) == example


def test_what_cannot_be_is_refused(latin: puzzles.AnyFamily) -> None:
    with pytest.raises(PuzzleInvalid, match="a value stands twice in row 0") as caught:
        latin.parse({"grid": [[1, 1], [0, 0]]})
    assert caught.value.issues[0].cells == ((0, 0), (0, 1))
    with pytest.raises(PuzzleInvalid):
        latin.parse({"grid": [[1], [0, 0]]})
    with pytest.raises(GenerateFailed):
        latin.generate(latin.task("latin-2x2"), np.random.default_rng(0), num_solutions=3)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("gram_latin:Missing", "cannot be loaded"),
        ("gram_core.puzzles.sudoku:SudokuGrid", "cannot be loaded"),
        ("builtins:dict", "is no class derived from Family"),
        ("gram_core.puzzles.sudoku:Sudoku", "sudoku is taken"),
    ],
)
def test_an_entry_point_that_brings_no_new_family_is_named(
    tmp_path: Path, value: str, why: str
) -> None:
    install(tmp_path, {"broken": value})
    with pytest.raises(ConfigError, match=re.escape(value)) as caught:
        puzzles.families()
    assert why in str(caught.value)
