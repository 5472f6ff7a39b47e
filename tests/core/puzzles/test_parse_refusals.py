"""What malformed bodies are told: the field, the cells and the rule, and a sentence."""

from typing import NamedTuple

import pytest

from gram_core.errors import Issue, PuzzleInvalid
from gram_core.puzzles import family

NAN = float("nan")
EMPTY = "." * 81
ROWS = [[0] * 9 for _ in range(9)]
SQUARE: dict[str, object] = {"vertices": 4, "edges": [[0, 1], [1, 2], [2, 3], [3, 0]]}

Cells = tuple[tuple[int, ...], ...]


class Refusal(NamedTuple):
    """The first issue that a body must be refused with."""

    body: object
    field: str
    detail: str
    cells: Cells = ()
    rule: str | None = None


def clash(body: object, field: str, detail: str, rule: str, *cells: tuple[int, ...]) -> Refusal:
    """Return a refusal whose sentence ends with the rule."""
    return Refusal(body, field, f"{detail} {rule}", cells, rule)


def placed(**digits: str) -> str:
    """Return an empty 9x9 board with digits at cells such as r0c4."""
    cells = list(EMPTY)
    for place, digit in digits.items():
        cells[int(place[1]) * 9 + int(place[3])] = digit
    return "".join(cells)


def row_of(value: object) -> list[list[object]]:
    """Return an empty 9x9 board of lists with a value at row 2, column 3."""
    rows: list[list[object]] = [[0] * 9 for _ in range(9)]
    rows[2][3] = value
    return rows


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


SUDOKU = [
    Refusal([], "body", "must be a JSON object, not a list of 0"),
    Refusal(None, "body", "not null"),
    Refusal({}, "grid", "is missing"),
    Refusal({"puzzle": "nqueens", "grid": EMPTY}, "puzzle", 'must be "sudoku"'),
    Refusal({"puzzle": 7, "grid": EMPTY}, "puzzle", "not 7"),
    Refusal({"grid": EMPTY, "gird": 1}, "gird", "not a field of sudoku"),
    Refusal({"grid": EMPTY, 5: 1}, "5", "not a field of sudoku"),
    Refusal({"grid": None}, "grid", "not null"),
    Refusal({"grid": True}, "grid", "not true"),
    Refusal({"grid": 53}, "grid", "not 53"),
    Refusal({"grid": NAN}, "grid", "not the number nan"),
    Refusal({"grid": {"0": 1}}, "grid", "not an object"),
    Refusal({"grid": ""}, "grid", "has 0 cells; a sudoku has 16 (4x4)"),
    Refusal({"grid": EMPTY[1:]}, "grid", "has 80 cells"),
    Refusal({"grid": EMPTY + "."}, "grid", "has 82 cells"),
    Refusal({"grid": "." * 3000}, "grid", "has 3000 characters; at most 2000"),
    Refusal({"grid": placed(r1c2="x")}, "grid", 'the string "x"', ((1, 2),)),
    Refusal({"grid": placed(r0c0="\u0665")}, "grid", "\\u0665", ((0, 0),)),
    Refusal({"grid": placed(r8c8="-")}, "grid", 'the string "-"', ((8, 8),)),
    Refusal({"grid": "5" + "." * 15}, "grid", "a cell is 1 to 4", ((0, 0),)),
    Refusal({"grid": "." * 35 + "7"}, "grid", "a cell is 1 to 6", ((5, 5),)),
    Refusal({"grid": []}, "grid", "has 0 rows"),
    Refusal({"grid": [0] * 80}, "grid", "has 80 rows; a sudoku has 4"),
    Refusal({"grid": [*ROWS[:8], [0] * 8]}, "grid[8]", "has 8 cells; every row"),
    Refusal({"grid": [*ROWS[:8], 0]}, "grid[8]", "must be a list, not 0"),
    Refusal({"grid": [*ROWS[:8], EMPTY[:9]]}, "grid[8]", "must be a list"),
    Refusal({"grid": [*ROWS[:8], [0] * 500]}, "grid[8]", "has 500 entries"),
    Refusal({"grid": row_of(10)}, "grid[2]", "column 3 holds 10", ((2, 3),)),
    Refusal({"grid": row_of(-1)}, "grid[2]", "column 3 holds -1", ((2, 3),)),
    Refusal({"grid": row_of(True)}, "grid[2]", "holds true", ((2, 3),)),
    Refusal({"grid": row_of(5.0)}, "grid[2]", "the number 5.0", ((2, 3),)),
    Refusal({"grid": row_of(NAN)}, "grid[2]", "the number nan", ((2, 3),)),
    Refusal({"grid": row_of("5")}, "grid[2]", 'the string "5"', ((2, 3),)),
    Refusal({"grid": row_of(10**6000)}, "grid[2]", "a huge integer", ((2, 3),)),
    Refusal({"grid": row_of(nested(50_000))}, "grid[2]", "a list of 1", ((2, 3),)),
    Refusal({"grid": nested(50_000)}, "grid", "has 1 rows"),
    Refusal({"grid": ["...."] * 3 + ["..."]}, "grid[3]", "has 3 cells"),
    Refusal({"grid": ["...."] * 3 + ["..a."]}, "grid[3]", 'string "a"', ((3, 2),)),
    clash({"grid": "55" + EMPTY[2:]}, "grid", "5 stands 2 times in", "row 0", (0, 0), (0, 1)),
    clash({"grid": placed(r1c4="8", r7c4="8")}, "grid", "times in", "column 4", (1, 4), (7, 4)),
    clash({"grid": placed(r3c0="2", r5c2="2")}, "grid", "times in", "box 3", (3, 0), (5, 2)),
]

