"""Sudoku training puzzles from files, as easy or hard as a recipe wants them.

Files are npz archives with ``solution`` (n, 41), two digits a byte, high nibble first, and
``given`` (n, 11), a bit-packed mask; graded archives add ``ser10``, ten times the rating.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gram_core import puzzles
from gram_core.puzzles.base import BLANK
from gram_core.training.batch import Examples, augmented

NUM_CELLS = 81


class SudokuFiles:
    """Draws 9x9 puzzles with one solution, each through a random symmetry."""

    max_targets = 1

    def __init__(self, folder: Path, *, max_rating: float, hard_share: float) -> None:
        """Read the archives of a folder.

        Args:
            folder: holds ``train_graded_*.npz`` and ``train_hard.npz``.
            max_rating: hardest graded puzzle (SER) drawn.
            hard_share: share of ungraded, very hard puzzles.
        """
        self.task = puzzles.task("sudoku-9x9")
        self._hard_share = hard_share
        graded = [np.load(path) for path in sorted(folder.glob("train_graded_*.npz"))]
        hard = np.load(folder / "train_hard.npz")
        ratings = np.concatenate([archive["ser10"] for archive in graded])
        order = np.argsort(ratings, kind="stable")
        self._num_graded = int(np.searchsorted(ratings[order], 10 * max_rating + 0.5))
        self._graded = _Packed(
            np.concatenate([archive["solution"] for archive in graded])[order],
            np.concatenate([archive["given"] for archive in graded])[order],
        )
        self._hard = _Packed(hard["solution"], hard["given"])

    def draw(self, count: int, progress: float, rng: np.random.Generator) -> Examples:
        """Draw puzzles with their one solution."""
        is_hard = rng.random(count) < self._hard_share
        num_hard = int(is_hard.sum())
        hard = self._hard.read(rng.integers(len(self._hard), size=num_hard))
        graded = self._graded.read(rng.integers(self._num_graded, size=count - num_hard))
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
