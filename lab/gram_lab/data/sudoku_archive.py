"""9x9 sudokus in npz archives: two digits of the solution a byte, and a bit for each given.

Arrays are ``solution`` (n, 41) uint8, high nibble first, 81 digits and a pad; ``given`` (n, 11), a
bit-packed mask; and ``guesses`` (n,) float32, the rating, where puzzles were made here.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NUM_CELLS = 81

Digits = NDArray[np.uint8]
"""(count, 81); 0 for a blank."""


class Grids(NamedTuple):
    """Puzzles with their one solution."""

    puzzles: Digits
    solutions: Digits


def unpack(solution: NDArray[np.uint8], given: NDArray[np.uint8]) -> Grids:
    """Return the puzzles of packed arrays."""
    digits = np.stack((solution >> 4, solution & 15), axis=2)
    digits = digits.reshape(len(solution), 2 * solution.shape[1])[:, :NUM_CELLS]
    is_given = np.unpackbits(given, axis=1)[:, :NUM_CELLS].astype(bool)
    return Grids(np.where(is_given, digits, np.uint8(0)), digits)


def read_archive(path: Path) -> Grids:
    """Return the puzzles of a file."""
    archive = np.load(path)
    return unpack(archive["solution"], archive["given"])


def write_archive(path: Path, grids: Grids, *, guesses: NDArray[np.float32]) -> None:
    """Write puzzles and how many guesses each of them takes."""
    digits = np.pad(grids.solutions, ((0, 0), (0, 1)))
    packed = digits[:, 0::2] << 4 | digits[:, 1::2]
    given = np.packbits(grids.puzzles > 0, axis=1)
    np.savez(path, solution=packed, given=given, guesses=guesses)
