"""Queens instances with a known number of solutions, made by removing queens from full boards.

Knows rows and columns; the search itself is in ``backtracking``.
"""

from functools import lru_cache

import numpy as np

from gram_core.errors import GenerateFailed
from gram_core.puzzles.backtracking import Rules, reduce_givens
from gram_core.puzzles.nqueens.board import Square

_MAX_BOARDS = 200


def generate(size: int, rng: np.random.Generator, *, num_solutions: int | None) -> list[Square]:
    """Return queens with exactly ``num_solutions`` completions (None: at least one)."""
    rules = _rules(size)
    for _ in range(_MAX_BOARDS):
        columns = rules.random_solution(rng)
        if columns is None:
            continue
        order = rng.permutation(size).tolist()
        if num_solutions is None:
            return [(row, columns[row]) for row in order[: rng.integers(size)]]
        queens = dict(enumerate(columns))
        if reduce_givens(rules, queens, order, num_solutions=num_solutions) == num_solutions:
            return sorted(queens.items())
    raise GenerateFailed(f"found no {size}x{size} board with {num_solutions or 'any'} solutions")


@lru_cache(maxsize=4)
def _rules(size: int) -> Rules:
    """Return one variable per row, whose value is the column of its queen."""

    def attacked(column: int, distance: int) -> int:
        """Return the columns that a queen attacks in a row at that distance, as a mask."""
        queen = 1 << column
        return (queen | queen << distance | queen >> distance) & ((1 << size) - 1)

    rows = range(size)
    exclusions = [
        [
            [(other, attacked(column, abs(other - row))) for other in rows if other != row]
            for column in range(size)
        ]
        for row in rows
    ]
    return Rules(size, exclusions)
