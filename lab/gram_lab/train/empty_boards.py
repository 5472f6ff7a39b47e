"""Boards without givens: every valid board is an answer, and the target follows the trajectory."""

import numpy as np
from numpy.typing import NDArray

from gram_core.puzzles import BLANK, PAD, Task, Tokens
from gram_lab.data.examples import Examples
from gram_lab.train.completion import Completion


class EmptyBoards:
    """Unconditional examples, aimed at valid boards near what a trajectory has drawn itself.

    The paper trains with a posterior that sees one drawn board. Here the decodes of a trajectory,
    made of a random z_0 and noise alone, draw its board: the target is the valid board nearest to
    them.
    """

    max_targets = 1
    followed_steps = frozenset({1, 2, 4, 8, 16})
    """Supervision steps, from 1, after which the target is drawn anew."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._completion = Completion(task)

    def draw(self, count: int, progress: float, rng: np.random.Generator) -> Examples:
        """Return empty boards without targets; they learn from their second step on."""
        shape = (count, self.task.length)
        return Examples(
            givens=np.full(shape, BLANK, dtype=np.uint8),
            targets=np.full((count, 1, self.task.length), PAD, dtype=np.uint8),
        )

    def follow(self, scores: NDArray[np.float32]) -> Tokens:
        """Return the valid board each trajectory is heading for, (rows, length).

        Args:
            scores: (rows, length, values) log-probabilities of its decode.
        """
        return np.stack([self._completion.nearest(row) for row in scores])
