"""Boards and results that draw themselves: on their puzzle, out of JSON, in notebooks."""

import json
from typing import Any

import httpx
import networkx
import pytest

from gram_client import Client, GenerateResult, Job, Puzzle, SolveResult, draw
from gram_client._drawing import PuzzleShape
from tests.clients.scripted import BOARD, BOARDS, JOB, PUZZLE, RESULT, UNSOLVED

SOLVED = "1234341221434321"
MAZE = " .#\nS.G"
PATH = [[1, 0], [1, 1], [1, 2]]
QUEENS = [[0, 1], [1, 3], [2, 0], [3, 2]]
QUEENS_DRAWN = ". Q . .\n. . . Q\nQ . . .\n. . Q ."
GRAPH = {"puzzle": "graph-coloring", "vertices": 3, "edges": [[0, 1], [1, 2]]}
FOUND = "<b style="


def solved(puzzle: Puzzle, family: str, *answers: object, **more: Any) -> SolveResult:
    """Return what the client makes of the server's answer to a puzzle."""
    solutions = [{"answer": answer, "votes": 3, "source": "model"} for answer in answers]
    document = {**RESULT, "puzzle": family, "solutions": solutions, **more}
    reply = httpx.MockTransport(lambda request: httpx.Response(200, json=document))
    with Client(http_client=httpx.Client(transport=reply)) as client:
        return client.solve(puzzle)


@pytest.mark.parametrize(
    ("family", "answer", "drawn"),
    [
        ("sudoku", SOLVED, BOARD.rstrip()),
        ("sudoku", ["1234", "3412", "2143", "4321"], BOARD.rstrip()),
        ("sudoku", [list("1234"), list("3412"), list("2143"), list("4321")], BOARD.rstrip()),
        ("sudoku", [[1, 2, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]], BOARD.rstrip()),
        ("sudoku", [int(digit) for digit in SOLVED], BOARD.rstrip()),
        ("sudoku", list(SOLVED), BOARD.rstrip()),
        ("sudoku", "", '""'),
        ("nqueens", QUEENS, QUEENS_DRAWN),
        ("nqueens", [1, 3, 0, 2], QUEENS_DRAWN),
        ("nqueens", [[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0]], QUEENS_DRAWN),
        ("nqueens", [list(".Q.."), list("...Q"), list("Q..."), list("..Q.")], QUEENS_DRAWN),
        ("nqueens", [".Q..", "...Q", "Q...", "..Q."], QUEENS_DRAWN),
        ("nqueens", ".Q..\n...Q\nQ...\n..Q.", QUEENS_DRAWN),
        ("nqueens", [], ""),
        ("graph-coloring", [0, 1, 0], "vertex 0 1 2\ncolor  0 1 0"),
        # What an attempt left open.
        ("graph-coloring", [0, None, 2], "vertex 0 1 2\ncolor  0 . 2"),
        ("graph-coloring", [], "vertex \ncolor  "),
        (
            "graph-coloring",
            [0, 1, 2] * 4,
            "vertex  0  1  2  3  4  5  6  7  8  9 10 11\n"
            "color   0  1  2  0  1  2  0  1  2  0  1  2",
        ),
        ("arc", [[1, 0], [2, None]], "1 0\n2 ."),
        # A family that is not known, and a path without its maze.
        ("chess", [[0, 0], [0, 1]], "[[0, 0], [0, 1]]"),
        ("maze", [[0, 0], [0, 1]], "[[0, 0], [0, 1]]"),
    ],
)
def test_an_answer_is_drawn_in_every_form(family: str, answer: Any, drawn: str) -> None:
    assert draw(family, answer) == drawn


