"""What one look at the givens refutes, and that nothing solvable is refuted."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gram_core.errors import PuzzleInvalid
from gram_core.puzzles import family, task


@pytest.mark.parametrize(
    ("puzzle", "body", "rule", "cells"),
    [
        ("sudoku", {"grid": "123....4........"}, "no value is left", ((0, 3),)),
        # The 1 of column 0 and that of the box at the right leave row 1 no place for its own.
        (
            "sudoku",
            {"grid": ["...1", ".23.", "1...", "...."]},
            "no place left in row 1",
            ((1, 0), (1, 3)),
        ),
        (
            "nqueens",
            {"n": 4, "queens": [[0, 0], [1, 2]]},
            "no place left in row 2",
            ((2, 0), (2, 1), (2, 2), (2, 3)),
        ),
        (
            "graph-coloring",
            {
                "vertices": 4,
                "edges": [[0, 3], [1, 3], [2, 3]],
                "fixed": {"0": 0, "1": 1, "2": 2},
            },
            "no value is left",
            ((3,),),
        ),
    ],
)
def test_a_dead_end_names_its_cells(puzzle: str, body: Any, rule: str, cells: Any) -> None:
    rules = family(puzzle)
    found = rules.dead_end(rules.parse(body))
    assert found is not None
    assert (rule in found.rule, found.cells) == (True, cells)


@pytest.mark.parametrize(
    ("puzzle", "body"),
    [
        ("sudoku", {"grid": "." * 81}),
        ("nqueens", {"n": 3}),
        ("graph-coloring", {"vertices": 4, "edges": [[0, 1]]}),
        ("maze", {"grid": ["S#G", "..."]}),
    ],
)
def test_without_a_dead_end_nothing_is_said(puzzle: str, body: Any) -> None:
    rules = family(puzzle)
    assert rules.dead_end(rules.parse(body)) is None


@given(data=st.data())
@pytest.mark.parametrize("name", ["sudoku-4x4", "nqueens-5", "graph-coloring-5"])
def test_what_is_refuted_has_no_solution(name: str, data: st.DataObject) -> None:
    shape = task(name)
    rules = family(shape.family)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    instance = rules.generate(shape, rng, num_solutions=None)
    assert rules.dead_end(instance) is None
    encoded = rules.encode(instance)
    open_cells = np.flatnonzero(encoded.tokens == 1)
    if len(open_cells):
        # One more given, which may leave no solution.
        tokens = encoded.tokens.copy()
        tokens[rng.choice(open_cells)] = 2 + rng.integers(shape.num_values)
        changed = rules.instance_of(shape, type(encoded)(tokens, encoded.adjacency))
        try:
            changed = rules.parse(rules.dump(changed))
        except PuzzleInvalid:
            return
        if rules.dead_end(changed) is not None:
            assert not list(rules.enumerate(changed, limit=1))