QUEENS = [
    Refusal({}, "n", "is missing"),
    Refusal({"queens": [[0, 0]]}, "n", "is missing"),
    Refusal({"n": 0}, "n", "must be between 1 and 64, not 0"),
    Refusal({"n": 65}, "n", "not 65"),
    Refusal({"n": 10**5000}, "n", "not a huge integer"),
    Refusal({"n": 8.0}, "n", "must be an integer, not the number 8.0"),
    Refusal({"n": "8"}, "n", 'not the string "8"'),
    Refusal({"n": True}, "n", "not true"),
    Refusal({"n": 8, "size": 8}, "size", "not a field of nqueens"),
    Refusal({"n": 8, "queens": None}, "queens", "must be a list, not null"),
    Refusal({"n": 8, "queens": "Q"}, "queens", "must be a list"),
    Refusal({"n": 8, "queens": [3]}, "queens[0]", "two integers, not 3"),
    Refusal({"n": 8, "queens": [[0, 1], [2]]}, "queens[1]", "a list of 1"),
    Refusal({"n": 8, "queens": [[0, 1, 2]]}, "queens[0]", "a list of 3"),
    Refusal({"n": 8, "queens": [[0, 8]]}, "queens[0][1]", "between 0 and 7, not 8"),
    Refusal({"n": 8, "queens": [[False, 0]]}, "queens[0][0]", "not false"),
    Refusal({"n": 2, "queens": [[0, 0]] * 5}, "queens", "has 5 entries; at most 4"),
    Refusal(
        {"n": 8, "queens": [[0, 3], [4, 4], [0, 3]]},
        "queens[2]",
        "stands on the square of queens[0]",
        ((0, 3),),
    ),
    Refusal({"n": 8, "queens": [nested(50_000), 1]}, "queens[0]", "a list of 1"),
    Refusal({"n": 4, "grid": ["Q"], "queens": []}, "queens", "beside a grid"),
    Refusal({"n": 5, "grid": ["...."] * 4}, "n", "is 5, but the grid has 4 rows"),
    Refusal({"grid": []}, "grid", "has 0 rows"),
    Refusal({"grid": " \n "}, "grid", "has 0 rows"),
    Refusal({"grid": ["."] * 65}, "grid", "has 65 entries; at most 64"),
    Refusal({"grid": ".\n" * 65}, "grid", "has 65 rows"),
    Refusal({"grid": "." * 20_000}, "grid", "at most 16640 are read"),
    Refusal({"grid": 8}, "grid", "must be a list, not 8"),
    Refusal({"grid": ["....", None, "....", "...."]}, "grid[1]", "not null"),
    Refusal({"grid": ["....", "...", "....", "...."]}, "grid[1]", "has 3 squares"),
    Refusal({"grid": ["....", "..K.", "....", "...."]}, "grid[1]", '"K"', ((1, 2),)),
    clash(
        {"n": 8, "queens": [[2, 1], [2, 6]]},
        "queens",
        "attack each other on",
        "row 2",
        (2, 1),
        (2, 6),
    ),
    clash({"n": 8, "queens": [[7, 3], [0, 3]]}, "queens", "on", "column 3", (0, 3), (7, 3)),
    clash({"n": 8, "queens": [[0, 0], [5, 5]]}, "queens", "on", "diagonal 7", (0, 0), (5, 5)),
    clash({"grid": ["..Q", "...", "Q.."]}, "grid", "on", "antidiagonal 2", (0, 2), (2, 0)),
]

