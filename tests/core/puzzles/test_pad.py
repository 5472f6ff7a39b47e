"""A puzzle of a larger task is equivalent: its solutions, cut back, are those of the posted one."""

import numpy as np
import pytest

from gram_core.puzzles import family, task

AUSTRALIA = [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3], [2, 4], [2, 5], [3, 4], [4, 5]]

CASES: list[tuple[str, dict[str, object], str]] = [
    ("graph-coloring", {"vertices": 7, "edges": AUSTRALIA}, "graph-coloring-8"),
    ("graph-coloring", {"vertices": 7, "edges": AUSTRALIA}, "graph-coloring-8-4"),
    ("graph-coloring", {"vertices": 8, "edges": AUSTRALIA}, "graph-coloring-8"),
    ("graph-coloring", {"vertices": 4, "edges": [[0, 1], [2, 3]], "colors": 2}, "graph-coloring-5"),
    ("graph-coloring", {"vertices": 3, "edges": [[0, 1]], "colors": 1}, "graph-coloring-5"),
    (
        "graph-coloring",
        {"vertices": 4, "edges": [[0, 1]], "colors": 2, "fixed": {"1": 1}},
        "graph-coloring-6",
    ),
    ("maze", {"grid": ["S..", "..G"]}, "maze-4x5"),
    ("maze", {"grid": "...\nG.S"}, "maze-2x4"),
    ("maze", {"grid": ["S.", ".G"]}, "maze-3x2"),
]


@pytest.mark.parametrize(("puzzle", "body", "larger"), CASES)
def test_a_padded_puzzle_has_the_solutions_of_the_posted_one(
    puzzle: str, body: dict[str, object], larger: str
) -> None:
    rules = family(puzzle)
    instance = rules.parse(body)
    padding = rules.pad(instance, task(larger))
    assert padding is not None
    assert rules.task_of(padding.instance).name == larger
    assert rules.parse(rules.dump(padding.instance)) == padding.instance
    found = [padding.cut(tokens) for tokens in rules.enumerate(padding.instance, limit=500)]
    assert all(rules.check(instance, tokens) for tokens in found)
    expected = {rules.canonical(instance, one) for one in rules.enumerate(instance, limit=500)}
    assert {rules.canonical(instance, tokens) for tokens in found} == expected


@pytest.mark.parametrize(
    ("puzzle", "body", "other"),
    [
        ("graph-coloring", {"vertices": 9, "edges": []}, "graph-coloring-8"),
        ("graph-coloring", {"vertices": 5, "edges": [], "colors": 4}, "graph-coloring-8"),
        # One vertex too few for the colour that must not be used.
        ("graph-coloring", {"vertices": 8, "edges": [], "colors": 2}, "graph-coloring-8"),
        ("maze", {"grid": ["S..", "..G"]}, "maze-3x2"),
        ("maze", {"grid": ["S..", "..G"]}, "maze-1x30"),
        ("nqueens", {"n": 6}, "nqueens-8"),
        ("sudoku", {"grid": "." * 16}, "sudoku-9x9"),
    ],
)
def test_a_puzzle_that_does_not_fit_is_not_padded(
    puzzle: str, body: dict[str, object], other: str
) -> None:
    rules = family(puzzle)
    assert rules.pad(rules.parse(body), task(other)) is None


def test_only_the_posted_part_of_tokens_is_kept() -> None:
    maze = family("maze")
    padding = maze.pad(maze.parse({"grid": ["S.", ".G"]}), task("maze-3x3"))
    assert padding is not None
    assert padding.cut(np.arange(9, dtype=np.uint8)).tolist() == [0, 1, 3, 4]
    assert padding.cut(np.arange(18, dtype=np.uint8).reshape(2, 9)).tolist() == [
        [0, 1, 3, 4],
        [9, 10, 12, 13],
    ]
