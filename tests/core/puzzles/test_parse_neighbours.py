"""What shapes of other programs are told where they are wrong, or could mean something else."""

import pytest

from gram_core.errors import PuzzleInvalid
from gram_core.puzzles import family
from tests.core.puzzles.test_parse_refusals import Refusal

TABLE = [
    Refusal("sudoku", {"grid": [0] * 80 + [10]}, "grid", "column 8 holds 10", ((8, 8),)),
    Refusal("sudoku", {"grid": [0] * 80 + [5.9]}, "grid", "the number 5.9", ((8, 8),)),
    Refusal("sudoku", {"grid": [["12", "", "", ""]] * 4}, "grid[0]", '"12"', ((0, 0),)),
    Refusal("sudoku", {"grid": "1*" + "." * 14}, "grid", 'holds the string "*" and the string "."'),
    Refusal("sudoku", {"grid": ["1.00", "....", "....", "...."]}, "grid", "write one of them"),
    Refusal("nqueens", {"n": 4, "queens": [2, 4, 1, 3]}, "queens[1]", "counted from 0"),
    Refusal("nqueens", {"n": 4, "queens": [0, 4, 1, 2]}, "queens[1]", "between 0 and 3, not 4"),
    Refusal("nqueens", {"queens": [1, 3, 0, 2], "n": 5}, "queens[0]", "two integers, not 1"),
    Refusal("nqueens", {"queens": [0, 0]}, "queens", "attack", ((0, 0), (1, 0)), "column 0"),
    Refusal("nqueens", {"grid": [".*..", "...*", "*...", "..*."]}, "grid", "if one is a queen"),
    Refusal("nqueens", {"grid": ["Q000", "....", "....", "...."]}, "grid", "write one of them"),
    Refusal("nqueens", {"grid": [[0, 1], [0, 2]]}, "grid", "neither one-character strings"),
    Refusal("nqueens", {"grid": [["Q", "."], ["ab", "."]]}, "grid", "neither one-character"),
    Refusal("nqueens", {"grid": ["1...", "....", "....", "...."]}, "grid[0]", '"1"', ((0, 0),)),
    Refusal("graph-coloring", {"adjacency": [], "edges": []}, "edges", "beside adjacency"),
    Refusal("graph-coloring", {"adjacency": 5}, "adjacency", "must be a list, not 5"),
    Refusal("graph-coloring", {"adjacency": [[0, 1], 5]}, "adjacency[1]", "must be a list"),
    Refusal("graph-coloring", {"adjacency": []}, "number of rows of adjacency", "between 1"),
    Refusal("graph-coloring", {"adjacency": [[1], [2]]}, "adjacency[1][0]", "between 0 and 1"),
    Refusal(
        "graph-coloring",
        {"adjacency": [[0, 2], [1, 0]]},
        "adjacency[0]",
        "to itself",
        ((0,),),
        "edge 0-0",
    ),
    Refusal(
        "graph-coloring",
        {"adjacency": [[0, 1], [1, 1]]},
        "adjacency[1]",
        "to itself",
        ((1,),),
        "edge 1-1",
    ),
    Refusal("graph-coloring", {"vertices": ["a", "a"], "edges": []}, "vertices[1]", "of its own"),
    Refusal("graph-coloring", {"vertices": [1, "1"], "edges": []}, "vertices[1]", "of its own"),
    Refusal("graph-coloring", {"vertices": [None], "edges": []}, "vertices[0]", "not null"),
    Refusal("graph-coloring", {"vertices": [], "edges": []}, "vertices", "between 1 and 256"),
    Refusal("graph-coloring", {"vertices": ["a"]}, "edges", "is missing"),
    Refusal(
        "graph-coloring", {"vertices": ["a"], "edges": [["a", "b"]]}, "edges[0][1]", "no vertex"
    ),
    Refusal("graph-coloring", {"vertices": ["a"], "edges": [["a"]]}, "edges[0]", "two integers"),
    Refusal("graph-coloring", {"vertices": ["a"], "edges": ["a"]}, "edges[0]", "must be a list"),
    Refusal("graph-coloring", {"adjacency": {"a": ["b"]}}, "adjacency[0][0]", "names no vertex"),
    Refusal("graph-coloring", {"adjacency": {"a": 1}}, "adjacency[0]", "must be a list"),
    Refusal(
        "graph-coloring",
        {"vertices": ["a"], "edges": [], "fixed": {"b": 0}},
        "fixed",
        "names no vertex",
    ),
    Refusal("maze", {"grid": [[0, 1], [0, 0]]}, "grid[0]", "1 may be a wall or free"),
    Refusal("maze", {"grid": [["S", "."], ["..", "G"]]}, "grid[1]", "no single characters"),
]


@pytest.mark.parametrize("refusal", TABLE, ids=range(len(TABLE)))
def test_shapes_of_neighbours_are_refused_where_they_are_wrong(refusal: Refusal) -> None:
    with pytest.raises(PuzzleInvalid) as caught:
        family(refusal.puzzle).parse(refusal.body)  # type: ignore[arg-type]  # hostile on purpose
    issue = caught.value.issues[0]
    assert (issue.field, issue.cells, issue.rule) == (refusal.field, refusal.cells, refusal.rule)
    assert refusal.detail in issue.detail
