"""Sudoku training puzzles from files, easy ones first.

Files are npz archives with ``solution`` (n, 41), two digits a byte, high nibble first, and
``given`` (n, 11), a bit-packed mask; graded archives add ``ser10``, ten times the rating.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gram_core import puzzles
from gram_core.puzzles.base import BLANK
from gram_core.training.batch import Examples, augmented

NUM_CELLS = 81


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stretch of the curriculum."""

    until: float
    """Share of the budget at which it ends."""
    max_rating: float
    """Hardest graded puzzle (SER) drawn."""
    hard_share: float
    """Share of ungraded, very hard puzzles."""


STAGES = (Stage(until=1.0, max_rating=2.6, hard_share=0.0),)
"""Easy puzzles only: at small budgets what they teach carries over to the hardest ones, and harder
ones in the mixture cost more than they bring (docs/training.md)."""


class SudokuFiles:
    """Draws 9x9 puzzles by the stages of a curriculum, each through a random symmetry."""

    max_targets = 1

    def __init__(self, folder: Path, stages: Sequence[Stage] = STAGES) -> None:
        self.task = puzzles.task("sudoku-9x9")
        self._stages = stages
        graded = [np.load(path) for path in sorted(folder.glob("train_graded_*.npz"))]
        hard = np.load(folder / "train_hard.npz")
        ratings = np.concatenate([archive["ser10"] for archive in graded])
        order = np.argsort(ratings, kind="stable")
        self._ratings = ratings[order]
        self._graded = _Packed(
            np.concatenate([archive["solution"] for archive in graded])[order],
            np.concatenate([archive["given"] for archive in graded])[order],
        )
        self._hard = _Packed(hard["solution"], hard["given"])

    def draw(self, count: int, progress: float, rng: np.random.Generator) -> Examples:
        """Draw puzzles with their one solution."""
        stage = next(stage for stage in self._stages if progress <= stage.until)
        limit = int(np.searchsorted(self._ratings, 10 * stage.max_rating + 0.5))
        is_hard = rng.random(count) < stage.hard_share
        num_hard = int(is_hard.sum())
        hard = self._hard.read(rng.integers(len(self._hard), size=num_hard))
        graded = self._graded.read(rng.integers(limit, size=count - num_hard))
        examples = Examples(
            givens=np.concatenate((hard.givens, graded.givens)),
            targets=np.concatenate((hard.targets, graded.targets)),
        )
        return augmented(examples, puzzles.family("sudoku"), self.task, rng)


class _Packed:
    """Puzzles as they lie in the archives."""

    def __init__(self, solutions: NDArray[np.uint8], givens: NDArray[np.uint8]) -> None:
        self._solutions = solutions
        self._givens = givens

    def __len__(self) -> int:
        return len(self._solutions)

    def read(self, rows: NDArray[np.int64]) -> Examples:
        return read_packed(self._solutions[rows], self._givens[rows])


def read_packed(solutions: NDArray[np.uint8], givens: NDArray[np.uint8]) -> Examples:
    """Return the puzzles of packed arrays, (n, 41) digits and (n, 11) masks, as tokens."""
    digits = np.stack((solutions >> 4, solutions & 15), axis=2)
    digits = digits.reshape(len(solutions), 2 * solutions.shape[1])[:, :NUM_CELLS]
    is_given = np.unpackbits(givens, axis=1)[:, :NUM_CELLS].astype(bool)
    targets = (digits + BLANK).astype(np.uint8)
    return Examples(givens=np.where(is_given, targets, np.uint8(BLANK)), targets=targets[:, None])
