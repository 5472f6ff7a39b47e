import json
from itertools import chain

import numpy as np
import pytest

from gram_core.errors import PuzzleInvalid
from gram_core.puzzles import family

PUZZLE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
SOLUTION = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
DRAWN = """
 5 3 . | . 7 . | . . .
 6 . . | 1 9 5 | . . .
 . 9 8 | . . . | . 6 .
-------+-------+-------
 8 . . | . 6 . | . . 3
 4 . . | 8 . 3 | . . 1
 7 . . | . 2 . | . . 6
-------+-------+-------
 . 6 . | . . . | 2 8 .
 . . . | 4 1 9 | . . 5
 . . . | . 8 . | . 7 9
"""
FRAMED = "+---+---+\n|1 .|. .|\n|. .|. .|\n+---+---+\n|. .|2 .|\n|. .|. .|\n+---+---+\n"


BARRED = "*-----------*\n" + "".join(
    f"|{PUZZLE[at : at + 3]}|{PUZZLE[at + 3 : at + 6]}|{PUZZLE[at + 6 : at + 9]}|\n"
    + "|---+---+---|\n" * (at in (18, 45))
    for at in range(0, 81, 9)
)


def lists(cells: str, size: int = 9) -> list[list[int]]:
    digits = [0 if cell == "." else int(cell) for cell in cells]
    return [digits[start : start + size] for start in range(0, len(digits), size)]


def strings(cells: str, size: int = 9) -> list[str]:
    return [cells[start : start + size] for start in range(0, len(cells), size)]


def solve(puzzle: str, body: dict[str, object]) -> object:
    rules = family(puzzle)
    instance = rules.parse(body)
    tokens = next(rules.enumerate(instance, limit=1))
    return rules.decode(instance, tokens)


@pytest.mark.parametrize(
    "text",
    [
        PUZZLE,
        PUZZLE.replace(".", "0"),
        PUZZLE.replace(".", "*"),
        PUZZLE.replace(".", "_"),
        "\n".join(strings(PUZZLE)),
        " ".join(PUZZLE) + "\r\n",
        DRAWN,
        DRAWN.replace("-------+", "-------|"),
        DRAWN.replace("-", "="),
        DRAWN.replace(".", "x"),
        DRAWN.replace(".", "~"),
        BARRED,
        BARRED.replace("*--", "┌──").replace("---+", "───┼").replace("|", "│"),
        f"#A someone\n[Puzzle]\n{BARRED}[State]\n{SOLUTION}",
        PUZZLE.replace(".", "X"),
        "\n".join(strings(PUZZLE.replace(".", "-"))),
        "\n".join(",".join(row) for row in strings(PUZZLE)),
        "\n".join(",".join(row).replace(".", "") for row in strings(PUZZLE)),
        "\n".join("\t".join(row).replace(".", "") for row in strings(PUZZLE)),
        "".join("|" + "|".join(row).replace(".", " ") + "|\n" for row in strings(PUZZLE)),
        "".join(",".join(row) + ",\n" for row in strings(PUZZLE)),
    ],
)
def test_every_text_of_a_sudoku_reads_the_same(text: str) -> None:
    sudoku = family("sudoku")
    assert sudoku.parse_text(text) == sudoku.parse_text(PUZZLE)
    assert sudoku.dump(sudoku.parse_text(text)) == {"puzzle": "sudoku", "grid": PUZZLE}


def test_a_row_of_dashes_is_one_where_dashes_are_blanks_and_else_a_frame() -> None:
    sudoku = family("sudoku")
    board = "----\n1---\n----\n--2-"
    assert sudoku.parse_text(board) == sudoku.parse_text("....1.........2.")
    queens = family("nqueens")
    assert queens.parse_text("----\n-Q--\n----\n----") == queens.parse_text(
        "....\n.Q..\n....\n...."
    )
    assert sudoku.parse_text(FRAMED) == sudoku.parse({"grid": "1.........2....."})
    assert queens.parse_text("|Q| | | |\n" + "| | | | |\n" * 3).queens == ((0, 0),)


