"""6x6 sudoku boards with all of their solutions: minimal ones, easier ones, and open ones.

Boards are dug out of random full ones. Knows no pools or splits, but gives a key to split by.
"""

from collections.abc import Iterator
from functools import cache
from itertools import permutations, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gram_core.puzzles import BLANK, Tokens
from gram_core.puzzles.sudoku.generate import generate, solutions_of
from gram_core.puzzles.sudoku.grid import BOX_SHAPES

SIZE = 6
MAX_SOLUTIONS = 64
"""Open boards with more solutions are left out."""
MAX_ADDED = 8
"""Givens added to a minimal board for an easier one."""
MAX_REMOVED = 3
"""Givens removed from a minimal board for an open one."""
OPEN_PER_MINIMAL = 3


class Board(NamedTuple):
    """A board and everything that completes it."""

    givens: Tokens
    """(36,)."""
    solutions: Tokens
    """(count, 36)."""


def boards(rng: np.random.Generator) -> Iterator[Board]:
    """Yield endlessly each minimal board, an easier one and open ones of it."""
    while True:
        minimal = np.array(generate(SIZE, rng, num_solutions=1), dtype=np.uint8)
        (solution,) = solutions_of(minimal.tolist(), SIZE, limit=1)
        yield _board(minimal, [solution])
        easier = minimal.copy()
        blanks = rng.permutation(np.flatnonzero(minimal == 0))
        added = blanks[: rng.integers(1, MAX_ADDED + 1)]
        easier[added] = np.array(solution, dtype=np.uint8)[added]
        yield _board(easier, [solution])
        for _ in range(OPEN_PER_MINIMAL):
            opened = minimal.copy()
            givens = rng.permutation(np.flatnonzero(minimal))
            opened[givens[: rng.integers(1, MAX_REMOVED + 1)]] = 0
            found = solutions_of(opened.tolist(), SIZE, limit=MAX_SOLUTIONS + 1)
            if len(found) <= MAX_SOLUTIONS:
                yield _board(opened, found)


def pattern_key(givens: Tokens) -> bytes:
    """Return a key that all symmetric images of a 6x6 board share: its least pattern of givens."""
    numbers = (givens != BLANK) @ _pattern_weights()  # (views,), exact: below 2^36
    return int(numbers.min()).to_bytes(8, "big")


def _board(digits: NDArray[np.uint8], found: list[list[int]]) -> Board:
    return Board(digits + np.uint8(BLANK), np.array(found, dtype=np.uint8) + np.uint8(BLANK))


def _line_orders(width: int) -> NDArray[np.int64]:
    """Return every order of the lines that keeps bands of that width together, (orders, 6)."""
    within = list(permutations(range(width)))
    num_bands = SIZE // width
    orders = [
        [band * width + line for band, lines in zip(bands, inner, strict=True) for line in lines]
        for bands in permutations(range(num_bands))
        for inner in product(within, repeat=num_bands)
    ]
    return np.array(orders)


@cache
def _pattern_weights() -> NDArray[np.float64]:
    """Return (36, views): what a given in each cell adds to the number of each view's pattern."""
    box_rows, box_columns = BOX_SHAPES[SIZE]
    rows, columns = _line_orders(box_rows), _line_orders(box_columns)
    places = rows[:, None, :, None] * SIZE + columns[None, :, None, :]
    return np.exp2(places.reshape(-1, SIZE * SIZE).T.astype(np.float64))
