"""A puzzle of a larger task is equivalent: its solutions, cut back, are those of the posted one."""

import numpy as np
import pytest

from gram_core.puzzles import FIRST_VALUE, family, task

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
    ("light-up", {"grid": ["..1", "...", "#.."]}, "light-up-5x4"),
    ("light-up", {"grid": "...\n1.."}, "light-up-2x4"),
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
        ("light-up", {"grid": ["...", "1.."]}, "light-up-5x2"),
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


def test_colours_of_a_padded_graph_are_called_so_that_those_it_may_not_have_are_left_out() -> None:
    rules = family("graph-coloring")
    graph = rules.parse({"vertices": 3, "edges": [[0, 1], [1, 2]], "colors": 2})
    padding = rules.pad(graph, task("graph-coloring-5"))
    assert padding is not None
    assert padding.instance.fixed == ()
    # The fourth vertex is joined to the others, the fifth to none.
    every = [[2, 1, 2, 0, 0], [0, 2, 0, 1, 1], [0, 1, 0, 2, 2], [1, 1, 2, 0, 1]]
    tokens = np.array(every, dtype=np.uint8) + FIRST_VALUE
    assert [rules.check(padding.instance, row) for row in tokens] == [True, True, True, False]
    cut = padding.cut(tokens)
    assert (cut - FIRST_VALUE).tolist() == [[0, 1, 0], [0, 1, 0], [0, 1, 0], [1, 1, 0]]
    assert cut.dtype == np.uint8
    assert [padding.cut(row).tolist() for row in tokens] == cut.tolist()
    assert [rules.check(graph, row) for row in cut] == [True, True, True, False]


def test_a_padded_graph_of_one_colour_has_a_joined_vertex_for_each_other() -> None:
    rules = family("graph-coloring")
    graph = rules.parse({"vertices": 2, "edges": [], "colors": 1})
    padding = rules.pad(graph, task("graph-coloring-4"))
    assert padding is not None
    tokens = np.array([1, 1, 0, 2], dtype=np.uint8) + FIRST_VALUE
    assert rules.check(padding.instance, tokens)
    assert (padding.cut(tokens) - FIRST_VALUE).tolist() == [0, 0]
    named = rules.pad(
        rules.parse({**rules.dump(graph), "fixed": {"0": 0}}), task("graph-coloring-4")
    )
    assert named is not None
    assert named.instance.fixed == ((0, 0), (2, 1), (3, 2))
    assert (named.cut(tokens) - FIRST_VALUE).tolist() == [1, 1]