def test_a_queen_amid_spaces_is_no_board_of_one_square() -> None:
    queens = family("nqueens")
    with pytest.raises(PuzzleInvalid, match="one sign amid spaces"):
        queens.parse_text(" Q  \n    \n    \n    ")
    assert queens.parse_text("Q\n").size == 1


@pytest.mark.parametrize(
    "text",
    [
        *("." * 40 + "x" * 40 + "1", "x" * 81, ("." * 10 + "\n") * 9),
        f"[Puzzle]\n{PUZZLE}\n[Regions]\n{'a' * 81}",
    ],
)
def test_signs_that_may_mean_something_else_are_refused(text: str) -> None:
    with pytest.raises(PuzzleInvalid):
        family("sudoku").parse_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "c-----\ncreated here\nP COL 3 2\nE 1 2\nE 2 3\n",
        "p col 3 4\ne 1 2\ne 2 3\n",
        "p edge 3 2 extra\ne 1 2 7\ne 2 3 7\n",
        "% a remark\np tw 3 2\n1 2\n2 3\n",
        "p sp 3 2\na 1 2 5\na 2 3 5\n",
    ],
)
def test_dimacs_files_of_other_problems_hold_graphs_too(text: str) -> None:
    coloring = family("graph-coloring")
    assert coloring.parse_text(text) == coloring.parse({"vertices": 3, "edges": [[0, 1], [1, 2]]})


def test_sudoku_answers_come_back_as_posted() -> None:
    assert solve("sudoku", {"grid": PUZZLE}) == SOLUTION
    assert solve("sudoku", {"grid": DRAWN}) == SOLUTION
    assert solve("sudoku", {"grid": lists(PUZZLE)}) == lists(SOLUTION)
    assert solve("sudoku", {"grid": strings(PUZZLE)}) == strings(SOLUTION)


@pytest.mark.parametrize(("cells", "side"), [(81, 9), (36, 6), (16, 4)])
def test_sudoku_sizes_follow_from_the_number_of_cells(cells: int, side: int) -> None:
    sudoku = family("sudoku")
    assert sudoku.task_of(sudoku.parse_text("." * cells)).name == f"sudoku-{side}x{side}"
    rows = [[0] * side for _ in range(side)]
    assert sudoku.task_of(sudoku.parse({"grid": rows})).length == cells


def test_sudoku_tokens_are_one_more_than_digits() -> None:
    sudoku = family("sudoku")
    encoded = sudoku.encode(sudoku.parse_text(PUZZLE))
    assert encoded.tokens[:6].tolist() == [6, 4, 1, 1, 8, 1]
    assert encoded.tokens.dtype == np.uint8
    assert encoded.adjacency is None


def test_queens_answers_come_back_as_posted() -> None:
    squares = [[0, 1], [1, 3], [2, 0], [3, 2]]
    assert solve("nqueens", {"n": 4, "queens": [[0, 1]]}) == squares
    drawn = [".Q..", "...Q", "Q...", "..Q."]
    for blank in ".0*_":
        rows = [row.replace(".", blank) for row in (".q..", "....", ". . . .", "....")]
        assert solve("nqueens", {"grid": rows}) == drawn
    assert solve("nqueens", {"grid": ".Q..\n....\n....\n....\n"}) == "\n".join(drawn)


