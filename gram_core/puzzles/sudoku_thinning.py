"""Takes digits away from a full sudoku board as long as it stays the only solution.

Knows cells and digits; the search itself is in ``backtracking``.
"""

from collections.abc import Sequence

import numpy as np

from gram_core.puzzles.backtracking import SearchTooLong
from gram_core.puzzles.sudoku_digging import count


def thin(
    board: Sequence[int], size: int, rng: np.random.Generator, *, num_clues: int | None = None
) -> list[int]:
    """Return digits, 0 for a blank, that leave the board as the only solution.

    Every cell is tried once, in random order, so without ``num_clues`` the puzzle is minimal: a
    digit that was needed beside more others is needed beside fewer. A board for which the search
    is too long to decide keeps the digit.

    Args:
        board: digits of a complete board.
        size: its side.
        rng: decides the order.
        num_clues: digits to stop at; there may be more left where fewer do not suffice.
    """
    cells = list(board)
    num_left = len(cells)
    for cell in rng.permutation(size**2).tolist():
        if num_left == num_clues:
            break
        digit, cells[cell] = cells[cell], 0
        if _is_unique(cells, size):
            num_left -= 1
        else:
            cells[cell] = digit
    return cells


def _is_unique(cells: Sequence[int], size: int) -> bool:
    try:
        return count(cells, size, limit=2) == 1
    except SearchTooLong:
        return False
