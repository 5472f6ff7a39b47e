"""Jigsaw sudokus with a known number of solutions: random regions, then digits taken away.

Knows cells, digits and regions; the search itself is in ``backtracking``.
"""

import numpy as np

from gram_core.errors import GenerateFailed
from gram_core.puzzles.backtracking import Rules, all_different, reduce_givens
from gram_core.puzzles.jigsaw.board import JigsawBoard, numbered

_MAX_BOARDS = 200
_EXCHANGES = 10
"""Cells that regions exchange, for each row, so that hardly a region stays in one."""


def generate(size: int, rng: np.random.Generator, *, num_solutions: int | None) -> JigsawBoard:
    """Return a board with exactly that many solutions (None: at least one)."""
    for _ in range(_MAX_BOARDS):
        regions = _random_regions(size, rng)
        places = [(*divmod(cell, size), region) for cell, region in enumerate(regions)]
        rules = Rules(size, all_different(places, size))
        full = rules.random_solution(rng)
        if full is None:
            continue
        givens, order = dict(enumerate(full)), rng.permutation(size * size).tolist()
        if num_solutions is None:
            for cell in order[rng.integers(size * size) :]:
                del givens[cell]
        elif reduce_givens(rules, givens, order, num_solutions=num_solutions) != num_solutions:
            continue
        cells = tuple(givens.get(cell, -1) + 1 for cell in range(size * size))
        return JigsawBoard(size=size, cells=cells, regions=regions)
    raise GenerateFailed(f"found no {size}x{size} jigsaw with {num_solutions} solutions")


def _random_regions(size: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Return connected regions of equal size: rows that have exchanged many cells."""
    regions = np.repeat(np.arange(size), size)
    exchanges = 0
    while exchanges < _EXCHANGES * size:
        one = int(rng.integers(size * size))
        across = [cell for cell in _beside(one, size) if regions[cell] != regions[one]]
        if not across:
            continue
        region = regions[across[rng.integers(len(across))]]
        other = int(rng.choice(np.flatnonzero(regions == region)))
        exchanged = regions.copy()
        exchanged[[one, other]] = exchanged[[other, one]]
        if all(_is_connected(exchanged, region, size) for region in exchanged[[one, other]]):
            regions, exchanges = exchanged, exchanges + 1
    return numbered(regions.tolist())


def _beside(cell: int, size: int) -> set[int]:
    """Return the cells that share a side with a cell."""
    beside = {other for other in (cell - size, cell + size) if 0 <= other < size * size}
    beside |= {cell - 1} if cell % size else set()
    return beside | ({cell + 1} if (cell + 1) % size else set())


def _is_connected(regions: np.ndarray[tuple[int], np.dtype[np.int64]], own: int, size: int) -> bool:
    cells = set(np.flatnonzero(regions == own).tolist())
    waiting = [cells.pop()]
    while waiting:
        beside = _beside(waiting.pop(), size)
        waiting += cells & beside
        cells -= beside
    return not cells