def test_forms_of_neighbours_are_read_and_answered_alike() -> None:
    """Shapes in which other programs hold boards."""
    signs = [list(row) for row in strings(PUZZLE)]
    assert solve("sudoku", {"grid": signs}) == [list(row) for row in strings(SOLUTION)]
    flat, solved = ([*chain(*lists(cells))] for cells in (PUZZLE, SOLUTION))
    assert solve("sudoku", {"grid": flat}) == solved
    assert solve("sudoku", {"grid": list(PUZZLE)}) == list(SOLUTION)
    without = [[None if sign == "." else sign for sign in row] for row in signs]
    assert solve("sudoku", {"grid": without}) == [list(row) for row in strings(SOLUTION)]
    spaces = [[" " if sign == "." else sign for sign in row] for row in signs]
    assert solve("sudoku", {"grid": spaces}) == [list(row) for row in strings(SOLUTION)]
    nulls = [[digit or None for digit in row] for row in lists(PUZZLE)]
    assert solve("sudoku", {"grid": nulls}) == lists(SOLUTION)
    drawn = [".Q..", "...Q", "Q...", "..Q."]
    board = [[int(sign == "Q") for sign in row] for row in drawn]
    assert solve("nqueens", {"grid": [list(".Q..")] + [list("....")] * 3}) == [*map(list, drawn)]
    assert solve("nqueens", {"grid": [[0, 1, 0, 0], *[[0] * 4] * 3]}) == board
    assert solve("nqueens", {"grid": "0100\n0000\n0000\n0000"}) == "\n".join(drawn)
    assert solve("maze", {"grid": [["S", "."], ["#", "G"]]}) == [[0, 0], [0, 1], [1, 1]]


def test_queens_may_be_the_columns_of_their_rows() -> None:
    queens = family("nqueens")
    for columns in ([1, None, None, None], [1, -1, -1, -1], [1, 3, 0, 2]):
        bodies: list[dict[str, object]] = [{"queens": columns}, {"n": 4, "queens": columns}]
        for body in bodies:
            assert solve("nqueens", body) == [1, 3, 0, 2]
    board = queens.parse({"queens": [1, None, None, None]})
    assert queens.dump(board) == {"puzzle": "nqueens", "n": 4, "queens": [1, None, None, None]}
    # What is no column for each row is answered as squares.
    attempt = queens.encode(board).tokens
    assert queens.decode(board, attempt) == [[0, 1]]


def test_an_edge_may_stand_in_both_directions_and_a_graph_be_a_matrix_or_lists() -> None:
    coloring = family("graph-coloring")
    path = coloring.parse({"vertices": 3, "edges": [[0, 1], [1, 2]]})
    for body in (
        {"vertices": 3, "edges": [[0, 1], [1, 0], [2, 1], [1, 2]]},
        {"adjacency": [[0, 1, 0], [1, 0, 1], [0, 1, 0]]},
        {"adjacency": [[0, 1, 0], [0, 0, 1], [0, 0, 0]]},
        {"adjacency": [[False, True, False], [True, False, True], [False, True, False]]},
        {"adjacency": [[1], [0, 2], [1]]},
        {"adjacency": [[], [0, 2], []]},
    ):
        assert coloring.parse(body) == path
    assert coloring.parse({"adjacency": [[0]]}).edges == ()


def test_vertices_may_have_names_which_the_answer_is_in_the_order_of() -> None:
    coloring = family("graph-coloring")
    path = coloring.parse({"vertices": 3, "edges": [[0, 1], [1, 2]], "fixed": {"2": 1}})
    fixed = {"Q": 1}
    for body in (
        {"vertices": ["WA", "NT", "Q"], "edges": [["WA", "NT"], ["Q", "NT"]], "fixed": fixed},
        {"adjacency": {"WA": ["NT"], "NT": ["WA", "Q"], "Q": ["NT"]}, "fixed": fixed},
        {"vertices": [1, 2, 3], "edges": [[1, 2], [2, 3]], "fixed": {"3": 1}},
        {"adjacency": {"1": [2], "2": [3], "3": []}, "fixed": {"3": 1}},
    ):
        assert coloring.parse(body) == path
    assert coloring.parse(json.loads(json.dumps(coloring.dump(path)))) == path


def test_queens_forms_of_one_board_have_the_same_tokens() -> None:
    queens = family("nqueens")
    listed = queens.parse({"puzzle": "nqueens", "n": 4, "queens": [[2, 0], [0, 1]]})
    drawn = queens.parse({"n": 4, "grid": [".Q..", "....", "Q...", "...."]})
    text = queens.parse_text("  .Q..\n....\n\nQ...\n....")
    assert listed.queens == drawn.queens == text.queens == ((0, 1), (2, 0))
    expected = [1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1]
    assert queens.encode(drawn).tokens.tolist() == expected
    # Without queens a board needs only its size.
    assert queens.parse({"n": 5}) == queens.parse({"n": 5, "queens": []})
    assert queens.task_of(queens.parse({"n": 64})).length == 4096


