"""Training mazes, generated or from files, each with the first shortest path in move order.

Files are npz archives with ``inputs`` (n, rows * columns): 1 wall, 2 free, 3 start, 4 goal. Most
mazes have thousands of shortest paths, so a random target would teach an average. The archives'
paths are first in move order only until a symmetry view changes the directions.
"""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from gram_core import puzzles
from gram_core.errors import ConfigError
from gram_core.puzzles import Encoded, Task, Tokens
from gram_core.puzzles.maze.family import TOKENS, with_path
from gram_core.puzzles.maze.generate import generate
from gram_core.puzzles.maze.grid import FREE, GOAL, START, WALL
from gram_core.puzzles.maze.paths import descent, first_path, num_paths, random_path
from gram_lab.data.examples import Examples

_TOKENS_OF_CODES = np.array(
    [0, TOKENS[WALL], TOKENS[FREE], TOKENS[START], TOKENS[GOAL]], dtype=np.uint8
)


class _Mazes(ABC):
    """Draws mazes with their targets.

    The first target is the shortest path whose moves come first in the order down, left, right,
    up; further ones are drawn uniformly from all shortest paths.
    """

    def __init__(self, task: Task, *, max_targets: int = 1) -> None:
        self.task, self.max_targets = task, max_targets
        self._family = puzzles.family(task.family)

    def draw(self, count: int, progress: float, rng: np.random.Generator) -> Examples:
        givens = np.stack([self._draw_one(rng) for _ in range(count)])
        targets = np.stack([self._targets(row, rng) for row in givens])
        return Examples(givens=givens, targets=targets)

    @abstractmethod
    def _draw_one(self, rng: np.random.Generator) -> Tokens:
        """Return the givens of one maze, (length,)."""

    def _targets(self, givens: Tokens, rng: np.random.Generator) -> Tokens:
        maze = self._family.instance_of(self.task, Encoded(tokens=givens))
        towards = descent(maze.passages, maze.goal)
        paths = [first_path(towards, maze.start)]
        if self.max_targets > 1:
            numbers = num_paths(towards, maze.start)
            paths += [
                random_path(towards, numbers, maze.start, rng) for _ in range(self.max_targets - 1)
            ]
        return np.stack([with_path(givens, path) for path in paths])


class CarvedMazes(_Mazes):
    """Fresh mazes of scattered walls with a distant goal."""

    def _draw_one(self, rng: np.random.Generator) -> Tokens:
        maze = generate(self.task.rows, self.task.columns, rng, num_solutions=None)
        return self._family.encode(maze).tokens


class MazeFiles(_Mazes):
    """Mazes of files, each through its own random symmetry."""

    def __init__(self, folder: Path, task: Task, *, max_targets: int = 1) -> None:
        """Read every ``*train*.npz`` of a folder."""
        super().__init__(task, max_targets=max_targets)
        paths = sorted(folder.glob("*train*.npz"))
        if not paths:
            raise ConfigError("data", str(folder), "holds no *train*.npz with mazes")
        self._givens = np.concatenate([read_mazes(path, task) for path in paths])

    def _draw_one(self, rng: np.random.Generator) -> Tokens:
        givens = self._givens[rng.integers(len(self._givens))]
        return self._family.symmetry(self.task, rng).apply(givens)


def read_mazes(path: Path, task: Task) -> Tokens:
    """Return the mazes of an archive as tokens, (count, length)."""
    codes = np.load(path)["inputs"]
    if codes.ndim != 2 or codes.shape[1] != task.length or codes.max() >= len(_TOKENS_OF_CODES):
        raise ConfigError("data", str(path), f"holds no mazes of {task.length} cells")
    tokens: Tokens = _TOKENS_OF_CODES[codes]
    return tokens
