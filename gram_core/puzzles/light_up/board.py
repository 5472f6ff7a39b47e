"""Light Up boards as posted: the instance, its drawn and coded forms, and what cells see.

Knows rows, columns and walls; does not know tokens, units or solving.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from gram_core.errors import Issue
from gram_core.puzzles.body import (
    check_lengths,
    drawn_rows,
    in_lines,
    raise_issues,
    read_list,
    read_text,
    refuse,
    refuse_signs,
)

MAX_SIDE = 25
EMPTY, BULB, WALL = ".", "O", "#"
NUMBERS = "01234"
WALLS = frozenset(WALL + NUMBERS)

_CELLS = {EMPTY: EMPTY, "_": EMPTY, "-": EMPTY, WALL: WALL, "B": WALL, BULB: BULB, "o": BULB}
_CELLS |= {number: number for number in NUMBERS}
_MAX_TEXT = 4 * MAX_SIDE * (MAX_SIDE + 1)
_CODE = re.compile(r"([1-9][0-9]?)x([1-9][0-9]?)(?:b[0-9]+)?(?:s[0-9])?(?:d[0-9])?:([a-zB0-4]+)")


class Form(StrEnum):
    """The form in which a board was posted and its answer is returned."""

    GRID = "grid"
    """Strings, one per row."""
    TEXT = "text"
    """One string of lines."""


@dataclass(frozen=True, kw_only=True)
class LightUpBoard:
    """A board of walls, some of them with the number of bulbs beside them."""

    columns: int
    cells: str
    """Row by row: ``.`` where open, ``O`` for a bulb, ``#`` or a number for a wall."""
    form: Form = Form.GRID

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.cells) // self.columns

    @cached_property
    def lines(self) -> tuple[tuple[int, ...], ...]:
        """Positions of each longest run of cells without a wall: in rows, then in columns."""
        places = range(len(self.cells))
        down = sorted(places, key=lambda place: place % self.columns)
        return (*self._runs(places, self.columns), *self._runs(down, self.rows))

    @cached_property
    def seen(self) -> tuple[frozenset[int], ...]:
        """By position, the positions that a bulb there lights, its own included."""
        found: list[set[int]] = [set() for _ in self.cells]
        for line in self.lines:
            for place in line:
                found[place].update(line)
        return tuple(map(frozenset, found))

    @cached_property
    def wanted(self) -> Mapping[int, tuple[int, tuple[int, ...]]]:
        """By position of a wall with a number: the number, and the open cells beside it."""
        return {
            place: (int(cell), tuple(self._beside(place)))
            for place, cell in enumerate(self.cells)
            if cell in NUMBERS
        }

    def _runs(self, places: Sequence[int], length: int) -> Iterator[tuple[int, ...]]:
        run: list[int] = []
        for index, place in enumerate(places):
            is_wall = self.cells[place] in WALLS
            if run and (is_wall or index % length == 0):
                yield tuple(run)
                run = []
            if not is_wall:
                run.append(place)
        if run:
            yield tuple(run)

    def _beside(self, place: int) -> Iterator[int]:
        row, column = divmod(place, self.columns)
        for down, right in ((-1, 0), (0, -1), (0, 1), (1, 0)):
            if 0 <= row + down < self.rows and 0 <= column + right < self.columns:
                other = place + down * self.columns + right
                if self.cells[other] not in WALLS:
                    yield other


def read_board(fields: Mapping[str, object]) -> LightUpBoard:
    """Read ``grid``; raise ``PuzzleInvalid`` with the place of each error."""
    value = fields.get("grid")
    if isinstance(value, str):
        text = read_text(value, "grid", max_length=_MAX_TEXT)
        code = _CODE.fullmatch(text.strip())
        lines = _decoded(int(code[1]), int(code[2]), code[3]) if code else drawn_rows(text)
        board = _read_lines(lines, Form.TEXT)
    else:
        rows = read_list(value, "grid", max_items=MAX_SIDE)
        board = _read_lines(
            [_read_row(row, f"grid[{at}]") for at, row in enumerate(rows)],
            Form.GRID,
        )
    raise_issues(_clashes(board))
    return board


def _read_row(row: object, field: str) -> str:
    """Read a string, or a list of one-character strings."""
    if isinstance(row, list | tuple):
        if any(not isinstance(cell, str) or len(cell) != 1 for cell in row):
            refuse(field, "holds cells that are no single characters")
        row = "".join(row)
    return read_text(row, field, max_length=_MAX_TEXT)


def draw_board(board: LightUpBoard, cells: str) -> str | list[str]:
    """Return cells in the form in which the board was posted."""
    return in_lines(cells, board.columns, is_text=board.form is Form.TEXT)


def line_rule(board: LightUpBoard, line: Sequence[int]) -> str:
    """Return the name of the rule of a run of cells."""
    (row, column), (last_row, last_column) = (
        divmod(place, board.columns) for place in (line[0], line[-1])
    )
    if row == last_row:
        return f"row {row}, columns {column} to {last_column}"
    return f"column {column}, rows {row} to {last_row}"


def _decoded(columns: int, rows: int, code: str) -> list[str]:
    """Return the lines of a game ID of ``sgt-lightup``: a letter is a run of open cells."""
    cells = "".join(EMPTY * (ord(sign) - ord("a") + 1) if sign.islower() else sign for sign in code)
    if len(cells) != rows * columns:
        refuse("grid", f"has {len(cells)} cells; a board of {columns}x{rows} has {rows * columns}")
    return [cells[at : at + columns] for at in range(0, len(cells), columns)]


def _read_lines(lines: Sequence[str], form: Form) -> LightUpBoard:
    if not 1 <= len(lines) <= MAX_SIDE:
        refuse("grid", f"has {len(lines)} rows; a board has 1 to {MAX_SIDE}")
    columns = len(lines[0])
    if not 1 <= columns <= MAX_SIDE:
        refuse("grid", f"has rows of {columns} cells; a row has 1 to {MAX_SIDE}")
    check_lengths(lines, columns, f"cells; row 0 of this board has {columns}")
    drawn = "".join(lines)
    told = "a cell is . where open, O for a bulb, # for a wall, or 0 to 4 for a wall with so many "
    wrong = (at for at, sign in enumerate(drawn) if sign not in _CELLS)
    refuse_signs(drawn, wrong, columns, f"{told}bulbs beside it")
    return LightUpBoard(columns=columns, cells="".join(_CELLS[each] for each in drawn), form=form)


def _clashes(board: LightUpBoard) -> Iterator[Issue]:
    """Yield bulbs that see each other, and numbers that cannot be reached."""
    bulbs = {place for place, cell in enumerate(board.cells) if cell == BULB}
    for line in board.lines:
        found = [place for place in line if place in bulbs]
        if len(found) > 1:
            cells = tuple(divmod(place, board.columns) for place in found)
            rule = line_rule(board, line)
            yield Issue("grid", f"{len(found)} bulbs light each other in {rule}", cells, rule)
    for place, (number, beside) in board.wanted.items():
        least = len(bulbs.intersection(beside))
        if not least <= number <= len(beside):
            cell = divmod(place, board.columns)
            detail = f"the wall at row {cell[0]}, column {cell[1]} wants {number} bulbs beside it; "
            detail += f"there are {least}, and {len(beside)} open cells"
            yield Issue("grid", detail, (cell,), "number")