COLORING = [
    Refusal({}, "vertices", "is missing"),
    Refusal({"vertices": 3}, "edges", "is missing"),
    Refusal({"vertices": 0, "edges": []}, "vertices", "between 1 and 256"),
    Refusal({"vertices": 257, "edges": []}, "vertices", "not 257"),
    Refusal({"vertices": 3, "edges": {}}, "edges", "not an object"),
    Refusal({"vertices": 3, "edges": [0] * 70_000}, "edges", "at most 65280"),
    Refusal({"vertices": 3, "edges": [[0]]}, "edges[0]", "two integers"),
    Refusal({"vertices": 3, "edges": [[0, 1], [0, 3]]}, "edges[1][1]", "not 3"),
    Refusal({"vertices": 3, "edges": [[0, 1.0]]}, "edges[0][1]", "number 1.0"),
    Refusal(
        {"vertices": 3, "edges": [[0, 1], [2, 2]]},
        "edges[1]",
        "joins vertex 2 to itself",
        ((2,),),
        "edge 2-2",
    ),
    Refusal(
        {"vertices": 3, "edges": [[0, 1], [1, 0], [0, 1]]},
        "edges[2]",
        "repeats edges[0]",
        ((0,), (1,)),
    ),
    Refusal({**SQUARE, "colors": 0}, "colors", "not 0"),
    Refusal({**SQUARE, "colors": 33}, "colors", "and 32"),
    Refusal({**SQUARE, "colors": None}, "colors", "null"),
    Refusal({**SQUARE, "k": 3}, "k", "not a field"),
    Refusal({**SQUARE, "fixed": []}, "fixed", "an object"),
    Refusal({**SQUARE, "fixed": {"4": 0}}, "fixed[4]", "is not a vertex: they are 0 to 3"),
    Refusal({"vertices": 4, "edges": [], "fixed": {"00": 0}}, "fixed[00]", "vertex"),
    Refusal({"vertices": 4, "edges": [], "fixed": {"a": 0}}, "fixed[a]", "vertex"),
    Refusal({"vertices": 4, "edges": [], "fixed": {1: 0}}, "fixed[1]", "vertex"),
    Refusal({"vertices": 4, "edges": [], "fixed": {"1": 3}}, "fixed[1]", "between 0 and 2, not 3"),
    Refusal({"vertices": 1, "edges": [], "fixed": {"0": 0, "1": 0}}, "fixed", "has 2 entries"),
    Refusal(
        {**SQUARE, "fixed": {"0": 1, "2": 1, "3": 1}},
        "fixed",
        "vertices 0 and 3 both have colour 1, but an edge joins them",
        ((0,), (3,)),
        "edge 0-3",
    ),
    Refusal({"dimacs": "p edge 2 1", "edges": []}, "edges", "beside dimacs"),
    Refusal({"dimacs": 5}, "dimacs", "must be a string, not 5"),
    Refusal({"dimacs": ""}, "dimacs", "has no problem line"),
    Refusal({"dimacs": "e 1 2"}, "dimacs", "line 1 comes before"),
    Refusal({"dimacs": "p edge 2"}, "dimacs", "line 1 is not of the form"),
    Refusal({"dimacs": "p edge 3 5\ne 1 2\ne 2 3"}, "dimacs", "has 2 of 5 edges: its end is"),
    Refusal({"dimacs": "p cnf 2 1"}, "dimacs", "line 1 is not of the form"),
    Refusal({"dimacs": "p edge x 1"}, "dimacs", "line 1 should hold whole"),
    Refusal({"dimacs": "p edge 0 0"}, "dimacs", "line 1 holds 0"),
    Refusal({"dimacs": "p edge \u0662 0"}, "dimacs", "whole numbers"),
    Refusal({"dimacs": "p edge 9999999999 0"}, "dimacs", "whole numbers"),
    Refusal({"dimacs": "p edge 3 1\np edge 3 1"}, "dimacs", "line 2 is a second"),
    Refusal({"dimacs": "p edge 3 1\ne 1"}, "dimacs", "line 2 is not of the form"),
    Refusal({"dimacs": "p edge 3 1\ne 1 4"}, "dimacs", "line 2 holds 4"),
    Refusal({"dimacs": "p edge 3 1\ne 0 1"}, "dimacs", "line 2 holds 0"),
    Refusal({"dimacs": "hello"}, "dimacs", "line 1 does not start with"),
    Refusal(
        {"dimacs": "p edge 3 1\ne 2 2"},
        "dimacs",
        "line 2 joins vertex 2 to itself",
        ((1,),),
        "edge 1-1",
    ),
]

