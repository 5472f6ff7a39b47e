"""Futoshiki boards as posted: the instance, its list, drawn and coded forms, and clashes.

Knows rows, columns and signs; does not know tokens, units or solving.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from gram_core.errors import Issue
from gram_core.puzzles.body import (
    describe,
    raise_issues,
    read_integer,
    read_list,
    read_pair,
    read_text,
    refuse,
)

MIN_SIZE, MAX_SIZE = 2, 9

_MAX_TEXT = 2000
_BLANKS = ".0_-*? "
_SIGNS = {"<": False, ">": True, "^": False, "v": True, "V": True}
"""Whether the cell before a sign, at its left or above, is the greater one."""
_OTHER_SIGNS = str.maketrans("\u2227\u22c0\u039b\u2228\u22c1\u2039\u203a\uff1c\uff1e", "^^^vv<><>")
_CODE = re.compile(r"([2-9]):([0-9URDL,\s]+)")
_ENTRY = re.compile(r"([0-9])([URDL]*)")
_STEPS = {"U": (-1, 0), "R": (0, 1), "D": (1, 0), "L": (0, -1)}

Cell = tuple[int, int]


class Pair(NamedTuple):
    """Two neighbours, the first of which holds the lower value."""

    less: Cell
    greater: Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class FutoshikiBoard:
    """A square to fill in: every value once in each row and column, and signs between cells."""

    size: int
    cells: tuple[int, ...]
    """Values from 1, row by row, 0 where blank."""
    pairs: tuple[Pair, ...] = ()
    """Neighbours with a sign between them, in order."""
    is_text: bool = False
    """Whether it was posted as one string: its answer is then drawn."""


def read_board(fields: Mapping[str, object]) -> FutoshikiBoard:
    """Read ``grid`` with ``less``, or a text as ``grid``; raise ``PuzzleInvalid`` with errors."""
    value = fields.get("grid")
    if isinstance(value, str):
        if "less" in fields:
            refuse("less", "cannot stand beside a drawn grid, which holds the signs")
        text = read_text(value, "grid", max_length=_MAX_TEXT)
        code = _CODE.fullmatch(text.strip())
        board = _read_code(int(code[1]), code[2]) if code else _read_drawing(text)
    else:
        board = _read_lists(value, fields.get("less", ()))
    raise_issues(_clashes(board))
    return board


def draw_board(board: FutoshikiBoard, cells: Sequence[int]) -> str:
    """Return values, 0 for a blank, with the signs between them."""
    side = 2 * board.size - 1
    rows = [[" "] * side for _ in range(side)]
    for position, value in enumerate(cells):
        row, column = divmod(position, board.size)
        rows[2 * row][2 * column] = str(value) if value else "."
    for less, greater in board.pairs:
        row, column = less[0] + greater[0], less[1] + greater[1]
        sign = ("<", ">") if row % 2 == 0 else ("^", "v")
        rows[row][column] = sign[less > greater]
    return "\n".join("".join(row).rstrip() for row in rows)


def _read_lists(value: object, less: object) -> FutoshikiBoard:
    rows = read_list(value, "grid", max_items=MAX_SIZE)
    size = read_integer(len(rows), "number of rows", low=MIN_SIZE, high=MAX_SIZE)
    cells: list[int] = []
    for number, row in enumerate(rows):
        field = f"grid[{number}]"
        values = read_list(row, field, max_items=MAX_SIZE)
        read_integer(len(values), f"length of {field}", low=size, high=size)
        cells += [
            read_integer(0 if each is None else each, field, low=0, high=size) for each in values
        ]
    entries = read_list(less, "less", max_items=4 * size * size)
    pairs = []
    for number, entry in enumerate(entries):
        field = f"less[{number}]"
        if not isinstance(entry, list | tuple) or len(entry) != 2:
            refuse(field, f"must be two cells, the lower first, not {describe(entry)}")
        pair = Pair(*(read_pair(cell, field, below=size) for cell in entry))
        if sum(abs(one - other) for one, other in zip(*pair, strict=True)) != 1:
            refuse(field, "names cells that are no neighbours", cells=pair)
        pairs.append(pair)
    return FutoshikiBoard(size=size, cells=tuple(cells), pairs=tuple(sorted(set(pairs))))


def _read_code(size: int, code: str) -> FutoshikiBoard:
    """Read the game ID of ``sgt-unequal``: a letter at a cell points to a lower neighbour."""
    entries = [_ENTRY.fullmatch(entry.strip()) for entry in code.strip().rstrip(",").split(",")]
    if len(entries) != size * size:
        refuse("grid", f"has {len(entries)} cells; a board of {size} rows has {size * size}")
    cells, pairs = [], []
    for position, entry in enumerate(entries):
        cell = divmod(position, size)
        if entry is None or int(entry[1]) > size:
            refuse("grid", f"cell {position} is no number from 0 to {size} with U, R, D, L")
        cells.append(int(entry[1]))
        for letter in entry[2]:
            other = (cell[0] + _STEPS[letter][0], cell[1] + _STEPS[letter][1])
            if not (0 <= other[0] < size and 0 <= other[1] < size):
                refuse("grid", f"a sign at cell {position} points beyond the board", cells=[cell])
            pairs.append(Pair(other, cell))
    found = tuple(sorted(set(pairs)))
    return FutoshikiBoard(size=size, cells=tuple(cells), pairs=found, is_text=True)


def _read_drawing(text: str) -> FutoshikiBoard:
    """Read lines of cells with signs between them, and lines of signs between those."""
    drawn = text.translate(_OTHER_SIGNS).strip("\r\n")
    lines = [line.rstrip() for line in drawn.splitlines()]
    size = (len(lines) + 1) // 2
    side = 2 * size - 1
    if max(map(len, lines), default=0) > side and not any(line[1::2].strip() for line in lines):
        lines = [line[::2] for line in lines]
    if not MIN_SIZE <= size <= MAX_SIZE or len(lines) != side or max(map(len, lines)) != side:
        refuse(
            "grid",
            f"has {len(lines)} lines; a board of N rows is drawn in 2N - 1 lines of as many "
            "characters: cells, and <, >, ^, v or spaces between them",
        )
    rows = [line.ljust(side) for line in lines]
    cells: list[int] = []
    pairs = []
    for row, line in enumerate(rows):
        for column, sign in enumerate(line):
            if row % 2 == 0 and column % 2 == 0:
                cells.append(_read_cell(sign, row // 2, column // 2, size))
            elif sign != " ":
                pairs.append(_read_sign(sign, row, column))
    found = tuple(sorted(set(pairs)))
    return FutoshikiBoard(size=size, cells=tuple(cells), pairs=found, is_text=True)


def _read_cell(sign: str, row: int, column: int, size: int) -> int:
    is_value = sign in "123456789" and int(sign) <= size
    if not is_value and sign not in _BLANKS:
        detail = f"row {row}, column {column} holds {describe(sign)}; a cell is 1 to {size}, or ."
        refuse("grid", detail, cells=[(row, column)])
    return int(sign) if is_value else 0


def _read_sign(sign: str, row: int, column: int) -> Pair:
    is_between = (row + column) % 2 == 1 and sign in ("<>" if row % 2 == 0 else "^vV")
    if not is_between:
        detail = f"line {row} holds {describe(sign)} at character {column}; "
        refuse("grid", detail + "between cells stand < and >, between lines ^ and v")
    before, after = (row // 2, column // 2), ((row + 1) // 2, (column + 1) // 2)
    return Pair(after, before) if _SIGNS[sign] else Pair(before, after)


def _clashes(board: FutoshikiBoard) -> Iterator[Issue]:
    size = board.size
    given = {divmod(at, size): value for at, value in enumerate(board.cells) if value}
    for (one, value), (other, same) in combinations(given.items(), 2):
        for kind, axis in (("row", 0), ("column", 1)):
            if value == same and one[axis] == other[axis]:
                rule = f"{kind} {one[axis]}"
                yield Issue("grid", f"{value} stands twice in {rule}", (one, other), rule)
    for pair in board.pairs:
        low, high = given.get(pair.less, 1), given.get(pair.greater, size)
        if Pair(pair.greater, pair.less) in board.pairs or low >= high:
            rule = rule_of(pair)
            yield Issue("less", f"{rule} cannot be", pair, rule)


def rule_of(pair: Pair) -> str:
    """Return the name of the rule of a sign."""
    (row, column), (other_row, other_column) = pair
    return f"({row}, {column}) < ({other_row}, {other_column})"
