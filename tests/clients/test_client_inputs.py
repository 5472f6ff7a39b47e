"""Puzzles as people have them, and answers as they want them."""

import json
from collections.abc import Callable
from typing import Any

import networkx
import numpy as np
import pytest

import gram_client
from gram_client import SolveResult
from gram_client._drawing import PuzzleShape
from gram_client._inputs import Puzzle, encode, text_or_body
from tests.clients.scripted import RESULT, UNSOLVED, Reply, ScriptedServer

ROWS = [[1, 2, 0, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]]
BOARD = """\
+-----+-----+
| 1 2 | 3 4 |
| 3 4 | 1 2 |
+-----+-----+
| 2 1 | 4 3 |
| 4 3 | 2 1 |
+-----+-----+"""


MakeResult = Callable[[Puzzle, str, object], SolveResult]


@pytest.fixture
def result_of() -> MakeResult:
    """Make a result with one solution."""

    def make(puzzle: Puzzle, family: str, answer: object) -> SolveResult:
        solution = {"answer": answer, "votes": 3, "source": "model", "value": 0.5, "first": None}
        document = {**RESULT, "puzzle": family, "solutions": [solution]}
        return SolveResult.model_validate(
            document, context=PuzzleShape(posted=text_or_body(puzzle))
        )

    return make


@pytest.mark.parametrize(
    "puzzle",
    [ROWS, np.array(ROWS), np.array(ROWS, dtype=np.uint8), [tuple(row) for row in ROWS]],
    ids=["lists", "array", "bytes", "tuples"],
)
def test_boards_of_numbers_travel_as_rows(puzzle: Puzzle) -> None:
    media_type, content = encode(puzzle)
    assert media_type == "application/json"
    assert json.loads(content) == {"puzzle": "sudoku", "grid": ROWS}


def test_rows_of_text_travel_as_text() -> None:
    assert encode([".Q..", "...."]) == ("text/plain; charset=utf-8", b".Q..\n....")


def test_rows_of_single_characters_travel_as_text() -> None:
    rows: Any = [[".", "1"], ["2", "1"]]
    assert encode(rows) == ("text/plain; charset=utf-8", b".1\n21")
    tuples: Any = [("S", "."), ("#", "G")]
    assert encode(tuples)[1] == b"S.\n#G"


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


def test_colors_come_back_by_the_nodes_of_the_graph(server: ScriptedServer) -> None:
    graph = networkx.Graph([("WA", "NT"), ("NT", "Q")])
    solution = {**RESULT["solutions"][0], "answer": [0, 1, 0]}
    server.say(Reply(body={**RESULT, "puzzle": "graph-coloring", "solutions": [solution]}))
    with gram_client.Client(server.url) as client:
        best = client.solve(graph).best
    assert best is not None
    assert best.colors == {"WA": 0, "NT": 1, "Q": 0}


def test_colors_are_those_of_numbers_where_there_are_no_nodes(result_of: MakeResult) -> None:
    body: Puzzle = {"puzzle": "graph-coloring", "vertices": 2, "edges": []}
    assert result_of(body, "graph-coloring", [2, 0]).solutions[0].colors == {0: 2, 1: 0}
    assert result_of("." * 16, "sudoku", "1234341221434321").solutions[0].colors is None


def test_edges_there_and_back_are_one() -> None:
    body = json.loads(encode(networkx.DiGraph([(0, 1), (1, 0)]))[1])
    assert body["edges"] == [[0, 1]]
    assert "fixed" not in body


@pytest.mark.parametrize(
    "puzzle", [[1, 2], [["a", "b"]], {"grid": {1, 2}}, {"n": float("nan")}, np.array([1, 2])]
)
def test_what_cannot_be_sent_is_refused_before_it_is(puzzle: Puzzle) -> None:
    with pytest.raises(gram_client.PuzzleUnusable):
        encode(puzzle)


def test_the_best_solution_is_drawn_and_taken_apart(result_of: MakeResult) -> None:
    result = result_of("12.4341221434321", "sudoku", "1234341221434321")
    assert result.best is result.solutions[0]
    assert str(result.best) == BOARD
    assert str(result) == f"solved: 1 distinct\nsolution 1, 3 votes\n{BOARD}"
    assert result.best.grid == [[1, 2, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]]
    array = result.best.to_numpy()
    assert (array.shape, int(array[3, 0])) == ((4, 4), 4)
    assert result.to_dict()["solutions"][0]["answer"] == "1234341221434321"
    assert json.loads(json.dumps(result.to_dict())) == result.to_dict()


