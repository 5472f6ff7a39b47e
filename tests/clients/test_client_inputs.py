"""Puzzles as people have them, and answers as they want them."""

import json
from typing import Any

import networkx
import numpy as np
import pytest

import gram_client
from gram_client import SolveResult
from gram_client._drawing import PuzzleShape
from gram_client._inputs import Puzzle, encode, text_or_body
from tests.clients.scripted import BOARD, RESULT, Reply, ScriptedServer

ROWS = [[1, 2, 0, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]]
BLANKS: Any = [[1.0, "2", None, 4], [3, 4, "1", 2], *ROWS[2:]]
FLOATS: Any = [[1.0, "2", 0, 4], [np.float64(3), np.int8(4), 1, 2], *ROWS[2:]]


class Table:
    """What is used of a data frame of pandas."""

    def to_numpy(self) -> object:
        return np.array(ROWS)


def result_of(puzzle: Puzzle, family: str, answer: object) -> SolveResult:
    """Return a result with one solution."""
    solution = {"answer": answer, "votes": 3, "source": "model", "value": 0.5, "first": None}
    document = {**RESULT, "puzzle": family, "solutions": [solution]}
    return SolveResult.model_validate(document, context=PuzzleShape(posted=text_or_body(puzzle)))


@pytest.mark.parametrize(
    "puzzle",
    [
        *(ROWS, np.array(ROWS), np.array(ROWS, dtype=np.uint8), [tuple(row) for row in ROWS]),
        *(FLOATS, np.array(ROWS).ravel(), Table(), BLANKS),
    ],
    ids=[
        *("lists", "array", "bytes", "tuples", "whole numbers of other kinds"),
        *("cells", "table", "other blanks"),
    ],
)
def test_boards_of_numbers_travel_as_rows(puzzle: Puzzle) -> None:
    media_type, content = encode(puzzle)
    assert media_type == "application/json"
    assert json.loads(content) == {"puzzle": "sudoku", "grid": ROWS}


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([".Q..", "...."], b".Q..\n...."),
        ([[".", "1"], ["2", "1"]], b".1\n21"),
        ([("S", "."), ("#", "G")], b"S.\n#G"),
    ],
)
def test_rows_of_text_travel_as_text(rows: Any, text: bytes) -> None:
    assert encode(rows) == ("text/plain; charset=utf-8", text)


def test_rows_of_zeros_and_ones_are_not_taken_for_a_sudoku_without_a_word() -> None:
    board = [[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0]]
    with pytest.raises(gram_client.PuzzleUnusable, match=r"sudoku .* or a board of queens"):
        encode(board)
    assert json.loads(encode({"puzzle": "nqueens", "grid": board})[1])["grid"] == board
    assert json.loads(encode([[0, 0], [0, 0]])[1])["puzzle"] == "sudoku"


def test_a_graph_travels_with_its_vertices_numbered() -> None:
    graph = networkx.Graph([("c", "a"), ("a", "b")], colors=4)
    graph.nodes["a"]["color"] = 2
    assert json.loads(encode(graph)[1]) == {
        "puzzle": "graph-coloring",
        "vertices": 3,
        "edges": [[0, 1], [1, 2]],
        "colors": 4,
        "fixed": {"1": 2},
    }
    # Edges there and back are one.
    body = json.loads(encode(networkx.DiGraph([(0, 1), (1, 0)]))[1])
    assert body["edges"] == [[0, 1]]
    assert "fixed" not in body


def test_colors_come_back_by_the_nodes_of_the_graph(server: ScriptedServer) -> None:
    graph = networkx.Graph([("WA", "NT"), ("NT", "Q")])
    solution = {**RESULT["solutions"][0], "answer": [0, 1, 0]}
    server.say(Reply(body={**RESULT, "puzzle": "graph-coloring", "solutions": [solution]}))
    with gram_client.Client(server.url) as client:
        best = client.solve(graph).best
    assert best is not None
    assert best.colors == {"WA": 0, "NT": 1, "Q": 0}


def test_colors_are_those_of_numbers_where_there_are_no_nodes() -> None:
    body: Puzzle = {"puzzle": "graph-coloring", "vertices": 2, "edges": []}
    assert result_of(body, "graph-coloring", [2, 0]).solutions[0].colors == {0: 2, 1: 0}
    assert result_of("." * 16, "sudoku", "1234341221434321").solutions[0].colors is None


def test_the_best_solution_is_drawn_and_taken_apart() -> None:
    result = result_of("12.4341221434321", "sudoku", "1234341221434321")
    assert result.best is result.solutions[0]
    assert str(result.best) == BOARD.rstrip()
    assert str(result) == f"solved: 1 distinct\nsolution 1, 3 votes\n{BOARD}".rstrip()
    assert result.best.grid == [[1, 2, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]]
    array = result.best.to_numpy()
    assert (array.shape, int(array[3, 0])) == ((4, 4), 4)
    assert result.to_dict()["solutions"][0]["answer"] == "1234341221434321"
    assert json.loads(json.dumps(result.to_dict())) == result.to_dict()


def test_queens_are_a_board_of_ones() -> None:
    result = result_of({"puzzle": "nqueens", "n": 4}, "nqueens", [[0, 1], [1, 3], [2, 0], [3, 2]])
    assert result.solutions[0].grid == [[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0]]
    assert result.solutions[0].to_numpy().sum() == 4


def test_a_coloring_has_no_board_but_an_array() -> None:
    result = result_of(networkx.path_graph(3), "graph-coloring", [0, 1, 0])
    assert result.solutions[0].grid is None
    assert result.solutions[0].to_numpy().tolist() == [0, 1, 0]
    assert "<pre>vertex 0 1 2" in result._repr_html_()


@pytest.mark.parametrize(
    "puzzle",
    [
        *(None, 5, 2.5, b"12..", {1, 2}, np.array(5), object()),
        *([1, 2], [["a", "b"]], [[1.5, 2]], [[float("nan")]], [[None]], np.array([1, 2])),
        *({"grid": {1, 2}}, {"n": float("nan")}),
    ],
)
def test_what_is_no_puzzle_is_refused_in_words(puzzle: Any) -> None:
    with pytest.raises(gram_client.PuzzleUnusable):
        encode(puzzle)


def test_a_graph_whose_colors_are_no_numbers_is_refused_in_words() -> None:
    graph = networkx.path_graph(3)
    graph.nodes[0]["color"] = "red"
    with pytest.raises(gram_client.PuzzleUnusable, match="node 0 has the color 'red'"):
        encode(graph)
    with pytest.raises(gram_client.PuzzleUnusable, match="joins node 'a' to itself"):
        encode(networkx.Graph([("a", "a")]))


def test_the_cell_that_is_no_number_is_named() -> None:
    with pytest.raises(gram_client.PuzzleUnusable, match=r"row 1, column 1 holds 5\.9"):
        encode(np.array([[1, float("nan")], [2, 5.9]]))


def test_neighbours_by_name_are_a_graph() -> None:
    body = json.loads(encode({"WA": ["NT"], "NT": ["WA"]})[1])
    assert (body["vertices"], body["edges"]) == (["WA", "NT"], [["NT", "WA"]])
