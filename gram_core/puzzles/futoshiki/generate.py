"""Futoshiki boards with a known number of solutions, made by removing values and signs.

Knows cells, values and pairs; the search itself is in ``backtracking``.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from gram_core.errors import GenerateFailed
from gram_core.puzzles.backtracking import Rules, all_different, reduce_givens
from gram_core.puzzles.futoshiki.board import Pair

_MAX_BOARDS = 200


class Made(NamedTuple):
    """A made board."""

    cells: list[int]
    """Values from 1, 0 where blank."""
    pairs: list[Pair]


def generate(size: int, rng: np.random.Generator, *, num_solutions: int | None) -> Made:
    """Return a board with exactly that many solutions (None: at least one)."""
    for _ in range(_MAX_BOARDS):
        full = _rules(size, ()).random_solution(rng)
        if full is None:
            continue
        pairs = _drawn_pairs(full, size, rng)
        if num_solutions is None:
            kept = rng.random(size * size) < 0.2
            cells = [value + 1 if is_kept else 0 for value, is_kept in zip(full, kept, strict=True)]
            return Made(cells, pairs)
        givens, order = dict(enumerate(full)), rng.permutation(size * size).tolist()
        rules = _rules(size, tuple(pairs))
        if reduce_givens(rules, givens, order, num_solutions=num_solutions) == num_solutions:
            return Made([givens.get(cell, -1) + 1 for cell in range(size * size)], pairs)
    raise GenerateFailed(f"found no {size}x{size} futoshiki with {num_solutions} solutions")


def neighbours(size: int) -> Iterable[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield the pairs of cells between which a sign may stand."""
    for row in range(size):
        for column in range(size):
            if column + 1 < size:
                yield (row, column), (row, column + 1)
            if row + 1 < size:
                yield (row, column), (row + 1, column)


def _drawn_pairs(full: Sequence[int], size: int, rng: np.random.Generator) -> list[Pair]:
    """Return the true relations of some neighbours: of few, or of many."""
    share = rng.uniform(0.15, 0.7)
    chosen = []
    for one, other in neighbours(size):
        if rng.random() < share:
            values = [full[row * size + column] for row, column in (one, other)]
            chosen.append(Pair(one, other) if values[0] < values[1] else Pair(other, one))
    return sorted(chosen)


def _rules(size: int, pairs: Sequence[Pair]) -> Rules:
    everything = (1 << size) - 1
    exclusions = all_different([divmod(cell, size) for cell in range(size * size)], size)
    for less, greater in pairs:
        low, high = (row * size + column for row, column in (less, greater))
        for value in range(size):
            # The greater neighbour loses all up to the value, the lower one all from it on.
            exclusions[low][value].append((high, (2 << value) - 1))
            exclusions[high][value].append((low, everything & ~((1 << value) - 1)))
    return Rules(size, exclusions)
