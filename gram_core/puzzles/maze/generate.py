"""Mazes of scattered walls with a distant goal, as in the Maze-Hard collection.

Its mazes are 30x30 boards with 28 to 45 % walls, placed independently, and a shortest path of at
least 109 moves; other sizes require the same ratio of moves to cells.
"""

import math

import numpy as np

from gram_core.errors import GenerateFailed
from gram_core.puzzles.maze.grid import FREE, GOAL, START, WALL, MazeGrid, make_maze, passages
from gram_core.puzzles.maze.paths import descent, distances, num_paths, random_path

WALL_SHARES = (0.3, 0.45)
"""Bounds of the share of walls, drawn for each maze."""
MOVES_PER_CELL = 109 / 900

_PLENTY = 24
"""Number of far goals from which a board is always accepted."""
_MAX_BOARDS = 20_000
_MAX_TRIES = 50


def generate(
    rows: int, columns: int, rng: np.random.Generator, *, num_solutions: int | None
) -> MazeGrid:
    """Return a maze with exactly that many shortest paths (None: any number)."""
    for _ in range(_MAX_TRIES):
        cells = _scatter(rows, columns, rng)
        if num_solutions is not None and not _wall_off(cells, columns, rng, num_solutions):
            continue
        return make_maze("".join(cells), columns)
    raise GenerateFailed(f"found no {rows}x{columns} maze with {num_solutions} shortest paths")


def _scatter(rows: int, columns: int, rng: np.random.Generator) -> list[str]:
    """Return a board of random walls whose goal is far from its start."""
    least = math.ceil(MOVES_PER_CELL * rows * columns)
    for _ in range(_MAX_BOARDS):
        is_wall = rng.random(rows * columns) < rng.uniform(*WALL_SHARES)
        cells: list[str] = np.where(is_wall, WALL, FREE).tolist()
        anywhere = int(rng.integers(len(cells)))
        cells[anywhere] = FREE
        # A random pair of cells is far apart on one board in a thousand; starting from a farthest
        # cell finds ten times as many.
        start = _farthest(cells, columns, anywhere)[-1]
        far = [at for at in _farthest(cells, columns, start, least) if at != start]
        # Accept in proportion to the far goals, as drawing pairs at random would.
        if len(far) > rng.random() * _PLENTY:
            cells[start], cells[far[rng.integers(len(far))]] = START, GOAL
            return cells
    raise GenerateFailed(f"found no {rows}x{columns} maze with {least} moves to the goal")


def _farthest(cells: list[str], columns: int, source: int, least: int = 0) -> list[int]:
    """Return the positions at least ``least`` moves from ``source``, nearest first."""
    away = distances(passages("".join(cells), columns), source)
    found = [(moves, at) for at, moves in enumerate(away) if moves is not None and moves >= least]
    return [at for _, at in sorted(found)]


def _wall_off(cells: list[str], columns: int, rng: np.random.Generator, num_solutions: int) -> bool:
    """Add walls in place until ``num_solutions`` shortest paths remain; return whether they do."""
    start, goal = cells.index(START), cells.index(GOAL)
    towards = descent(passages("".join(cells), columns), goal)
    numbers = num_paths(towards, start)
    kept = set(random_path(towards, numbers, start, rng))
    for position in rng.permutation(sorted(set(numbers) - kept)).tolist():
        if numbers[start] == num_solutions:
            break
        if position not in numbers:
            continue
        cells[position] = WALL
        towards = descent(passages("".join(cells), columns), goal)
        fewer = num_paths(towards, start)
        if fewer[start] < num_solutions:
            cells[position] = FREE
        else:
            numbers = fewer
    return numbers[start] == num_solutions