def test_queens_are_a_board_of_ones(result_of: MakeResult) -> None:
    result = result_of({"puzzle": "nqueens", "n": 4}, "nqueens", [[0, 1], [1, 3], [2, 0], [3, 2]])
    assert result.solutions[0].grid == [[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0]]
    assert result.solutions[0].to_numpy().sum() == 4
    assert result._repr_html_().count("\N{BLACK CHESS QUEEN}") == 4


@pytest.mark.parametrize(
    "answer",
    [
        [1, 3, 0, 2],
        [[0, 1], [1, 3], [2, 0], [3, 2]],
        [[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0]],
        [list(".Q.."), list("...Q"), list("Q..."), list("..Q.")],
        ".Q..\n...Q\nQ...\n..Q.",
    ],
)
def test_queens_are_drawn_in_every_form(result_of: MakeResult, answer: object) -> None:
    result = result_of({"puzzle": "nqueens", "n": 4}, "nqueens", answer)
    assert str(result.solutions[0]) == ". Q . .\n. . . Q\nQ . . .\n. . Q ."


@pytest.mark.parametrize(
    "answer",
    [
        [1, 2, 3, 4, 3, 4, 1, 2, 2, 1, 4, 3, 4, 3, 2, 1],
        list("1234341221434321"),
        [list("1234"), list("3412"), list("2143"), list("4321")],
    ],
)
def test_a_sudoku_is_drawn_in_every_form(result_of: MakeResult, answer: object) -> None:
    assert str(result_of("." * 16, "sudoku", answer).solutions[0]) == BOARD


def test_a_coloring_has_no_board_but_an_array(result_of: MakeResult) -> None:
    result = result_of(networkx.path_graph(3), "graph-coloring", [0, 1, 0])
    assert result.solutions[0].grid is None
    assert result.solutions[0].to_numpy().tolist() == [0, 1, 0]
    assert str(result.solutions[0]) == "vertex 0 1 2\ncolor  0 1 0"
    assert "<pre>vertex 0 1 2" in result._repr_html_()


@pytest.mark.parametrize(("side", "boxes"), [(4, (2, 2)), (6, (2, 3)), (9, (3, 3))])
def test_a_sudoku_is_a_table_with_its_boxes_ruled(
    result_of: MakeResult, side: int, boxes: tuple[int, int]
) -> None:
    digits = "".join(
        str(1 + (row + column) % side) for row in range(side) for column in range(side)
    )
    shown = result_of(digits, "sudoku", digits).solutions[0]._repr_html_()
    assert shown.count("<tr>") == side
    assert shown.count("<td") == side * side
    assert shown.count("border-bottom:2px") == side * (side // boxes[0])
    assert shown.count("border-right:2px") == side * (side // boxes[1])


def test_a_result_without_solutions_has_no_best_and_shows_its_attempt() -> None:
    attempt = {"answer": "1" * 16, "violations": []}
    shown = SolveResult.model_validate({**UNSOLVED, "best_attempt": attempt})
    assert shown.best is None
    assert str(shown).startswith("unsolved: 0 distinct\nbest attempt\n+-----+")
    assert shown._repr_html_().count("<table") == 1


def test_a_result_says_that_there_is_no_solution() -> None:
    proof = {"reason": "no value is left for this cell", "cells": [[0, 8]]}
    result = SolveResult.model_validate({**UNSOLVED, "best_attempt": None, "unsolvable": proof})
    assert str(result) == "unsolved: 0 distinct, no value is left for this cell"
    assert result.unsolvable is not None
    assert result.unsolvable.cells == ((0, 8),)


@pytest.mark.parametrize(
    "puzzle",
    [None, 5, 2.5, b"12..", {1, 2}, np.array(5), object(), [[1.5, 2]], [[float("nan")]], [[None]]],
)
def test_what_is_no_puzzle_is_refused_in_words(puzzle: Any) -> None:
    with pytest.raises(gram_client.PuzzleUnusable):
        encode(puzzle)


def test_a_graph_whose_colors_are_no_numbers_is_refused_in_words() -> None:
    graph = networkx.path_graph(3)
    graph.nodes[0]["color"] = "red"
    with pytest.raises(gram_client.PuzzleUnusable, match="red"):
        encode(graph)


def test_whole_numbers_may_be_floats_or_text() -> None:
    mixed: Any = [[1.0, "2"], [np.float64(3), np.int8(4)]]
    assert encode(mixed) == encode([[1, 2], [3, 4]])
