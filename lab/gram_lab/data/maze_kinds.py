"""Mazes as usual generators make them: scattered walls, or carved passages with loops or none.

The family's own generator makes one kind, whose goal is far; people bring these. Weights learn from
all of them, and ``docs/making/sizes.py`` measures what is solved.
"""

import numpy as np
from numpy.typing import NDArray

from gram_core.puzzles.maze.grid import FREE, GOAL, START, WALL, passages
from gram_core.puzzles.maze.paths import distances

Cells = NDArray[np.str_]
"""Drawn cells, (rows, columns)."""

MAX_SCATTERED = 0.42
MAX_OPENED = 0.2
_LEAST_SIDE = 5


def usual_maze(rows: int, columns: int, rng: np.random.Generator) -> Cells:
    """Draw a maze of some kind and size, walls around it where it is smaller than the board."""
    while True:
        cells = np.full((rows, columns), WALL)
        height, width = rows, columns
        if rng.random() < 0.4 and min(rows, columns) >= _LEAST_SIDE:
            height, width = (int(rng.integers(_LEAST_SIDE, side + 1)) for side in (rows, columns))
        top, left = rng.integers(rows - height + 1), rng.integers(columns - width + 1)
        part = cells[top : top + height, left : left + width]
        part[:] = _any_kind(height, width, rng)
        if set_ends(part, rng, at_corners=rng.random() < 0.5):
            return cells


def _any_kind(rows: int, columns: int, rng: np.random.Generator) -> Cells:
    if rng.random() < 0.4 or min(rows, columns) < _LEAST_SIDE:
        return scattered(rows, columns, rng.uniform(0, MAX_SCATTERED), rng)
    newest = (1.0, 0.0, rng.random())[rng.integers(3)]
    opened = rng.uniform(0, MAX_OPENED) * (rng.random() < 0.8)
    return carved(rows, columns, rng, newest=newest, opened=opened)


def scattered(rows: int, columns: int, share: float, rng: np.random.Generator) -> Cells:
    """Place walls independently, each with the probability ``share``."""
    return np.where(rng.random((rows, columns)) < share, WALL, FREE)


def carved(
    rows: int,
    columns: int,
    rng: np.random.Generator,
    *,
    newest: float = 1.0,
    opened: float = 0.0,
) -> Cells:
    """Carve passages between the cells of odd rows and columns, walls around them.

    A passage goes on from the newest cell with the probability ``newest`` (1: depth first, long
    ways), else from any (0: as Prim's algorithm, many short branches). One way leads from any cell
    to any other until a share ``opened`` of the walls goes.
    """
    cells, ends = np.full((rows, columns), WALL), [(1, 1)]
    cells[1, 1] = FREE
    while ends:
        at = len(ends) - 1 if rng.random() < newest else int(rng.integers(len(ends)))
        row, column = ends[at]
        steps = [(row + 2, column), (row - 2, column), (row, column + 2), (row, column - 2)]
        fresh = [
            (down, right)
            for down, right in steps
            if 0 < down < rows - 1 and 0 < right < columns - 1 and cells[down, right] == WALL
        ]
        if fresh:
            ends.append(fresh[rng.integers(len(fresh))])
            cells[ends[-1]] = cells[(row + ends[-1][0]) // 2, (column + ends[-1][1]) // 2] = FREE
        else:
            ends.pop(at)
    inner = cells[1:-1, 1:-1]
    inner[rng.random(inner.shape) < opened] = FREE
    return cells


def set_ends(cells: Cells, rng: np.random.Generator, *, at_corners: bool) -> bool:
    """Place start and goal in free cells, in opposite corners or anywhere.

    Returns False where no way leads from one to the other.
    """
    rows, columns = np.nonzero(cells == FREE)
    if len(rows) < 2:
        return False
    if at_corners:
        start, goal = np.argsort(rows + columns, kind="stable")[[0, -1]]
    else:
        start, goal = rng.choice(len(rows), 2, replace=False)
    cells[rows[start], columns[start]], cells[rows[goal], columns[goal]] = START, GOAL
    flat = "".join(cells.reshape(-1))
    away = distances(passages(flat, cells.shape[1]), flat.index(GOAL))
    return away[flat.index(START)] is not None