def test_colors_come_back_as_a_list() -> None:
    body: dict[str, object] = {
        "vertices": 3,
        "edges": [[0, 1], [2, 1]],
        "colors": 2,
        "fixed": {"1": 0},
    }
    assert solve("graph-coloring", body) == [1, 0, 1]


def test_graph_tokens_carry_fixed_colors_and_adjacency() -> None:
    coloring = family("graph-coloring")
    encoded = coloring.encode(coloring.parse({"vertices": 3, "edges": [[2, 1]], "fixed": {"2": 2}}))
    assert encoded.tokens.tolist() == [1, 1, 4]
    assert encoded.adjacency is not None
    assert np.argwhere(encoded.adjacency).tolist() == [[1, 2], [2, 1]]


def test_dimacs_reads_as_the_listed_graph() -> None:
    text = "c a square\np edge 4 4\ne 1 2\ne 2 1\ne 2 3\n\ne 3 4\ne 4 1\n"
    coloring = family("graph-coloring")
    listed = coloring.parse({"vertices": 4, "edges": [[0, 1], [1, 2], [2, 3], [0, 3]]})
    assert coloring.parse_text(text) == listed
    assert coloring.parse({"dimacs": text, "colors": 3, "fixed": {}}) == listed
    assert coloring.parse({"dimacs": text, "colors": 2}).colors == 2


@pytest.mark.parametrize(
    ("puzzle", "body"),
    [
        ("sudoku", {"grid": "1" + "." * 35}),
        ("sudoku", {"grid": lists(PUZZLE)}),
        ("sudoku", {"grid": strings(PUZZLE)}),
        ("sudoku", {"puzzle": "sudoku", "grid": DRAWN}),
        ("nqueens", {"n": 8, "queens": [[7, 3], [0, 0]]}),
        ("nqueens", {"grid": ["Q...", "....", "....", "...."]}),
        ("nqueens", {"grid": "...\n..Q\n..."}),
        ("nqueens", {"grid": [[0, 0, 1], [0, 0, 0], [0, 0, 0]]}),
        ("nqueens", {"grid": [list("..Q"), list("..."), list("...")]}),
        ("nqueens", {"queens": [2, None, None]}),
        ("nqueens", {"queens": [1, 3, 0, 2]}),
        ("sudoku", {"grid": [list("1..."), *[list("....")] * 3]}),
        ("sudoku", {"grid": [1] + [0] * 15}),
        ("sudoku", {"grid": ["1"] + ["."] * 15}),
        ("maze", {"grid": [["S", "."], ["#", "G"]]}),
        ("graph-coloring", {"adjacency": [[0, 1], [1, 0]], "colors": 4}),
        ("graph-coloring", {"vertices": 5, "edges": [[4, 0]], "colors": 4, "fixed": {"3": 3}}),
        ("graph-coloring", {"dimacs": "p col 2 1\ne 1 2", "fixed": {"0": 1}}),
    ],
)
def test_every_form_survives_the_roundtrip(puzzle: str, body: dict[str, object]) -> None:
    rules = family(puzzle)
    instance = rules.parse(body)
    dumped = rules.dump(instance)
    assert rules.parse(json.loads(json.dumps(dumped))) == instance
    assert rules.dump(rules.parse(dumped)) == dumped


def test_attempts_with_empty_cells_can_be_shown() -> None:
    blank = np.ones(81, dtype=np.uint8)
    sudoku = family("sudoku")
    assert sudoku.decode(sudoku.parse_text("." * 81), blank) == "." * 81
    assert sudoku.decode(sudoku.parse({"grid": [[0] * 4] * 4}), blank[:16]) == [[0] * 4] * 4
    coloring = family("graph-coloring")
    graph = coloring.parse({"vertices": 2, "edges": []})
    assert coloring.decode(graph, np.array([1, 3], dtype=np.uint8)) == [None, 1]
