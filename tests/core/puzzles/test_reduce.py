"""Boards reduced to puzzles, against enumeration by the exact solver."""

import numpy as np
import pytest

from gram_core.puzzles import FIRST_VALUE, Generative, Tokens, families, task
from gram_core.puzzles.sudoku import Sudoku, SudokuGrid
from gram_core.puzzles.sudoku.generate import full_board

SUDOKU = Sudoku()


def board(size: int, seed: int) -> Tokens:
    digits = full_board(size, np.random.default_rng(seed))
    return np.array(digits, dtype=np.uint8) + FIRST_VALUE - 1


def reduced(size: int, seed: int, num_clues: int | None = None) -> SudokuGrid:
    rng = np.random.default_rng(seed)
    which = task(f"sudoku-{size}x{size}")
    return SUDOKU.reduce(which, board(size, seed), rng, num_clues=num_clues)


def num_solutions(cells: list[int], size: int) -> int:
    grid = SudokuGrid(size=size, cells=tuple(cells))
    return len(list(SUDOKU.enumerate(grid, limit=2)))


@pytest.mark.parametrize(("size", "seed"), [(4, 0), (4, 1), (4, 2), (6, 0), (6, 1), (9, 0)])
def test_the_board_is_the_only_solution_and_no_clue_can_be_spared(size: int, seed: int) -> None:
    grid = reduced(size, seed)
    [solution] = SUDOKU.enumerate(grid, limit=2)
    assert np.array_equal(solution, board(size, seed))
    clues = [place for place, digit in enumerate(grid.cells) if digit]
    for place in clues:
        cells = list(grid.cells)
        cells[place] = 0
        assert num_solutions(cells, size) == 2


@pytest.mark.parametrize("num_clues", [30, 45, 81])
def test_it_stops_at_a_number_of_clues(num_clues: int) -> None:
    grid = reduced(9, 3, num_clues)
    assert sum(digit > 0 for digit in grid.cells) == num_clues
    assert num_solutions(list(grid.cells), 9) == 1


def test_a_number_out_of_reach_leaves_as_few_as_there_can_be() -> None:
    assert reduced(9, 3, 5) == reduced(9, 3)


def test_the_same_draws_give_the_same_puzzle_and_others_another() -> None:
    assert reduced(9, 4) == reduced(9, 4)
    which = task("sudoku-9x9")
    rng = np.random.default_rng(5)
    assert SUDOKU.reduce(which, board(9, 4), rng) != reduced(9, 4)


@pytest.mark.parametrize("name", SUDOKU.tasks())
def test_an_empty_instance_gives_nothing(name: str) -> None:
    which = task(name)
    empty = SUDOKU.blank(which)
    assert SUDOKU.task_of(empty) == which
    assert SUDOKU.parse(SUDOKU.dump(empty)) == empty
    assert SUDOKU.encode(empty).tokens.tolist() == [1] * which.length


def test_families_say_themselves_whether_they_have_an_empty_instance() -> None:
    able = {name for name, family in families().items() if isinstance(family, Generative)}
    assert able == {"sudoku"}
