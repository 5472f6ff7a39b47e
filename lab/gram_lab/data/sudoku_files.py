"""9x9 sudokus in npz archives, and training puzzles of them by difficulty.

Arrays are ``solution`` (n, 41) uint8, two digits a byte, high nibble first, 81 digits and a pad;
``given`` (n, 11), a bit-packed mask; in graded archives ``ser10``, ten times the rating; and
``guesses`` (n,) float32 where this package generated the puzzles.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from gram_core import puzzles
from gram_core.errors import ConfigError
from gram_core.puzzles import BLANK
from gram_lab.data.examples import Examples, augmented

NUM_CELLS = 81

Digits = NDArray[np.uint8]
"""(count, 81); 0 for a blank."""


class Grids(NamedTuple):
    """Puzzles with their one solution."""

    puzzles: Digits
    solutions: Digits

    def rows(self, chosen: NDArray[np.bool_]) -> "Grids":
        return Grids(self.puzzles[chosen], self.solutions[chosen])


class Packed(NamedTuple):
    """Puzzles in the packed form of archives."""

    solution: NDArray[np.uint8]
    given: NDArray[np.uint8]

    def rows(self, chosen: NDArray[np.int64]) -> "Packed":
        return Packed(self.solution[chosen], self.given[chosen])

    def unpacked(self) -> Grids:
        digits = np.stack((self.solution >> 4, self.solution & 15), axis=2)
        digits = digits.reshape(len(self.solution), 2 * self.solution.shape[1])[:, :NUM_CELLS]
        is_given = np.unpackbits(self.given, axis=1)[:, :NUM_CELLS].astype(bool)
        return Grids(np.where(is_given, digits, np.uint8(0)), digits)


ARRAYS = {"solution.npy", "given.npy"}


def is_archive(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path) and set(zipfile.ZipFile(path).namelist()) >= ARRAYS
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):
        return False


def read_archive(path: Path) -> Grids:
    """Return the puzzles of an archive; raise ``ConfigError`` for one of another form."""
    try:
        archive = np.load(path)
        grids = Packed(archive["solution"], archive["given"]).unpacked()
    # A broken archive raises whatever its reader came upon.
    except Exception as error:
        raise ConfigError("data", str(path), f"holds no packed puzzles: {error}") from error
    if not len(grids.solutions) or grids.solutions.max() > 9:
        raise ConfigError("data", str(path), "holds no packed puzzles")
    return grids


def write_archive(path: Path, grids: Grids, *, guesses: NDArray[np.float32]) -> None:
    digits = np.pad(grids.solutions, ((0, 0), (0, 1)))
    packed = digits[:, 0::2] << 4 | digits[:, 1::2]
    given = np.packbits(grids.puzzles > 0, axis=1)
    np.savez(path, solution=packed, given=given, guesses=guesses)


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
        num_graded = int(np.searchsorted(ratings[order], 10 * max_rating + 0.5))
        self._graded, self._hard = _joined(graded).rows(order[:num_graded]), _joined(hard)
        num_hard = len(self._hard.solution)
        if not num_graded and not num_hard:
            wanted = f"no train_hard*.npz, and no train_graded_*.npz up to SER {max_rating}"
            raise ConfigError("data", str(folder), f"holds {wanted}")
        self._hard_share = (hard_share if num_hard else 0.0) if num_graded else 1.0
        self._open_share = open_share

    def draw(self, count: int, progress: float, rng: np.random.Generator) -> Examples:
        is_hard = rng.random(count) < self._hard_share
        num_hard = int(is_hard.sum())
        drawn = ((self._hard, num_hard), (self._graded, count - num_hard))
        grids = [
            packed.rows(rng.integers(max(1, len(packed.solution)), size=size)).unpacked()
            for packed, size in drawn
        ]
        examples = Examples(
            givens=np.concatenate([each.puzzles for each in grids]) + np.uint8(BLANK),
            targets=np.concatenate([each.solutions for each in grids])[:, None] + np.uint8(BLANK),
        )
        for row in np.flatnonzero(rng.random(count) < self._open_share):
            is_kept = rng.permutation(self.task.length) < rng.integers(MAX_OPEN_GIVENS + 1)
            examples.givens[row] = np.where(is_kept, examples.targets[row, 0], BLANK)
        return augmented(examples, puzzles.family("sudoku"), self.task, rng)


def _joined(archives: Sequence[NpzFile]) -> Packed:
    solution = [np.zeros((0, 41), np.uint8), *(archive["solution"] for archive in archives)]
    given = [np.zeros((0, 11), np.uint8), *(archive["given"] for archive in archives)]
    return Packed(np.concatenate(solution), np.concatenate(given))