@pytest.mark.parametrize(
    ("side", "ruling", "row"),
    [
        (9, "+-------+-------+-------+", "| 1 2 3 | 4 5 6 | 7 8 9 |"),
        (6, "+-------+-------+", "| 1 2 3 | 4 5 6 |"),
    ],
)
def test_a_sudoku_is_drawn_with_its_boxes(side: int, ruling: str, row: str) -> None:
    lines = draw("sudoku", "123456789"[:side] * side).splitlines()
    height = 3 if side == 9 else 2
    assert lines == [*[ruling, *[row] * height] * (side // height), ruling]


def test_what_is_drawn_on_what_was_posted() -> None:
    assert draw("nqueens", [[0, 1]], size=3) == ". Q .\n. . .\n. . ."
    path: list[list[int]] = [[0, 0], [1, 0], [2, 0], [2, 1], [2, 2]]
    assert draw("maze", path, maze=["S.#", ". #", "..G"]) == "S.#\n* #\n**G"
    # Empty lines before a maze are no rows of it.
    assert PuzzleShape(posted="\nS.#\n..G\n").maze == ["S.#", "..G"]


CASES: list[tuple[Puzzle, str, object, str]] = [
    (PUZZLE, "sudoku", SOLVED, "| 1 2 | 3 4 |"),
    ({"puzzle": "nqueens", "n": 4, "queens": [(0, 1)]}, "nqueens", QUEENS, ". Q . ."),
    (MAZE, "maze", PATH, "S*G"),
    ({"puzzle": "maze", "grid": [" .#", "S.G"]}, "maze", PATH, "S*G"),
    (GRAPH, "graph-coloring", [0, 1, 0], "color  0 1 0"),
]


@pytest.mark.parametrize(("puzzle", "family", "answer", "line"), CASES)
def test_a_result_draws_itself_after_a_way_through_json(
    puzzle: Puzzle, family: str, answer: object, line: str
) -> None:
    result = solved(puzzle, family, answer)
    assert line in str(result)
    for back in (
        SolveResult.model_validate(result.to_dict()),
        SolveResult.model_validate(json.loads(json.dumps(result.to_dict()))),
        SolveResult.model_validate_json(result.model_dump_json()),
    ):
        assert back == result
        assert str(back) == str(result)
        assert back._repr_html_() == result._repr_html_()
        assert back.best is not None
        assert result.best is not None
        assert back.best.grid == result.best.grid
        assert back.best.colors == result.best.colors


def test_an_attempt_with_too_few_queens_keeps_the_size_of_its_board() -> None:
    attempt = {"answer": [[0, 1]], "violations": []}
    result = solved({"puzzle": "nqueens", "n": 3}, "nqueens", best_attempt=attempt)
    back = SolveResult.model_validate(result.to_dict())
    assert str(back).endswith("best attempt\n. Q .\n. . .\n. . .")


def test_results_within_others_draw_themselves_too() -> None:
    job = Job.model_validate({**JOB, "state": "done", "result": RESULT})
    back = Job.model_validate(job.to_dict())
    assert BOARD.rstrip() in str(back.result)
    made = GenerateResult.model_validate(BOARDS)
    assert str(GenerateResult.model_validate(made.to_dict())) == BOARD.rstrip()


def test_what_a_server_of_before_answers_is_drawn_as_far_as_it_is_known() -> None:
    result = SolveResult.model_validate(RESULT)
    assert result.posted is None
    assert BOARD.rstrip() in str(result)
    assert FOUND not in result._repr_html_()


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
    ("puzzle", "family", "answer", "num_found"),
    [
        (PUZZLE, "sudoku", SOLVED, 1),
        ([[1, 2, 0, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 0]], "sudoku", SOLVED, 2),
        ({"puzzle": "nqueens", "n": 4, "queens": [[0, 1]]}, "nqueens", QUEENS, 3),
        ({"puzzle": "nqueens", "n": 4, "queens": [None, 3, None, None]}, "nqueens", QUEENS, 3),
        (".Q..\n....\n....\n....", "nqueens", QUEENS, 3),
        ({"puzzle": "nqueens", "n": 4}, "nqueens", QUEENS, 4),
        (MAZE, "maze", PATH, 1),
    ],
)
def test_a_notebook_tells_what_was_found_from_what_was_given(
    puzzle: Puzzle, family: str, answer: object, num_found: int
) -> None:
    shown = solved(puzzle, family, answer)._repr_html_()
    assert shown.count(FOUND) == num_found
    assert shown.count("\N{BLACK CHESS QUEEN}") == (4 if family == "nqueens" else 0)


@pytest.mark.parametrize(("side", "boxes"), [(4, (2, 2)), (6, (2, 3)), (9, (3, 3))])
def test_a_sudoku_is_a_table_with_its_boxes_ruled(side: int, boxes: tuple[int, int]) -> None:
    digits = "".join(str(1 + (at // side + at) % side) for at in range(side * side))
    shown = solved(digits, "sudoku", digits).solutions[0]._repr_html_()
    assert shown.count("<tr>") == side
    assert shown.count("<td") == side * side
    assert shown.count("border-bottom:2px") == side * (side // boxes[0])
    assert shown.count("border-right:2px") == side * (side // boxes[1])


def test_a_notebook_shows_a_graph_with_its_edges_and_names() -> None:
    graph = networkx.Graph([("WA", "NT"), ("NT", "<Q>")])
    shown = solved(graph, "graph-coloring", [0, 1, 0])._repr_html_()
    assert (shown.count("<circle"), shown.count("<line")) == (3, 2)
    assert "WA</text>" in shown
    assert "&lt;Q&gt;" in shown
    assert len({part.partition('"')[0] for part in shown.split('fill="hsl')[1:]}) == 2
    dimacs = solved("p edge 3 2\ne 1 2\ne 2 3\n", "graph-coloring", [0, 1, None])._repr_html_()
    assert (dimacs.count("<circle"), dimacs.count("<line")) == (3, 2)


def test_a_notebook_shows_many_solutions_side_by_side_and_of_very_many_some() -> None:
    result = solved({"puzzle": "nqueens", "n": 4}, "nqueens", *[QUEENS] * 92)
    shown = result._repr_html_()
    assert (shown.count("<table"), "and 68 more" in shown) == (24, True)
    assert "flex-wrap" in shown
    assert shown.count("<p>3 votes</p>") == 24


def test_made_puzzles_are_shown_before_their_answers() -> None:
    board = {**BOARDS["boards"][0], "puzzle": ".2....1...4..3..", "clues": 4}
    result = GenerateResult.model_validate({**BOARDS, "boards": [board]})
    lines = str(result).splitlines()
    assert (lines[0], lines[2], lines[8]) == ("puzzle, 4 clues", "| . 2 | . . |", "answer")
    assert "\n".join(lines[9:]) == BOARD.rstrip()
    shown = result._repr_html_()
    assert (shown.count("<table"), shown.count(FOUND)) == (2, 12)
    assert "<p>4 clues</p>" in shown
    assert "</table><br><table" in shown


@pytest.mark.parametrize("answer", ["O#\n.O", ["O#", ".O"]])
def test_an_answer_that_is_drawn_is_shown_as_it_is_drawn(answer: object) -> None:
    result = solved({"puzzle": "light-up", "grid": [".#", ".."]}, "light-up", answer)
    assert "O#\n.O" in str(result.solutions[0])
    assert "O#\n.O" in result.solutions[0]._repr_html_()


def test_candidates_are_drawn_with_their_votes_and_called_unverified() -> None:
    first = {"trajectory": 0, "step": 6, "ms": 1.5}
    grids = ([[0, 1], [2, 0]], [[5]])
    candidates = [
        {"answer": grid, "votes": votes, "value": 0.5, "first": first}
        for grid, votes in zip(grids, (9, 2), strict=True)
    ]
    task = {"puzzle": "arc", "train": [], "test": []}
    result = solved(task, "arc", status="unsolved", verified=False, candidates=candidates)
    assert not result.is_solved
    assert str(result) == (
        "not verified: 2 candidates\ncandidate 1, 9 votes\n0 1\n2 0\ncandidate 2, 2 votes\n5"
    )
    assert result.candidates[0].grid == [[0, 1], [2, 0]]
    assert result._repr_html_().count("background:#000") == 2
    assert str(SolveResult.model_validate(result.to_dict())) == str(result)
