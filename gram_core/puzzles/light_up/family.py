"""Light Up (Akari): bulbs light every open cell and no other bulb, and walls count those beside.

Where the walls are is the instance's, so ``check`` judges every answer (``Task.has_other_rules``).
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from gram_core.puzzles.base import Family, Padding, walled
from gram_core.puzzles.body import TEXT, check_fields, list_of, object_schema
from gram_core.puzzles.light_up.board import (
    BULB,
    EMPTY,
    MAX_SIDE,
    NUMBERS,
    WALL,
    WALLS,
    LightUpBoard,
    draw_board,
    line_rule,
    read_board,
)
from gram_core.puzzles.light_up.generate import generate
from gram_core.puzzles.task import Encoded, Symmetry, Task, Tokens, Violation
from gram_kernels.tokens import BLANK, FIRST_VALUE, PAD, Constraint, Unit

_SIGNS = EMPTY + BULB + WALL + NUMBERS
"""The cells in the order of their tokens, from BLANK on."""
_BULB = FIRST_VALUE
_EXAMPLE = ".2.....\n....0.1\n.#.....\n...2...\n.....0.\n2.2....\n.....1."


class LightUp(Family[LightUpBoard]):
    """An answer's token is a bulb, BLANK, or the wall that stands there."""

    name = "light-up"
    task_sizes = re.compile(r"([1-9][0-9]?)x([1-9][0-9]?)")
    task_hint = f"light-up-7x7 has 7 rows and 7 columns; there are at most {MAX_SIDE} of each"
    text_signs = ".#O"
    wall_signs = WALL + NUMBERS

    def tasks(self) -> Sequence[str]:
        return ("light-up-7x7",)

    def make_task(self, *sizes: int) -> Task | None:
        return _task(*sizes) if max(sizes) <= MAX_SIDE else None

    def schema(self) -> dict[str, object]:
        return object_schema(
            self.name,
            "LightUpBody",
            "A board whose open cells are to be lit.",
            {
                "grid": {
                    "description": "Rows of `.` where open, `#` for a wall, and 0 to 4 for a wall "
                    "with so many bulbs beside it; `O` is a bulb.",
                    "anyOf": [list_of(TEXT), list_of(list_of(TEXT)), TEXT],
                }
            },
            required=["grid"],
            example={"grid": _EXAMPLE},
        )

    def parse(self, body: Mapping[str, object]) -> LightUpBoard:
        return read_board(check_fields(body, puzzle=self.name, allowed=("grid",)))

    def is_recognised(self, instance: LightUpBoard) -> bool:
        return WALL in instance.cells

    def task_of(self, instance: LightUpBoard) -> Task:
        return _task(instance.rows, instance.columns)

    def pad(self, instance: LightUpBoard, task: Task) -> Padding[LightUpBoard] | None:
        """Return the board with walls at its right and below."""
        found = walled(instance.cells, instance.columns, task, wall=WALL)
        if found is None:
            return None
        cells, positions = found
        return Padding(LightUpBoard(columns=task.columns, cells=cells), positions)

    def dump(self, instance: LightUpBoard) -> dict[str, object]:
        return {"puzzle": self.name, "grid": draw_board(instance, instance.cells)}

    def encode(self, instance: LightUpBoard) -> Encoded:
        tokens = [_SIGNS.index(cell) + BLANK for cell in instance.cells]
        return Encoded(tokens=np.array(tokens, dtype=np.uint8))

    def instance_of(self, task: Task, encoded: Encoded) -> LightUpBoard:
        cells = "".join(_SIGNS[token - BLANK] for token in encoded.tokens.tolist())
        return LightUpBoard(columns=task.columns, cells=cells)

    def decode(self, instance: LightUpBoard, tokens: Tokens) -> str | list[str]:
        """Return the board with its bulbs; a wall that an answer puts elsewhere is left out."""
        cells = "".join(
            cell if cell in WALLS else BULB if token == _BULB else EMPTY
            for cell, token in zip(instance.cells, tokens.tolist(), strict=True)
        )
        return draw_board(instance, cells)

    def units(self, instance: LightUpBoard) -> Sequence[Unit]:
        return [
            Unit(line_rule(instance, line), "line", Constraint.AT_MOST_ONE, line)
            for line in instance.lines
        ]

    def check(self, instance: LightUpBoard, tokens: Tokens) -> bool:
        cells = instance.cells
        answer = [
            _SIGNS[token - BLANK] if 1 <= token <= len(_SIGNS) else "" for token in tokens.tolist()
        ]
        # Everything but bulbs in open cells must be the board as it was posted.
        if any(
            cell != own and (own, cell) != (EMPTY, BULB)
            for own, cell in zip(cells, answer, strict=True)
        ):
            return False
        columns = instance.columns
        lines = [answer[at : at + columns] for at in range(0, len(answer), columns)]
        lit = [[cell in WALLS for cell in line] for line in lines]
        for row, line in enumerate(lines):
            for column, cell in enumerate(line):
                if cell == BULB and not _shine(lines, lit, row, column):
                    return False
                if cell in NUMBERS and _bulbs_beside(lines, row, column) != int(cell):
                    return False
        return all(all(line) for line in lit)

    def violations(self, instance: LightUpBoard, tokens: Tokens) -> list[Violation]:
        is_legal = np.isin(tokens, (BLANK, _BULB)) | (tokens == self.encode(instance).tokens)
        found = super().violations(instance, np.where(is_legal, tokens, np.uint8(PAD)))
        bulbs = {
            place for place in np.flatnonzero(tokens == _BULB).tolist() if instance.seen[place]
        }
        for place, (number, beside) in instance.wanted.items():
            if len(bulbs.intersection(beside)) != number:
                cells = (place, *sorted(bulbs.intersection(beside)))
                rule = f"{number} bulbs beside a wall"
                found.append(Violation(rule, tuple(self.cell(instance, each) for each in cells)))
        dark = [place for place, seen in enumerate(instance.seen) if seen and not seen & bulbs]
        if dark:
            found.append(Violation("dark", tuple(self.cell(instance, place) for place in dark)))
        return found

    def symmetry(self, task: Task, rng: np.random.Generator) -> Symmetry:
        """Draw a rotation or reflection that keeps the board's shape."""
        positions = np.arange(task.length, dtype=np.int64).reshape(task.rows, task.columns)
        mirrored, flipped, turned = rng.random(3) < 0.5
        positions = positions[:, ::-1] if mirrored else positions
        positions = positions[::-1] if flipped else positions
        positions = positions.T if turned and task.rows == task.columns else positions
        values = np.arange(task.vocabulary, dtype=np.uint8)
        return Symmetry(positions=positions.reshape(-1).copy(), values=values)

    def generate(
        self, task: Task, rng: np.random.Generator, *, num_solutions: int | None = 1
    ) -> LightUpBoard:
        """Scatter walls and bulbs; take numbers away until ``num_solutions`` is reached."""
        return generate(task.rows, task.columns, rng, num_solutions=num_solutions)

    def state(
        self, instance: LightUpBoard, solver: Any, choices: Sequence[Mapping[int, Any]]
    ) -> None:
        """Let no wall be put, light every open cell, and count the bulbs beside numbers."""
        for options, seen in zip(choices, instance.seen, strict=True):
            for token, choice in options.items():
                if seen and token > _BULB:
                    solver.add(choice == 0)
            if seen:
                solver.add_bool_or(
                    [choices[place][_BULB] for place in seen if _BULB in choices[place]]
                )
        for number, beside in instance.wanted.values():
            bulbs = [choices[place][_BULB] for place in beside if _BULB in choices[place]]
            solver.add(sum(bulbs) == number)


