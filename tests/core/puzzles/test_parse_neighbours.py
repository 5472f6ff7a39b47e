"""What shapes of other programs are told where they are wrong, or could mean something else."""

import pytest

from tests.core.puzzles.test_parse_refusals import Refusal, assert_refused, rows_of

TABLE = {
    "sudoku": [
        Refusal({"grid": [0] * 80 + [10]}, "grid", "column 8 holds 10", ((8, 8),)),
        Refusal({"grid": [0] * 80 + [5.9]}, "grid", "the number 5.9", ((8, 8),)),
        Refusal({"grid": [["12", "", "", ""]] * 4}, "grid[0]", '"12"', ((0, 0),)),
        Refusal({"grid": "1*" + "." * 14}, "grid", 'holds the string "*" and the string "."'),
        Refusal({"grid": ["1.00", "....", "....", "...."]}, "grid", "write one of them"),
    ],
    "nqueens": [
        Refusal({"n": 4, "queens": [2, 4, 1, 3]}, "queens[1]", "counted from 0"),
        Refusal({"n": 4, "queens": [0, 4, 1, 2]}, "queens[1]", "between 0 and 3, not 4"),
        Refusal({"queens": [1, 3, 0, 2], "n": 5}, "queens[0]", "two integers, not 1"),
        Refusal({"queens": [0, 0]}, "queens", "attack", ((0, 0), (1, 0)), "column 0"),
        Refusal({"grid": [".*..", "...*", "*...", "..*."]}, "grid", "if one is a queen"),
        Refusal({"grid": ["Q000", "....", "....", "...."]}, "grid", "write one of them"),
        Refusal({"grid": [[0, 1], [0, 2]]}, "grid", "neither one-character strings"),
        Refusal({"grid": [["Q", "."], ["ab", "."]]}, "grid", "neither one-character"),
        Refusal({"grid": ["1...", "....", "....", "...."]}, "grid[0]", '"1"', ((0, 0),)),
    ],
    "graph-coloring": [
        Refusal({"adjacency": [], "edges": []}, "edges", "beside adjacency"),
        Refusal({"adjacency": 5}, "adjacency", "must be a list, not 5"),
        Refusal({"adjacency": [[0, 1], 5]}, "adjacency[1]", "must be a list"),
        Refusal({"adjacency": []}, "number of rows of adjacency", "between 1"),
        Refusal({"adjacency": [[1], [2]]}, "adjacency[1][0]", "between 0 and 1"),
        Refusal({"adjacency": [[0, 2], [1, 0]]}, "adjacency[0]", "to itself", ((0,),), "edge 0-0"),
        Refusal({"adjacency": [[0, 1], [1, 1]]}, "adjacency[1]", "to itself", ((1,),), "edge 1-1"),
        Refusal({"vertices": ["a", "a"], "edges": []}, "vertices[1]", "of its own"),
        Refusal({"vertices": [1, "1"], "edges": []}, "vertices[1]", "of its own"),
        Refusal({"vertices": [None], "edges": []}, "vertices[0]", "not null"),
        Refusal({"vertices": [], "edges": []}, "vertices", "between 1 and 256"),
        Refusal({"vertices": ["a"]}, "edges", "is missing"),
        Refusal({"vertices": ["a"], "edges": [["a", "b"]]}, "edges[0][1]", "no vertex"),
        Refusal({"vertices": ["a"], "edges": [["a"]]}, "edges[0]", "two integers"),
        Refusal({"vertices": ["a"], "edges": ["a"]}, "edges[0]", "must be a list"),
        Refusal({"adjacency": {"a": ["b"]}}, "adjacency[0][0]", "names no vertex"),
        Refusal({"adjacency": {"a": 1}}, "adjacency[0]", "must be a list"),
        Refusal({"vertices": ["a"], "edges": [], "fixed": {"b": 0}}, "fixed", "names no vertex"),
    ],
    "maze": [
        Refusal({"grid": [[0, 1], [0, 0]]}, "grid[0]", "1 may be a wall or free"),
        Refusal({"grid": [["S", "."], ["..", "G"]]}, "grid[1]", "no single characters"),
    ],
}


@pytest.mark.parametrize(("puzzle", "refusal"), rows_of(TABLE))
def test_shapes_of_neighbours_are_refused_where_they_are_wrong(
    puzzle: str, refusal: Refusal
) -> None:
    assert_refused(puzzle, refusal)
