"""Boards as people see them in a terminal."""

import pytest

from gram_client import draw
from gram_client._drawing import PuzzleShape

SOLVED_9X9 = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"


def test_a_sudoku_is_drawn_with_its_boxes() -> None:
    assert draw("sudoku", SOLVED_9X9).splitlines()[:5] == [
        "+-------+-------+-------+",
        "| 5 3 4 | 6 7 8 | 9 1 2 |",
        "| 6 7 2 | 1 9 5 | 3 4 8 |",
        "| 1 9 8 | 3 4 2 | 5 6 7 |",
        "+-------+-------+-------+",
    ]


def test_rows_of_numbers_draw_as_the_characters_do() -> None:
    rows = [[int(cell) for cell in SOLVED_9X9[start : start + 9]] for start in range(0, 81, 9)]
    lines = [SOLVED_9X9[start : start + 9] for start in range(0, 81, 9)]
    assert draw("sudoku", rows) == draw("sudoku", lines) == draw("sudoku", SOLVED_9X9)


def test_a_six_by_six_board_has_boxes_of_two_rows_and_three_columns() -> None:
    board = "123456" * 6
    assert draw("sudoku", board).splitlines()[:4] == [
        "+-------+-------+",
        "| 1 2 3 | 4 5 6 |",
        "| 1 2 3 | 4 5 6 |",
        "+-------+-------+",
    ]


def test_queens_are_drawn_from_cells_and_from_rows_alike() -> None:
    board = ". Q . .\n. . . Q\nQ . . .\n. . Q ."
    assert draw("nqueens", [[0, 1], [1, 3], [2, 0], [3, 2]]) == board
    assert draw("nqueens", [".Q..", "...Q", "Q...", "..Q."]) == board
    assert draw("nqueens", ".Q..\n...Q\nQ...\n..Q.") == board


def test_too_few_queens_are_drawn_on_the_size_that_is_given() -> None:
    assert draw("nqueens", [[0, 1]], size=3) == ". Q .\n. . .\n. . ."


def test_what_an_attempt_left_open_is_a_dot() -> None:
    assert draw("graph-coloring", [0, None, 2]) == "vertex 0 1 2\ncolor  0 . 2"


def test_colors_stand_below_their_vertices() -> None:
    colors = [0, 1, 2] * 4
    assert draw("graph-coloring", colors) == (
        "vertex  0  1  2  3  4  5  6  7  8  9 10 11\ncolor   0  1  2  0  1  2  0  1  2  0  1  2"
    )


@pytest.mark.parametrize("puzzle", ["chess", "maze"])
def test_an_unknown_family_and_a_path_without_its_maze_are_shown_as_json(puzzle: str) -> None:
    assert draw(puzzle, [[0, 0], [0, 1]]) == "[[0, 0], [0, 1]]"


def test_an_empty_answer_is_no_error() -> None:
    assert draw("sudoku", "") == '""'
    assert draw("nqueens", []) == ""
    assert draw("graph-coloring", []) == "vertex \ncolor  "


def test_a_path_is_drawn_on_the_maze_that_was_posted() -> None:
    path: list[list[int]] = [[0, 0], [1, 0], [2, 0], [2, 1], [2, 2]]
    maze = ["S.#", ". #", "..G"]
    assert draw("maze", path, maze=maze) == "S.#\n* #\n**G"


def test_empty_lines_before_a_maze_are_no_rows_of_it() -> None:
    assert PuzzleShape(posted="\nS.#\n..G\n").maze == ["S.#", "..G"]