def _shine(lines: list[list[str]], lit: list[list[bool]], row: int, column: int) -> bool:
    """Light what a bulb sees; return whether it sees no other bulb."""
    lit[row][column] = True
    for down, right in ((-1, 0), (0, -1), (0, 1), (1, 0)):
        at, to = row + down, column + right
        while 0 <= at < len(lines) and 0 <= to < len(lines[0]) and lines[at][to] not in WALLS:
            if lines[at][to] == BULB:
                return False
            lit[at][to] = True
            at, to = at + down, to + right
    return True


def _bulbs_beside(lines: list[list[str]], row: int, column: int) -> int:
    places = ((row - 1, column), (row, column - 1), (row, column + 1), (row + 1, column))
    return sum(
        0 <= at < len(lines) and 0 <= to < len(lines[0]) and lines[at][to] == BULB
        for at, to in places
    )


@lru_cache(maxsize=64)
def _task(rows: int, columns: int) -> Task:
    return Task(
        name=f"{LightUp.name}-{rows}x{columns}",
        family=LightUp.name,
        size=max(rows, columns),
        length=rows * columns,
        num_values=len(_SIGNS) - 1,
        rows=rows,
        columns=columns,
        allows_blank=True,
        relations=("row", "column", "near", "near"),
        has_other_rules=True,
    )
