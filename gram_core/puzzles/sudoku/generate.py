"""Sudoku instances with a known number of solutions, made by emptying cells of full boards.

Knows cells and digits; the search itself is in ``backtracking``.
"""

from collections.abc import Sequence
from functools import cache
from itertools import islice

import numpy as np

from gram_core.errors import GenerateFailed
from gram_core.puzzles.backtracking import Rules, all_different, reduce_givens
from gram_core.puzzles.sudoku.grid import box_of

_MAX_BOARDS = 200


def generate(size: int, rng: np.random.Generator, *, num_solutions: int | None) -> list[int]:
    """Return digits, 0 for a blank, with exactly that many solutions (None: at least one)."""
    if num_solutions is None:
        cells = np.asarray(full_board(size, rng))
        cells[rng.permutation(size**2)[: rng.integers(1, size**2 + 1)]] = 0
        return [int(cell) for cell in cells]
    for _ in range(_MAX_BOARDS):
        givens = _givens(full_board(size, rng))
        order = rng.permutation(size**2).tolist()
        if reduce_givens(_rules(size), givens, order, num_solutions=num_solutions) == num_solutions:
            return _cells(givens, size)
    raise GenerateFailed(f"found no {size}x{size} sudoku with {num_solutions} solutions")


def reduce(
    board: Sequence[int], size: int, rng: np.random.Generator, *, num_clues: int | None = None
) -> list[int]:
    """Return digits, 0 for a blank, that leave a full board as the only solution.

    The clues are minimal, or ``num_clues`` of them where that is more.
    """
    givens = _givens(board)
    reduce_givens(_rules(size), givens, rng.permutation(size**2).tolist(), num_kept=num_clues)
    return _cells(givens, size)


def full_board(size: int, rng: np.random.Generator) -> list[int]:
    """Return the digits of a random complete board."""
    while (values := _rules(size).random_solution(rng)) is None:
        continue
    return [value + 1 for value in values]


def solutions_of(cells: Sequence[int], size: int, *, limit: int) -> list[list[int]]:
    """Return the first solutions of a board as digits, at most limit of them."""
    found = islice(_rules(size).solutions(_givens(cells)), limit)
    return [[value + 1 for value in values] for values in found]


def _givens(cells: Sequence[int]) -> dict[int, int]:
    return {cell: digit - 1 for cell, digit in enumerate(cells) if digit}


def _cells(givens: dict[int, int], size: int) -> list[int]:
    return [givens.get(cell, -1) + 1 for cell in range(size**2)]


@cache
def _rules(size: int) -> Rules:
    cells = [divmod(cell, size) for cell in range(size**2)]
    places = [(row, column, box_of(size, row, column)) for row, column in cells]
    return Rules(size, all_different(places, size))
