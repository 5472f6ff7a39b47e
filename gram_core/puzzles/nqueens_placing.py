"""Queens instances with a known number of solutions, made by taking queens off full boards.

Knows rows and columns; the search itself is in ``backtracking``.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from gram_core.errors import GenerateFailed
from gram_core.puzzles.backtracking import (
    Exclusions,
    SearchTooLong,
    count_solutions,
    solutions,
)
from gram_core.puzzles.nqueens_board import Square

_MAX_BOARDS = 200
_MAX_NODES = 20_000


def place(size: int, rng: np.random.Generator, *, num_solutions: int | None) -> list[Square]:
    """Return queens that exactly that many solutions complete (None: at least one)."""
    for _ in range(_MAX_BOARDS):
        queens = full_board(size, rng)
        if queens is None:
            continue
        if num_solutions is None:
            return [queens[row] for row in rng.permutation(size)[: rng.integers(size)]]
        if _remove_to(queens, size, rng, num_solutions) == num_solutions:
            return queens
    raise GenerateFailed(f"found no {size}x{size} board with {num_solutions or 'any'} solutions")


def full_board(size: int, rng: np.random.Generator) -> list[Square] | None:
    """Return the queens of a random solution; None when this attempt found none."""
    everything = [(1 << size) - 1] * size
    search = solutions(everything, _exclusions(size), rng=rng, max_nodes=_MAX_NODES)
    try:
        columns = next(search, None)
    except SearchTooLong:
        return None
    return None if columns is None else list(enumerate(columns))


def count(queens: Iterable[Square], size: int, *, limit: int) -> int:
    """Return how many solutions complete the queens, counting no further than limit."""
    domains = [(1 << size) - 1] * size
    exclusions = _exclusions(size)
    for row, column in queens:
        domains[row] &= 1 << column
        for other, mask in exclusions[row][column]:
            domains[other] &= ~mask
    if not all(domains):
        return 0
    return count_solutions(domains, exclusions, limit=limit, max_nodes=_MAX_NODES)


def _remove_to(
    queens: list[Square], size: int, rng: np.random.Generator, num_solutions: int
) -> int:
    """Remove queens in place while at most num_solutions remain; return how many there are."""
    reached = 1
    for row in rng.permutation(size).tolist():
        fewer = [queen for queen in queens if queen[0] != row]
        found = _count_or_give_up(fewer, size, num_solutions + 1)
        if found <= num_solutions:
            queens[:] = fewer
            reached = found
    return reached


def _count_or_give_up(queens: Sequence[Square], size: int, limit: int) -> int:
    try:
        return count(queens, size, limit=limit)
    except SearchTooLong:
        # An undecided board counts as one with too many solutions: the queen stays.
        return limit


@lru_cache(maxsize=4)
def _exclusions(size: int) -> Exclusions:
    return [
        [
            [(other, _attacked(column, abs(other - row), size)) for other in _others(row, size)]
            for column in range(size)
        ]
        for row in range(size)
    ]


def _others(row: int, size: int) -> list[int]:
    return [other for other in range(size) if other != row]


def _attacked(column: int, distance: int, size: int) -> int:
    """Return the columns that a queen attacks in a row at that distance, as a mask."""
    queen = 1 << column
    return (queen | queen << distance | queen >> distance) & ((1 << size) - 1)
