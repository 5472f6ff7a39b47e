"""Training mazes, generated or from files, each with the first shortest path in move order.

Archives have ``inputs`` (n, rows * columns): 1 wall, 2 free, 3 start, 4 goal; their ``labels`` have
5 on the path. Most mazes have thousands of shortest paths, so a random target would teach an
average. The archives' paths are first in move order only until a symmetry view changes the
directions.
"""

from pathlib import Path

import numpy as np

from gram_core import puzzles
from gram_core.errors import ConfigError
from gram_core.puzzles import FIRST_VALUE, Encoded, Task, Tokens
from gram_core.puzzles.maze.family import TOKENS
from gram_core.puzzles.maze.grid import FREE, GOAL, START, WALL, MazeGrid, make_maze
from gram_core.puzzles.maze.paths import descent, distances
from gram_lab.data.examples import Examples
from gram_lab.data.maze_kinds import usual_maze
from gram_lab.data.pairs import INPUTS, Pairs, find_pairs, read_pairs

TOKENS_OF_CODES = np.array(
    [0, TOKENS[WALL], TOKENS[FREE], TOKENS[START], TOKENS[GOAL], FIRST_VALUE], dtype=np.uint8
)
PATH_CODE = 5
CELLS_A_STEP = 6
"""Cells that news of the goal are to travel in a supervision step: K = 7 and f_H make eight."""


class Mazes:
    """Draws mazes: those of a folder through random symmetries or, without one, fresh ones."""

    max_targets = 1

    def __init__(self, task: Task, folder: Path | None = None) -> None:
        """Read every ``*train*.npz`` of the folder, or the pairs that it is or holds."""
        self.task, self._family = task, puzzles.family(task.family)
        self._givens: Tokens | None = None
        if folder is not None:
            self._givens = _read_mazes(folder, task)

    def draw(self, count: int, progress: float, rng: np.random.Generator) -> Examples:
        """Draw mazes; targets are the paths whose moves come first: down, left, right, up."""
        family = self._family
        givens: list[Tokens] = []
        targets: list[Tokens] = []
        moves: list[Tokens] = []
        for _ in range(count):
            if self._givens is None:
                maze = self._fresh(rng)
                tokens = family.encode(maze).tokens
            else:
                drawn = self._givens[rng.integers(len(self._givens))]
                tokens = family.symmetry(self.task, rng).apply(drawn)
                maze = family.instance_of(self.task, Encoded(tokens=tokens))
            givens.append(tokens)
            targets.append(next(family.enumerate(maze, limit=1)))
            moves.append(_moves(maze))
        return Examples(np.stack(givens), np.stack(targets)[:, None], auxiliary=np.stack(moves))

    def _fresh(self, rng: np.random.Generator) -> MazeGrid:
        """Make a maze with a far goal or, four times as often, one of the usual kinds."""
        if rng.random() < 1 / 5:
            far: MazeGrid = self._family.generate(self.task, rng, num_solutions=None)
            return far
        cells = usual_maze(self.task.rows, self.task.columns, rng)
        return make_maze("".join(cells.reshape(-1)), self.task.columns)


def _moves(maze: MazeGrid) -> Tokens:
    """Return (3, length): each cell's first move to the goal, 1 to 4, and when what can be known.

    News of the goal reach a cell with each pass of a stack, one cell farther, and so tell it the
    move; whether a path leads through it is known when they have come to the start and back.
    """
    away, walked = (distances(maze.passages, end) for end in (maze.goal, maze.start))
    found = np.zeros((3, len(away)), dtype=np.uint8)
    numbers = {maze.columns: 1, -1: 2, 1: 3, -maze.columns: 4}
    for cell, ways in descent(maze.passages, maze.goal).moves.items():
        if ways:
            found[0, cell] = numbers[ways[0] - cell]
            found[1, cell] = min(((away[cell] or 1) - 1) // CELLS_A_STEP, 255)
        back = min(walked[cell] or 0, maze.num_moves)
        found[2, cell] = min((maze.num_moves + back) // CELLS_A_STEP, 255)
    return found


def _read_mazes(folder: Path, task: Task) -> Tokens:
    """Return mazes as tokens, (count, length)."""
    found = []
    for path in sorted(folder.glob("*train*.npz")):
        codes = np.load(path)["inputs"]
        if codes.ndim != 2 or codes.shape[1] != task.length or codes.max() >= PATH_CODE:
            raise ConfigError("data", str(path), f"holds no mazes of {task.length} cells")
        found.append(codes)
    pairs = find_pairs(folder)
    if pairs is not None and not found:
        found.append(read_pairs(pairs, task).inputs)
    if not found:
        detail = f"holds no *train*.npz with mazes, no {INPUTS} and no train.csv"
        raise ConfigError("data", str(folder), detail)
    tokens: Tokens = TOKENS_OF_CODES[np.concatenate(found)]
    return tokens


def maze_pairs(examples: Examples) -> Pairs:
    """Return mazes with their paths as other projects write them."""
    codes = np.zeros(TOKENS_OF_CODES.max() + 1, dtype=np.uint8)
    codes[TOKENS_OF_CODES] = np.arange(len(TOKENS_OF_CODES))
    return Pairs(codes[examples.givens], codes[examples.targets[:, 0]])
