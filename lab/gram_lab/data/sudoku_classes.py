"""A key that all symmetric images of a complete 9x9 sudoku share.

Two lines of a board, read as a permutation of the digits, keep the lengths of its cycles under
every symmetry; the key gathers them by bands. Unrelated boards rarely share a key: a split by
key drops a few puzzles too many, never too few.
"""

from collections.abc import Sequence
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

Cycles = tuple[int, ...]
Key = tuple[object, ...]


def class_key(solution: NDArray[np.uint8]) -> Key:
    """Return the key of (81,) digits of a complete board."""
    board = solution.reshape(9, 9)
    return tuple(sorted((_of_lines(board.tolist()), _of_lines(board.T.tolist()))))


def _of_lines(lines: Sequence[Sequence[int]]) -> Key:
    cycles = {pair: _cycles(lines[pair[0]], lines[pair[1]]) for pair in combinations(range(9), 2)}
    bands = [range(first, first + 3) for first in (0, 3, 6)]
    within = [tuple(sorted(cycles[pair] for pair in combinations(band, 2))) for band in bands]
    across = {
        (one, other): tuple(sorted(cycles[a, b] for a in bands[one] for b in bands[other]))
        for one, other in combinations(range(3), 2)
    }
    return min(
        (
            tuple(within[band] for band in order),
            tuple(across[min(pair), max(pair)] for pair in combinations(order, 2)),
        )
        for order in permutations(range(3))
    )


def _cycles(one: Sequence[int], other: Sequence[int]) -> Cycles:
    """Return the lengths of the cycles of the permutation that takes one line to the other."""
    image = dict(zip(one, other, strict=True))
    lengths = []
    while image:
        start, at = image.popitem()
        length = 1
        while at != start:
            at = image.pop(at)
            length += 1
        lengths.append(length)
    return tuple(sorted(lengths))
