"""Sudoku instances with a known number of solutions, dug out of random full boards.

Knows cells and digits; the search itself is in ``backtracking``.
"""

from collections.abc import Sequence
from functools import cache
from itertools import islice

import numpy as np

from gram_core.errors import GenerateFailed
from gram_core.puzzles.backtracking import (
    Exclusions,
    SearchTooLong,
    count_solutions,
    solutions,
)
from gram_core.puzzles.sudoku_grid import box_of

_MAX_BOARDS = 200
_MAX_NODES = 20_000


def dig(size: int, rng: np.random.Generator, *, num_solutions: int | None) -> list[int]:
    """Return digits, 0 for a blank, with exactly that many solutions (None: at least one)."""
    if num_solutions is None:
        return _dig_freely(size, rng)
    for _ in range(_MAX_BOARDS):
        cells = full_board(size, rng)
        if _dig_to(cells, size, rng, num_solutions) == num_solutions:
            return cells
    raise GenerateFailed(f"found no {size}x{size} sudoku with {num_solutions} solutions")


def full_board(size: int, rng: np.random.Generator) -> list[int]:
    """Return the digits of a random complete board."""
    search = solutions([(1 << size) - 1] * size**2, _exclusions(size), rng=rng)
    return [value + 1 for value in next(search)]


def count(cells: Sequence[int], size: int, *, limit: int) -> int:
    """Return the number of solutions of a board, counting no further than limit."""
    domains = _domains(cells, size)
    if not all(domains):
        return 0
    return count_solutions(domains, _exclusions(size), limit=limit, max_nodes=_MAX_NODES)


def solutions_of(cells: Sequence[int], size: int, *, limit: int) -> list[list[int]]:
    """Return the first solutions of a board as digits, at most limit of them."""
    domains = _domains(cells, size)
    if not all(domains):
        return []
    found = solutions(domains, _exclusions(size))
    return [[value + 1 for value in values] for values in islice(found, limit)]


def _domains(cells: Sequence[int], size: int) -> list[int]:
    """Return the mask of values that the givens leave to each cell."""
    everything = (1 << size) - 1
    domains = [everything] * size**2
    exclusions = _exclusions(size)
    for cell, digit in enumerate(cells):
        if digit:
            domains[cell] &= 1 << digit - 1
            for other, mask in exclusions[cell][digit - 1]:
                domains[other] &= ~mask
    return domains


def _dig_freely(size: int, rng: np.random.Generator) -> list[int]:
    cells = np.asarray(full_board(size, rng))
    cells[rng.permutation(size**2)[: rng.integers(1, size**2 + 1)]] = 0
    return [int(cell) for cell in cells]


def _dig_to(cells: list[int], size: int, rng: np.random.Generator, num_solutions: int) -> int:
    """Empty cells in place while at most num_solutions remain; return how many there are."""
    reached = 1
    for cell in rng.permutation(size**2).tolist():
        digit, cells[cell] = cells[cell], 0
        found = _count_or_give_up(cells, size, num_solutions + 1)
        if found > num_solutions:
            cells[cell] = digit
        else:
            reached = found
    return reached


def _count_or_give_up(cells: Sequence[int], size: int, limit: int) -> int:
    try:
        return count(cells, size, limit=limit)
    except SearchTooLong:
        # An undecided board counts as one with too many solutions: the digit stays.
        return limit


@cache
def _exclusions(size: int) -> Exclusions:
    places = [
        (cell // size, cell % size, box_of(size, cell // size, cell % size))
        for cell in range(size**2)
    ]
    peers = [
        [
            other
            for other in range(size**2)
            if other != cell
            and any(a == b for a, b in zip(places[cell], places[other], strict=True))
        ]
        for cell in range(size**2)
    ]
    return [
        [[(other, 1 << value) for other in peers[cell]] for value in range(size)]
        for cell in range(size**2)
    ]
