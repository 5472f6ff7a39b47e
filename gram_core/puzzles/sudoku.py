"""Sudoku: 9x9, 6x6 with boxes of 2 rows and 3 columns, and 4x4.

Holds the rules, symmetries and instances of the family; how boards are written is in
``sudoku_grid``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gram_core.errors import UnknownTask
from gram_core.puzzles.base import Encoded, Symmetry, Task, Tokens, Violation
from gram_core.puzzles.body import check_fields, refuse, shown
from gram_core.puzzles.sudoku_digging import dig
from gram_core.puzzles.sudoku_grid import (
    BOX_SHAPES,
    SudokuGrid,
    box_of,
    format_grid,
    read_grid,
)
from gram_core.puzzles.sudoku_thinning import thin
from gram_core.puzzles.violations import find_violations
from gram_kernels.tokens import BLANK, FIRST_VALUE, PAD, Constraint, Unit

_SIZES = {f"sudoku-{size}x{size}": size for size in sorted(BOX_SHAPES, reverse=True)}


class Sudoku:
    """The sudoku family; digit d is value d - 1, token d + 1."""

    name = "sudoku"

    def tasks(self) -> Sequence[str]:
        """Return the names of the three sizes, largest first."""
        return tuple(_SIZES)

    def task(self, name: str) -> Task:
        """Return the task of that name."""
        if name not in _SIZES:
            raise UnknownTask(
                f"no sudoku task is named {shown(name)}: there are {', '.join(_SIZES)}"
            )
        return _task(_SIZES[name])

    def parse(self, body: Mapping[str, object]) -> SudokuGrid:
        """Read ``{"grid": ...}`` in any of its forms."""
        fields = check_fields(body, puzzle=self.name, allowed=("grid",))
        if "grid" not in fields:
            refuse("grid", "is missing: 81, 36 or 16 cells as a string or as lists of integers")
        return read_grid(fields["grid"])

    def parse_text(self, text: str) -> SudokuGrid:
        """Read the cells from plain text, drawn boards included."""
        return self.parse({"grid": text})

    def task_of(self, instance: SudokuGrid) -> Task:
        """Return the task of the board's size."""
        return _task(instance.size)

    def dump(self, instance: SudokuGrid) -> dict[str, object]:
        """Return the canonical body, in the form that was posted."""
        grid = format_grid(instance.size, instance.cells, instance.form)
        return {"puzzle": self.name, "grid": grid}

    def encode(self, instance: SudokuGrid) -> Encoded:
        """Return digit d as token d + 1 and a blank as BLANK."""
        return Encoded(tokens=np.asarray(instance.cells, dtype=np.uint8) + BLANK)

    def instance_of(self, task: Task, encoded: Encoded) -> SudokuGrid:
        """Return the grid of such tokens."""
        digits = (encoded.tokens - BLANK).tolist()
        return SudokuGrid(size=task.size, cells=tuple(digits))

    def decode(self, instance: SudokuGrid, tokens: Tokens) -> str | list[str] | list[list[int]]:
        """Return the digits in the form that was posted."""
        digits = [max(token - BLANK, 0) for token in tokens.tolist()]
        return format_grid(instance.size, digits, instance.form)

    def units(self, instance: SudokuGrid) -> Sequence[Unit]:
        """Return rows, columns and boxes."""
        return _task(instance.size).units

    def check(self, instance: SudokuGrid, tokens: Tokens) -> bool:
        """Say whether the tokens solve the grid."""
        digits = [token - BLANK for token in tokens.tolist()]
        kept = all(given in (0, digit) for given, digit in zip(instance.cells, digits, strict=True))
        return kept and _is_complete(digits, instance.size)

    def violations(self, instance: SudokuGrid, tokens: Tokens) -> list[Violation]:
        """Return repeated digits by row, column and box, changed givens and blanks."""
        return find_violations(
            tokens,
            self.encode(instance).tokens,
            task=_task(instance.size),
            units=self.units(instance),
            cell=lambda position: divmod(position, instance.size),
        )

    def canonical(self, instance: SudokuGrid, tokens: Tokens) -> bytes:
        """Return the digits themselves: two sudoku solutions are one only when equal."""
        return tokens.astype(np.uint8).tobytes()

    def symmetry(self, task: Task, rng: np.random.Generator) -> Symmetry:
        """Draw a relabelling of digits, moves of bands, stacks and lines, and a transposition."""
        box_rows, box_columns = BOX_SHAPES[task.size]
        rows = _shuffled_lines(task.size, box_rows, rng)
        columns = _shuffled_lines(task.size, box_columns, rng)
        positions = rows[:, None] * task.size + columns[None, :]
        # Transposing a 6x6 board would turn its boxes on their sides.
        if box_rows == box_columns and rng.random() < 0.5:
            positions = positions.T
        digits = rng.permutation(task.size) + FIRST_VALUE
        values = np.concatenate([[PAD, BLANK], digits]).astype(np.uint8)
        return Symmetry(positions=positions.reshape(-1).astype(np.int64), values=values)

    def generate(
        self, task: Task, rng: np.random.Generator, *, num_solutions: int | None = 1
    ) -> SudokuGrid:
        """Empty cells of a random full board as long as the number of solutions allows."""
        cells = dig(task.size, rng, num_solutions=num_solutions)
        return SudokuGrid(size=task.size, cells=tuple(cells))

    def blank(self, task: Task) -> SudokuGrid:
        """Return the board without a digit."""
        return SudokuGrid(size=task.size, cells=(0,) * task.length)

    def thin(
        self, task: Task, answer: Tokens, rng: np.random.Generator, *, num_clues: int | None = None
    ) -> SudokuGrid:
        """Return a grid whose only solution is the full board ``answer``."""
        digits = [token - BLANK for token in answer.tolist()]
        cells = thin(digits, task.size, rng, num_clues=num_clues)
        return SudokuGrid(size=task.size, cells=tuple(cells))

    def enumerate(
        self,
        instance: SudokuGrid,
        *,
        limit: int,
        max_time_s: float | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Iterator[Tokens]:
        """Yield up to limit solutions exactly."""
        from gram_core.puzzles.exact import enumerate_answers

        return enumerate_answers(
            self.encode(instance).tokens,
            _task(instance.size),
            self.units(instance),
            limit=limit,
            max_time_s=max_time_s,
            should_stop=should_stop,
        )


@cache
def _task(size: int) -> Task:
    return Task(
        name=f"sudoku-{size}x{size}",
        family=Sudoku.name,
        size=size,
        length=size * size,
        num_values=size,
        rows=size,
        columns=size,
        units=_units(size),
    )


def _units(size: int) -> tuple[Unit, ...]:
    cells = [divmod(position, size) for position in range(size * size)]
    numbers = {
        "row": [row for row, _ in cells],
        "column": [column for _, column in cells],
        "box": [box_of(size, row, column) for row, column in cells],
    }
    return tuple(
        Unit(
            name=f"{kind} {number}",
            kind=kind,
            constraint=Constraint.PERMUTATION,
            cells=tuple(cell for cell, of in enumerate(places) if of == number),
        )
        for kind, places in numbers.items()
        for number in range(size)
    )


def _is_complete(digits: Sequence[int], size: int) -> bool:
    """Say whether every row, column and box holds every digit, by slicing the board."""
    board = np.asarray(digits).reshape(size, size)
    wanted = list(range(1, size + 1))
    box_rows, box_columns = BOX_SHAPES[size]
    blocks = [board[line, :] for line in range(size)] + [board[:, line] for line in range(size)]
    for top in range(0, size, box_rows):
        for left in range(0, size, box_columns):
            blocks.append(board[top : top + box_rows, left : left + box_columns])
    return all(sorted(block.ravel().tolist()) == wanted for block in blocks)


def _shuffled_lines(size: int, width: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return lines 0 to size - 1 with their bands in random order, and shuffled within each."""
    bands = rng.permutation(size // width)
    return np.concatenate([band * width + rng.permutation(width) for band in bands])
