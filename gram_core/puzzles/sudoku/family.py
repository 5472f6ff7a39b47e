"""Sudoku: 9x9, 6x6 with boxes of 2 rows and 3 columns, and 4x4.

Holds the rules, symmetries and instances of the family; input formats are in ``grid``.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gram_core.puzzles.base import Family
from gram_core.puzzles.body import INTEGER, TEXT, check_fields, list_of, object_schema, refuse
from gram_core.puzzles.sudoku import generate
from gram_core.puzzles.sudoku.grid import BOX_SHAPES, SudokuGrid, box_of, format_grid, read_grid
from gram_core.puzzles.task import (
    Encoded,
    Symmetries,
    Symmetry,
    Task,
    Tokens,
    line_units,
    shuffled_values,
)
from gram_kernels.tokens import BLANK, Constraint, Unit

_TASKS = tuple(f"sudoku-{size}x{size}" for size in sorted(BOX_SHAPES, reverse=True))
_EXAMPLE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"


class Sudoku(Family[SudokuGrid]):
    """The sudoku family; digit d is value d - 1, token d + 1."""

    name = "sudoku"
    task_sizes = re.compile(r"([1-9])x[1-9]")
    task_hint = f"there are {', '.join(_TASKS)}"
    text_signs = "123456789.0*_|+-"

    def tasks(self) -> Sequence[str]:
        return _TASKS

    def make_task(self, *sizes: int) -> Task | None:
        return _task(sizes[0]) if sizes[0] in BOX_SHAPES else None

    def schema(self) -> dict[str, object]:
        lines, numbers = list_of(TEXT), list_of(INTEGER)
        grid = {
            "description": "81, 36 or 16 cells in rows: digits, and `.`, `0`, `*` or `_` for a "
            "blank.",
            "anyOf": [TEXT, lines, list_of(numbers), list_of(lines), numbers],
        }
        return object_schema(
            self.name,
            "SudokuBody",
            "A sudoku: 9x9, 6x6 or 4x4.",
            {"grid": grid},
            required=["grid"],
            example={"grid": _EXAMPLE},
        )

    def parse(self, body: Mapping[str, object]) -> SudokuGrid:
        """Read ``{"grid": ...}`` in any of its forms."""
        fields = check_fields(body, puzzle=self.name, allowed=("grid",))
        if "grid" not in fields:
            refuse("grid", "is missing: 81, 36 or 16 cells as a string or as lists of integers")
        return read_grid(fields["grid"])

    def task_of(self, instance: SudokuGrid) -> Task:
        return _task(instance.size)

    def dump(self, instance: SudokuGrid) -> dict[str, object]:
        grid = format_grid(instance.size, instance.cells, instance.form)
        return {"puzzle": self.name, "grid": grid}

    def encode(self, instance: SudokuGrid) -> Encoded:
        """Return digit d as token d + 1 and a blank as BLANK."""
        return Encoded(tokens=np.asarray(instance.cells, dtype=np.uint8) + BLANK)

    def instance_of(self, task: Task, encoded: Encoded) -> SudokuGrid:
        digits = (encoded.tokens - BLANK).tolist()
        return SudokuGrid(size=task.size, cells=tuple(digits))

    def decode(self, instance: SudokuGrid, tokens: Tokens) -> object:
        digits = [max(token - BLANK, 0) for token in tokens.tolist()]
        return format_grid(instance.size, digits, instance.form)

    def check(self, instance: SudokuGrid, tokens: Tokens) -> bool:
        digits = [token - BLANK for token in tokens.tolist()]
        kept = all(given in (0, digit) for given, digit in zip(instance.cells, digits, strict=True))
        return kept and _is_complete(digits, instance.size)

    def symmetry(self, task: Task, rng: np.random.Generator) -> Symmetry:
        return self.symmetries(task, rng, 1)[0]

    def symmetries(self, task: Task, rng: np.random.Generator, count: int) -> Symmetries:
        """Draw permutations of digits, bands, stacks and lines, and transpositions."""
        box_rows, box_columns = BOX_SHAPES[task.size]
        rows = _shuffled_lines(task.size, box_rows, rng, count)
        columns = _shuffled_lines(task.size, box_columns, rng, count)
        rows *= task.size
        # Transposing a 6x6 board would change the shape of its boxes.
        if box_rows == box_columns:
            is_turned = rng.random((count, 1)) < 0.5
            rows, columns = np.where(is_turned, columns, rows), np.where(is_turned, rows, columns)
        positions = rows[:, :, None] + columns[:, None, :]
        values = shuffled_values(task, rng, count)
        return Symmetries(positions.reshape(count, task.length), values)

    def generate(
        self, task: Task, rng: np.random.Generator, *, num_solutions: int | None = 1
    ) -> SudokuGrid:
        """Empty cells of a random full board until ``num_solutions`` is reached."""
        cells = generate.generate(task.size, rng, num_solutions=num_solutions)
        return SudokuGrid(size=task.size, cells=tuple(cells))

    def blank(self, task: Task) -> SudokuGrid:
        return SudokuGrid(size=task.size, cells=(0,) * task.length)

    def reduce(
        self, task: Task, answer: Tokens, rng: np.random.Generator, *, num_clues: int | None = None
    ) -> SudokuGrid:
        digits = [token - BLANK for token in answer.tolist()]
        cells = generate.reduce(digits, task.size, rng, num_clues=num_clues)
        return SudokuGrid(size=task.size, cells=tuple(cells))


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
        paper_inner_steps=6,
    )


def _units(size: int) -> tuple[Unit, ...]:
    cells = np.arange(size * size).reshape(size, size)
    boxes = [box_of(size, *divmod(cell, size)) for cell in range(size * size)]
    return line_units(cells, Constraint.PERMUTATION) + tuple(
        Unit(
            f"box {number}",
            "box",
            Constraint.PERMUTATION,
            tuple(cell for cell, box in enumerate(boxes) if box == number),
        )
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


def _shuffled_lines(
    size: int, width: int, rng: np.random.Generator, count: int
) -> NDArray[np.int64]:
    """Return (count, size): lines with bands in random order, and shuffled within each."""
    # Whole rows of wide integers are permuted four times as fast as bytes or broadcast ones.
    lines = rng.permuted(np.tile(np.arange(size).reshape(-1, width), (count, 1, 1)), axis=2)
    bands = rng.random((count, size // width)).argsort(axis=1)
    return lines[np.arange(count)[:, None], bands].reshape(count, size)
