"""Sudoku training puzzles from files, as easy or hard as a recipe wants them.

Files are npz archives with ``solution`` (n, 41), two digits a byte, high nibble first, and
``given`` (n, 11), a bit-packed mask; graded archives add ``ser10``, ten times the rating.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from gram_core import puzzles
from gram_core.errors import ConfigError
from gram_core.puzzles import BLANK
from gram_lab.data.examples import Examples, augmented
from gram_lab.data.sudoku_archive import unpack

MAX_OPEN_GIVENS = 24
"""Most givens of a board that is opened up to have many solutions."""


class SudokuFiles:
    """Draws 9x9 puzzles with one solution, each through a random symmetry."""

    max_targets = 1

    def __init__(
        self, folder: Path, *, max_rating: float, hard_share: float, open_share: float = 0.0
    ) -> None:
        """Read the archives of a folder.

        Args:
            folder: holds ``train_graded_*.npz``, or ``train_hard*.npz``, or both; with one kind
                only, all puzzles are of that kind.
            max_rating: hardest graded puzzle (SER) drawn.
            hard_share: share of ungraded, very hard puzzles.
            open_share: share of boards whose givens are replaced by few random cells of the
                solution, which is then one of many.
        """
        self.task = puzzles.task("sudoku-9x9")
        graded = [np.load(path) for path in sorted(folder.glob("train_graded_*.npz"))]
        hard = [np.load(path) for path in sorted(folder.glob("train_hard*.npz"))]
        ratings = np.concatenate([np.zeros(0), *(archive["ser10"] for archive in graded)])
        order = np.argsort(ratings, kind="stable")
        self._num_graded = int(np.searchsorted(ratings[order], 10 * max_rating + 0.5))
        self._graded, self._hard = _joined(graded, order), _joined(hard, None)
        self._hard_share = hard_share if len(self._hard) else 0.0
        self._open_share = open_share
        if not self._num_graded:
            self._hard_share = 1.0
            if not len(self._hard):
                wanted = f"no train_hard*.npz, and no train_graded_*.npz up to SER {max_rating}"
                raise ConfigError("data", str(folder), f"holds {wanted}")

    def draw(self, count: int, progress: float, rng: np.random.Generator) -> Examples:
        """Draw puzzles with their one solution."""
        is_hard = rng.random(count) < self._hard_share
        num_hard = int(is_hard.sum())
        hard = self._hard.read(rng.integers(max(1, len(self._hard)), size=num_hard))
        graded = self._graded.read(rng.integers(max(1, self._num_graded), size=count - num_hard))
        examples = Examples(
            givens=np.concatenate((hard.givens, graded.givens)),
            targets=np.concatenate((hard.targets, graded.targets)),
        )
        for row in np.flatnonzero(rng.random(count) < self._open_share):
            is_kept = rng.permutation(self.task.length) < rng.integers(MAX_OPEN_GIVENS + 1)
            examples.givens[row] = np.where(is_kept, examples.targets[row, 0], BLANK)
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


def _joined(archives: Sequence[NpzFile], order: NDArray[np.int64] | None) -> _Packed:
    """Return the puzzles of all archives, in that order of rows."""
    solutions = [np.zeros((0, 41), np.uint8), *(archive["solution"] for archive in archives)]
    givens = [np.zeros((0, 11), np.uint8), *(archive["given"] for archive in archives)]
    rows = slice(None) if order is None else order
    return _Packed(np.concatenate(solutions)[rows], np.concatenate(givens)[rows])


def read_packed(solutions: NDArray[np.uint8], givens: NDArray[np.uint8]) -> Examples:
    """Return the puzzles of packed arrays, (n, 41) digits and (n, 11) masks, as tokens."""
    grids = unpack(solutions, givens)
    return Examples(
        givens=grids.puzzles + np.uint8(BLANK),
        targets=(grids.solutions + np.uint8(BLANK))[:, None],
    )
