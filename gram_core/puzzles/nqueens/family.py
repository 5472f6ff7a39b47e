"""N-Queens: complete a board of any size so that no queen attacks another.

Holds the rules, symmetries and instances of the family; input formats are in ``board``.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np

from gram_core.puzzles.base import Family
from gram_core.puzzles.body import INTEGER, NULL, TEXT, check_fields, list_of, object_schema
from gram_core.puzzles.nqueens.board import (
    MAX_SIZE,
    Form,
    QueensBoard,
    Square,
    format_board,
    lines_of,
    read_board,
)
from gram_core.puzzles.nqueens.generate import generate
from gram_core.puzzles.task import Encoded, Symmetry, Task, Tokens
from gram_kernels.tokens import BLANK, FIRST_VALUE, PAD, Constraint, Unit

_QUEEN = FIRST_VALUE
_BITS = re.compile(r"[01\s]+")
_CONSTRAINTS = {
    "row": Constraint.EXACTLY_ONE,
    "column": Constraint.EXACTLY_ONE,
    "diagonal": Constraint.AT_MOST_ONE,
    "antidiagonal": Constraint.AT_MOST_ONE,
}


class NQueens(Family[QueensBoard]):
    """The queens family: an answer's token is a queen or BLANK; a given BLANK is unknown."""

    name = "nqueens"
    task_sizes = re.compile(r"([1-9][0-9]{0,2})")
    task_hint = f"there are nqueens-1 to nqueens-{MAX_SIZE}"
    text_signs = "Qq.0*_"

    def tasks(self) -> Sequence[str]:
        return ("nqueens-8", "nqueens-10")

    def make_task(self, *sizes: int) -> Task | None:
        return _task(sizes[0]) if sizes[0] <= MAX_SIZE else None

    def schema(self) -> dict[str, object]:
        square, column = list_of(INTEGER, minItems=1, maxItems=2), {"anyOf": [INTEGER, NULL]}
        lines = list_of(TEXT)
        properties = {
            "n": {
                "description": "Side of the board; not needed beside `grid`.",
                **column,
                "default": None,
            },
            "queens": {
                "description": "(row, column) of the placed queens, or the column of each row's.",
                "anyOf": [list_of(square), list_of(column), NULL],
                "default": None,
            },
            "grid": {
                "description": "Rows of `Q` and `.`, or of 1 and 0, instead of `n` and `queens`.",
                "anyOf": [TEXT, lines, list_of(lines), list_of(list_of(INTEGER)), NULL],
                "default": None,
            },
        }
        return object_schema(
            self.name,
            "NQueensBody",
            "A board of queens, some of them placed.",
            properties,
            example={"n": 8, "queens": [[0, 3]]},
        )

    def parse(self, body: Mapping[str, object]) -> QueensBoard:
        return read_board(check_fields(body, puzzle=self.name, allowed=("n", "queens", "grid")))

    def likeness(self, text: str) -> float:
        """Return 1 for a board of 0 and 1, and else the share of its own signs."""
        is_bits = "0" in text and "1" in text and _BITS.fullmatch(text) is not None
        return 1.0 if is_bits else super().likeness(text)

    def task_of(self, instance: QueensBoard) -> Task:
        return _task(instance.size)

    def dump(self, instance: QueensBoard) -> dict[str, object]:
        board = format_board(instance.size, instance.queens, instance.form)
        return {"puzzle": self.name, "n": instance.size, instance.field: board}

    def encode(self, instance: QueensBoard) -> Encoded:
        """Return placed queens as token 2 and every other square as BLANK."""
        board = np.full((instance.size, instance.size), BLANK, dtype=np.uint8)
        for square in instance.queens:
            board[square] = _QUEEN
        return Encoded(tokens=board.reshape(-1))

    def instance_of(self, task: Task, encoded: Encoded) -> QueensBoard:
        return QueensBoard(size=task.size, queens=tuple(_queens(encoded.tokens, task.size)))

    def decode(self, instance: QueensBoard, tokens: Tokens) -> object:
        """Return the queens in the form that was posted; squares where that cannot hold them."""
        queens, form = _queens(tokens, instance.size), instance.form
        if form is Form.COLUMNS and [row for row, _ in queens] != list(range(instance.size)):
            form = Form.QUEENS
        return format_board(instance.size, queens, form)

    def check(self, instance: QueensBoard, tokens: Tokens) -> bool:
        """Say whether there are n queens, the given among them, and no two attack each other."""
        if not np.isin(tokens, (BLANK, _QUEEN)).all():
            return False
        queens = _queens(tokens, instance.size)
        if len(queens) != instance.size or not set(instance.queens) <= set(queens):
            return False
        return not any(
            row == other_row
            or column == other_column
            or abs(row - other_row) == abs(column - other_column)
            for (row, column), (other_row, other_column) in combinations(queens, 2)
        )

    def symmetry(self, task: Task, rng: np.random.Generator) -> Symmetry:
        """Draw one of the eight rotations and reflections of the board."""
        positions = np.arange(task.length, dtype=np.int64).reshape(task.size, task.size)
        positions = np.rot90(positions, int(rng.integers(4)))
        if rng.random() < 0.5:
            positions = positions.T
        values = np.array([PAD, BLANK, _QUEEN], dtype=np.uint8)
        return Symmetry(positions=positions.reshape(-1).copy(), values=values)

    def generate(
        self, task: Task, rng: np.random.Generator, *, num_solutions: int | None = 1
    ) -> QueensBoard:
        """Remove queens from a random full board until ``num_solutions`` is reached."""
        queens = generate(task.size, rng, num_solutions=num_solutions)
        return QueensBoard(size=task.size, queens=tuple(sorted(queens)))


@lru_cache(maxsize=64)
def _task(size: int) -> Task:
    return Task(
        name=f"nqueens-{size}",
        family=NQueens.name,
        size=size,
        length=size * size,
        num_values=1,
        rows=size,
        columns=size,
        units=_units(size),
        allows_blank=True,
    )


def _units(size: int) -> tuple[Unit, ...]:
    cells: dict[tuple[str, int], list[int]] = {
        (kind, number): []
        for kind, count in zip(_CONSTRAINTS, (size, size, 2 * size - 1, 2 * size - 1), strict=True)
        for number in range(count)
    }
    for position in range(size * size):
        for line in lines_of(size, *divmod(position, size)):
            cells[line].append(position)
    return tuple(
        Unit(f"{kind} {number}", kind, _CONSTRAINTS[kind], tuple(members))
        for (kind, number), members in cells.items()
    )


def _queens(tokens: Tokens, size: int) -> list[Square]:
    return [divmod(position, size) for position in np.flatnonzero(tokens == _QUEEN).tolist()]