MAZE = [
    Refusal({}, "grid", "is missing"),
    Refusal({"grid": ["SG"], "start": [0, 0]}, "start", "is not a field of maze"),
    Refusal({"grid": 7}, "grid", "must be a list, not 7"),
    Refusal({"grid": []}, "grid", "has 0 rows; a maze has 1 to 64"),
    Refusal({"grid": "# # #\nS . G"}, "grid", "has a space after every cell"),
    Refusal({"grid": "\n\n"}, "grid", "has 0 rows"),
    Refusal({"grid": [""]}, "grid[0]", "has 0 cells"),
    Refusal({"grid": ["SG"] * 65}, "grid", "has 65 entries; at most 64"),
    Refusal({"grid": ["S" * 65]}, "grid[0]", "has 65 cells; a row has 1 to 64"),
    Refusal({"grid": "." * 20_000}, "grid", "at most 16640 are read"),
    Refusal({"grid": ["S.", None]}, "grid[1]", "must be a string, not null"),
    Refusal({"grid": ["S.G", "..", "..."]}, "grid[1]", "has 2 cells; row 0 of this maze"),
    Refusal({"grid": ["S.G", ".x."]}, "grid[1]", 'column 1 holds the string "x"', ((1, 1),)),
    Refusal({"grid": ["S.E", "..E"]}, "grid[0]", 'column 2 holds the string "E"', ((0, 2),)),
    Refusal({"grid": ["S.G", "..E"]}, "grid[1]", 'column 2 holds the string "E"', ((1, 2),)),
    Refusal({"grid": ["S\t.G"]}, "grid[0]", "column 1 holds", ((0, 1),)),
    Refusal({"grid": ["..G"]}, "grid", "has no start: mark one cell S", (), "start"),
    Refusal({"grid": ["S.."]}, "grid", "has no goal: mark one cell G", (), "goal"),
    Refusal(
        {"grid": ["S.G", "G.."]},
        "grid",
        "has 2 cells G, at (0, 2), (1, 0); one is the goal",
        ((0, 2), (1, 0)),
        "goal",
    ),
    Refusal(
        {"grid": ["S#.", "##.", "..G"]},
        "grid",
        "no way leads from the start at row 0, column 0 to the goal at row 2, column 2",
        ((0, 0), (2, 2)),
        "path",
    ),
]

# What shapes of other programs are told where they are wrong, or could mean something else.
NEIGHBOURS = {
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
TABLE = {"sudoku": SUDOKU, "nqueens": QUEENS, "graph-coloring": COLORING, "maze": MAZE}


@pytest.mark.parametrize(
    ("puzzle", "refusal"),
    [
        pytest.param(puzzle, refusal, id=f"{puzzle}-{number}")
        for puzzle in TABLE
        for number, refusal in enumerate([*TABLE[puzzle], *NEIGHBOURS[puzzle]])
    ],
)
def test_malformed_bodies_are_refused_with_field_cells_and_rule(
    puzzle: str, refusal: Refusal
) -> None:
    with pytest.raises(PuzzleInvalid) as caught:
        family(puzzle).parse(refusal.body)  # type: ignore[arg-type]  # hostile on purpose
    issue = caught.value.issues[0]
    assert (issue.field, issue.cells, issue.rule) == (refusal.field, refusal.cells, refusal.rule)
    assert refusal.detail in issue.detail


def test_every_clash_and_every_short_row_of_a_board_is_told() -> None:
    with pytest.raises(PuzzleInvalid) as caught:
        family("sudoku").parse({"grid": "55" + EMPTY[2:]})
    assert [(issue.rule, issue.cells) for issue in caught.value.issues] == [
        ("row 0", ((0, 0), (0, 1))),
        ("box 0", ((0, 0), (0, 1))),
    ]
    assert caught.value.code == "puzzle_invalid"
    assert str(caught.value) == "grid: 5 stands 2 times in row 0; grid: 5 stands 2 times in box 0"
    with pytest.raises(PuzzleInvalid) as caught:
        family("sudoku").parse({"grid": ["....", "...", "....", "....."]})
    assert [issue.field for issue in caught.value.issues] == ["grid[1]", "grid[3]"]


def test_hostile_bodies_get_a_bounded_answer() -> None:
    bodies: list[tuple[str, dict[str, object]]] = [
        ("sudoku", {"grid": "x" * 81}),
        ("sudoku", {"grid": "9" * 81}),
        ("nqueens", {"grid": ["Q" * 64] * 64}),
        ("nqueens", {"grid": ["x" * 64] * 64}),
        ("maze", {"grid": ["x" * 64] * 64}),
        ("maze", {"grid": ["S" * 64] * 64}),
        ("graph-coloring", {"vertices": 2, "edges": [[0, 1]] * 30_000}),
        ("graph-coloring", {f"field{number}" * 50: 0 for number in range(10_000)}),
    ]
    for puzzle, body in bodies:
        with pytest.raises(PuzzleInvalid) as caught:
            family(puzzle).parse(body)
        assert len(caught.value.issues) <= 32
        assert len(str(caught.value)) < 40_000


def test_issues_are_never_empty() -> None:
    with pytest.raises(ValueError, match="at least one issue"):
        PuzzleInvalid([])
    assert PuzzleInvalid([Issue("grid", "is odd")]).issues == (Issue("grid", "is odd"),)
