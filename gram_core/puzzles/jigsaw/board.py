"""Jigsaw sudokus as posted: the instance, its drawn and coded forms, and clashes.

Knows digits and regions; does not know tokens, units or solving.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from gram_core.errors import Issue
from gram_core.puzzles.body import (
    check_blanks,
    check_lengths,
    describe,
    drawn_rows,
    is_integer,
    raise_issues,
    read_list,
    read_pairs,
    read_text,
    refuse,
)

MIN_SIZE, MAX_SIZE = 3, 9

_BLANKS = ".0*_"
_MAX_TEXT = 2000
_CODE = re.compile(r"([3-9])j(?:a|m[48]|md[24]|r[24])?(?:d[a-z])?:([1-9a-z_]+),([a-z_]+)", re.ASCII)


class Form(StrEnum):
    """The form in which a board was posted and its answer is returned."""

    ROWS = "rows"
    """Strings, one per row."""
    TEXT = "text"
    """One string of lines."""
    LISTS = "lists"
    """Lists of integers, one per row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JigsawBoard:
    """A square of digits whose regions have any shape."""

    size: int
    cells: tuple[int, ...]
    """Digits row by row, 0 where blank."""
    regions: tuple[int, ...]
    """Number of each cell's region, in the order of their first cells."""
    form: Form = Form.ROWS

    def lines(self) -> Iterator[tuple[str, list[int]]]:
        """Yield name and positions of every row, column and region."""
        places = range(self.size**2)
        for number in range(self.size):
            yield f"row {number}", [each for each in places if each // self.size == number]
            yield f"column {number}", [each for each in places if each % self.size == number]
            yield f"region {number}", [each for each in places if self.regions[each] == number]


def read_board(fields: Mapping[str, object]) -> JigsawBoard:
    """Read ``grid`` and ``regions``; raise ``PuzzleInvalid`` with the place of each error."""
    value = fields.get("grid")
    text = read_text(value, "grid", max_length=_MAX_TEXT) if isinstance(value, str) else ""
    code = _CODE.fullmatch(text.strip())
    if code is not None:
        if "regions" in fields:
            refuse("regions", "cannot stand beside a game ID, which holds the walls")
        board = _read_code(int(code[1]), code[2], code[3])
    else:
        rows, regions = _rows_of(value, "grid"), fields.get("regions")
        is_lists = not isinstance(value, str) and not all(isinstance(row, str) for row in rows)
        form = Form.LISTS if is_lists else Form.TEXT if isinstance(value, str) else Form.ROWS
        drawn = _rows_of(_named_cells(regions) or regions, "regions")
        board = _make_board([*chain(*rows)], numbered([*chain(*drawn)]), len(rows), form)
    raise_issues(_clashes(board))
    return board


def draw_cells(board: JigsawBoard, cells: Sequence[int]) -> str | list[str] | list[list[int]]:
    """Return digits, 0 for a blank, in the form in which the board was posted."""
    if board.form is Form.LISTS:
        return [[*cells[at : at + board.size]] for at in range(0, len(cells), board.size)]
    return _drawn(board, "".join(str(digit) if digit else "." for digit in cells))


def draw_regions(board: JigsawBoard) -> str | list[str]:
    """Return a letter for each cell's region."""
    return _drawn(board, "".join(chr(ord("a") + region) for region in board.regions))


def numbered(names: Sequence[object]) -> tuple[int, ...]:
    """Return names as numbers, in the order in which they first appear."""
    numbers: dict[object, int] = {}
    return tuple(numbers.setdefault(name, len(numbers)) for name in names)


def _drawn(board: JigsawBoard, signs: str) -> str | list[str]:
    lines = [signs[at : at + board.size] for at in range(0, len(signs), board.size)]
    return "\n".join(lines) if board.form is Form.TEXT else lines


def _named_cells(regions: object) -> list[list[int | None]] | None:
    """Return rows of region numbers for regions that are lists of their cells."""
    groups = regions if isinstance(regions, list | tuple) else ()
    if not groups or not all(
        isinstance(group, list | tuple) and all(isinstance(cell, list | tuple) for cell in group)
        for group in groups
    ):
        return None
    size = len(groups)
    rows: list[list[int | None]] = [[None] * size for _ in groups]
    for number, group in enumerate(groups):
        for row, column in read_pairs(group, f"regions[{number}]", below=size):
            if (other := rows[row][column]) is not None:
                detail = f"holds a cell of regions[{other - 1}]"
                refuse(f"regions[{number}]", detail, cells=[(row, column)])
            rows[row][column] = number + 1
    return rows


def _rows_of(value: object, field: str) -> list[Sequence[str]]:
    """Return rows of as many signs as there are rows."""
    rows: list[Sequence[str]]
    if isinstance(value, str):
        rows = [*drawn_rows(read_text(value, field, max_length=_MAX_TEXT))]
        side = math.isqrt(len(rows[0])) if len(rows) == 1 else 0
        if side and side**2 == len(rows[0]):
            rows = [rows[0][at : at + side] for at in range(0, side**2, side)]
    else:
        entries = read_list(value, field, max_items=MAX_SIZE)
        rows = [_signs_of(entry, f"{field}[{at}]") for at, entry in enumerate(entries)]
    if not MIN_SIZE <= len(rows) <= MAX_SIZE:
        refuse(field, f"has {len(rows)} rows; a board has {MIN_SIZE} to {MAX_SIZE}")
    told = f"cells; a board of {len(rows)} rows has as many"
    check_lengths(rows, len(rows), told, field=field)
    return rows


def _signs_of(row: object, field: str) -> Sequence[str]:
    """Return the signs of a text, or of a list of numbers and signs; ``.`` for 0 and null."""
    if not isinstance(row, list | tuple):
        return read_text(row, field, max_length=_MAX_TEXT)
    cells = read_list(row, field, max_items=MAX_SIZE)
    for cell in cells:
        if not (cell is None or isinstance(cell, str) or (is_integer(cell) and 0 <= cell <= 99)):
            refuse(field, f"holds {describe(cell)}, which is neither a digit nor a sign")
    return [str(cell or ".") for cell in cells]


def _make_board(
    signs: Sequence[str], regions: tuple[int, ...], size: int, form: Form
) -> JigsawBoard:
    if len(regions) != size * size:
        refuse("regions", f"has {len(regions)} cells, and the grid {size * size}")
    counts = [regions.count(number) for number in range(max(regions) + 1)]
    if counts != [size] * size:
        shown = ", ".join(map(str, counts))
        refuse("regions", f"has regions of {shown} cells; {size} of {size} cells are needed")
    digits = {str(digit): digit for digit in range(1, size + 1)} | dict.fromkeys(_BLANKS, 0)
    raise_issues(
        Issue(
            "grid",
            f"row {at // size}, column {at % size} holds {describe(sign)}; a cell is 1 to {size}, "
            f"or one of {' '.join(_BLANKS)} for a blank",
            (divmod(at, size),),
        )
        for at, sign in enumerate(signs)
        if sign not in digits
    )
    check_blanks(signs, _BLANKS)
    cells = tuple(digits[sign] for sign in signs)
    return JigsawBoard(size=size, cells=cells, regions=regions, form=form)


def _read_code(size: int, clues: str, walls: str) -> JigsawBoard:
    """Read a game ID of ``sgt-solo``: clues with letters for runs of blanks, then the walls."""
    cells = ""
    for part in re.findall(r"[a-z]|[1-9]", clues):
        cells += part if part.isdigit() else "." * (ord(part) - ord("a") + 1)
    if len(cells) != size * size:
        refuse("grid", f"has {len(cells)} cells; a board of {size} rows has {size * size}")
    return _make_board(cells, _regions_of(size, walls), size, Form.TEXT)


def _regions_of(size: int, walls: str) -> tuple[int, ...]:
    """Return the regions between walls: runs of open borders, each but the last before a wall.

    Borders are those between columns, row by row, then those between rows, column by column.
    """
    is_wall: list[bool] = []
    for letter in walls:
        run = 0 if letter == "_" else ord(letter) - ord("a") + 1
        # A run of 25 open borders goes on; others end at a wall.
        is_wall += [False] * min(run, 25) + [True] * (letter != "z")
    count = size * (size - 1)
    if not 2 * count <= len(is_wall) <= 2 * count + 1:
        refuse("grid", f"has {len(is_wall)} borders; a board of {size} rows has {2 * count}")
    names = list(range(size * size))
    for border, wall in enumerate(is_wall[: 2 * count]):
        across, along = divmod(border % count, size - 1)
        one = across * size + along if border < count else along * size + across
        other = one + (1 if border < count else size)
        if not wall:
            old, new = names[other], names[one]
            names = [new if name == old else name for name in names]
    return numbered(names)


def _clashes(board: JigsawBoard) -> Iterator[Issue]:
    for rule, places in board.lines():
        holders: dict[int, list[int]] = defaultdict(list)
        for place in places:
            holders[board.cells[place]].append(place)
        for digit, found in sorted(holders.items()):
            if digit and len(found) > 1:
                cells = tuple(divmod(place, board.size) for place in found)
                yield Issue("grid", f"{digit} stands {len(found)} times in {rule}", cells, rule)
