"""Futoshiki: every value once in each row and column, and signs say which neighbour is lower.

Holds the rules, symmetries and instances of the family; input formats are in ``board``.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from gram_core.puzzles.base import Family
from gram_core.puzzles.body import INTEGER, NULL, TEXT, check_fields, list_of, object_schema
from gram_core.puzzles.futoshiki.board import (
    MAX_SIZE,
    MIN_SIZE,
    FutoshikiBoard,
    Pair,
    draw_board,
    read_board,
    rule_of,
)
from gram_core.puzzles.futoshiki.generate import generate, neighbours
from gram_core.puzzles.task import Encoded, Symmetry, Task, Tokens, Violation, line_units
from gram_kernels.tokens import BLANK, FIRST_VALUE, PAD, Constraint

_EXAMPLE = ".<. . 3>.\n^ ^   ^ ^\n. . . . .\n\n. . . . .\n      ^\n. . . . .\nv\n. . . 1 ."
_NONE, _LEFT, _RIGHT, _ABOVE, _BELOW = range(5)
"""Tokens between cells, after those of the values: no sign, or where the lower cell is."""


class Futoshiki(Family[FutoshikiBoard]):
    """Cells and what stands between them, as 2N - 1 rows; value v, from 1, is token v + 1."""

    name = "futoshiki"
    task_sizes = re.compile(r"([2-9])x[2-9]")
    task_hint = f"there are futoshiki-{MIN_SIZE}x{MIN_SIZE} to futoshiki-{MAX_SIZE}x{MAX_SIZE}"
    text_signs = ".<>^v:,"

    def tasks(self) -> Sequence[str]:
        return ("futoshiki-5x5",)

    def make_task(self, *sizes: int) -> Task:
        return _task(sizes[0])

    def schema(self) -> dict[str, object]:
        cell = {"anyOf": [INTEGER, NULL]}
        pair = list_of(list_of(INTEGER, minItems=2, maxItems=2), minItems=2, maxItems=2)
        return object_schema(
            self.name,
            "FutoshikiBody",
            "A square of values with signs between neighbours.",
            {
                "grid": {
                    "description": "Rows of values, 0 where blank; or the board drawn with <, >, "
                    "^ and v between the cells.",
                    "anyOf": [list_of(list_of(cell)), TEXT],
                },
                "less": {
                    "description": "Pairs of neighbours (row, column), the lower one first.",
                    **list_of(pair),
                    "default": [],
                },
            },
            required=["grid"],
            example={"grid": _EXAMPLE},
        )

    def parse(self, body: Mapping[str, object]) -> FutoshikiBoard:
        return read_board(check_fields(body, puzzle=self.name, allowed=("grid", "less")))

    def is_recognised(self, instance: FutoshikiBoard) -> bool:
        return bool(instance.pairs)

    def task_of(self, instance: FutoshikiBoard) -> Task:
        return _task(instance.size)

    def dump(self, instance: FutoshikiBoard) -> dict[str, object]:
        if instance.is_text:
            return {"puzzle": self.name, "grid": draw_board(instance, instance.cells)}
        less = [[list(cell) for cell in pair] for pair in instance.pairs]
        return {"puzzle": self.name, "grid": _rows(instance.cells, instance.size), "less": less}

    def encode(self, instance: FutoshikiBoard) -> Encoded:
        """Return values at even rows and columns, and signs between them."""
        size = instance.size
        board = np.full((2 * size - 1, 2 * size - 1), _sign(size, _NONE), dtype=np.uint8)
        board[::2, ::2] = np.reshape(instance.cells, (size, size)) + BLANK
        for less, greater in instance.pairs:
            row, column = less[0] + greater[0], less[1] + greater[1]
            first, last = (_LEFT, _RIGHT) if less[0] == greater[0] else (_ABOVE, _BELOW)
            board[row, column] = _sign(size, first if less < greater else last)
        return Encoded(tokens=board.reshape(-1))

    def instance_of(self, task: Task, encoded: Encoded) -> FutoshikiBoard:
        size = task.size
        board = encoded.tokens.reshape(task.rows, task.columns)
        pairs = []
        for one, other in neighbours(size):
            sign = int(board[one[0] + other[0], one[1] + other[1]])
            if sign != _sign(size, _NONE):
                is_first = sign in (_sign(size, _LEFT), _sign(size, _ABOVE))
                pairs.append(Pair(one, other) if is_first else Pair(other, one))
        cells = (board[::2, ::2] - BLANK).reshape(-1).tolist()
        return FutoshikiBoard(size=size, cells=tuple(cells), pairs=tuple(sorted(pairs)))

    def decode(self, instance: FutoshikiBoard, tokens: Tokens) -> str | list[list[int]]:
        """Return the board drawn, or rows of values, 0 where there is none, as it was posted."""
        values = _values(tokens, instance.size)
        return draw_board(instance, values) if instance.is_text else _rows(values, instance.size)

    def check(self, instance: FutoshikiBoard, tokens: Tokens) -> bool:
        size, values = instance.size, _values(tokens, instance.size)
        lines = _rows(values, size)
        wanted = list(range(1, size + 1))
        if not all(sorted(line) == wanted for line in [*lines, *zip(*lines, strict=True)]):
            return False
        if not all(
            given in (0, value) for given, value in zip(instance.cells, values, strict=True)
        ):
            return False
        # What stands between the cells must be the signs as they were posted.
        is_between = _is_between(size)
        if not np.array_equal(tokens[is_between], self.encode(instance).tokens[is_between]):
            return False
        return all(lines[a][b] < lines[c][d] for (a, b), (c, d) in instance.pairs)

    def cell(self, instance: FutoshikiBoard, position: int) -> tuple[int, ...]:
        """Return row and column of a cell; of a sign, those of the cell before it."""
        row, column = divmod(position, 2 * instance.size - 1)
        return row // 2, column // 2

    def violations(self, instance: FutoshikiBoard, tokens: Tokens) -> list[Violation]:
        size = instance.size
        # A sign is no value of a cell.
        is_wrong = ~_is_between(size) & (tokens >= FIRST_VALUE + size)
        lines = _rows(_values(tokens, size), size)
        return super().violations(instance, np.where(is_wrong, np.uint8(PAD), tokens)) + [
            Violation(rule_of(pair), pair)
            for pair in instance.pairs
            if 0 < lines[pair.greater[0]][pair.greater[1]] <= lines[pair.less[0]][pair.less[1]]
        ]

    def symmetry(self, task: Task, rng: np.random.Generator) -> Symmetry:
        """Draw a rotation or reflection of the board, and whether low and high are swapped."""
        positions = np.arange(task.length, dtype=np.int64).reshape(task.rows, task.columns)
        signs = [_NONE, _LEFT, _RIGHT, _ABOVE, _BELOW]
        mirrored, flipped, turned, swapped = rng.random(4) < 0.5
        if mirrored:
            positions, signs = positions[:, ::-1], _renamed(signs, _LEFT, _RIGHT)
        if flipped:
            positions, signs = positions[::-1], _renamed(signs, _ABOVE, _BELOW)
        if turned:
            positions = positions.T
            signs = _renamed(_renamed(signs, _LEFT, _ABOVE), _RIGHT, _BELOW)
        values = np.arange(task.size)
        if swapped:
            values = values[::-1]
            signs = _renamed(_renamed(signs, _LEFT, _RIGHT), _ABOVE, _BELOW)
        names = [PAD, BLANK, *(values + FIRST_VALUE), *(_sign(task.size, sign) for sign in signs)]
        return Symmetry(positions.reshape(-1).copy(), np.array(names, dtype=np.uint8))

    def generate(
        self, task: Task, rng: np.random.Generator, *, num_solutions: int | None = 1
    ) -> FutoshikiBoard:
        """Draw signs of a full square; empty cells until ``num_solutions`` is reached."""
        cells, pairs = generate(task.size, rng, num_solutions=num_solutions)
        return FutoshikiBoard(size=task.size, cells=tuple(cells), pairs=tuple(pairs))

    def state(
        self, instance: FutoshikiBoard, solver: Any, choices: Sequence[Mapping[int, Any]]
    ) -> None:
        """Leave the values to the cells, and put the lower one where the sign says."""
        size, side = instance.size, 2 * instance.size - 1
        for options in choices:
            for token, choice in options.items():
                if token >= FIRST_VALUE + size and len(options) > 1:
                    solver.add(choice == 0)
        for pair in instance.pairs:
            low, high = (
                sum(
                    token * choice for token, choice in choices[2 * row * side + 2 * column].items()
                )
                for row, column in pair
            )
            solver.add(low < high)


def _sign(size: int, sign: int) -> int:
    return FIRST_VALUE + size + sign


def _renamed(signs: list[int], one: int, other: int) -> list[int]:
    names = {one: other, other: one}
    return [names.get(sign, sign) for sign in signs]


def _rows(values: Sequence[int], size: int) -> list[list[int]]:
    return [list(values[start : start + size]) for start in range(0, size * size, size)]


def _values(tokens: Tokens, size: int) -> list[int]:
    """Return the values of the cells, 0 where there is none."""
    side = 2 * size - 1
    cells = tokens.reshape(side, side)[::2, ::2].reshape(-1).tolist()
    return [token - BLANK if FIRST_VALUE <= token < FIRST_VALUE + size else 0 for token in cells]


@cache
def _is_between(size: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return (length,): whether a position is no cell."""
    is_between = np.ones((2 * size - 1, 2 * size - 1), dtype=np.bool_)
    is_between[::2, ::2] = False
    return is_between.reshape(-1)


@cache
def _task(size: int) -> Task:
    side = 2 * size - 1
    cells = np.arange(side * side).reshape(side, side)[::2, ::2]
    return Task(
        name=f"{Futoshiki.name}-{size}x{size}",
        family=Futoshiki.name,
        size=size,
        length=side * side,
        num_values=size + 5,
        rows=side,
        columns=side,
        units=line_units(cells, Constraint.DIFFERENT),
        relations=("row", "column", "near", "near"),
        has_other_rules=True,
    )
