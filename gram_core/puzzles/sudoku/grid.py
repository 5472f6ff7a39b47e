"""Sudoku boards as posted: the instance, its text and list forms, and clashes.

Knows grids of digits; does not know tokens, units or solving.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gram_core.errors import Issue
from gram_core.puzzles.body import (
    check_blanks,
    check_lengths,
    describe,
    drawn_rows,
    is_integer,
    printable,
    raise_issues,
    read_list,
    read_text,
    refuse,
    refuse_signs,
    with_dots,
)

BOX_SHAPES = {4: (2, 2), 6: (2, 3), 9: (3, 3)}
"""Rows and columns of a box, by side of the board."""

_SIZES = {size * size: size for size in BOX_SHAPES}
_BLANKS = ".0*_"
_DIGITS = {
    "": 0,
    " ": 0,
    **dict.fromkeys(_BLANKS, 0),
    **{str(digit): digit for digit in range(1, 10)},
}
_MAX_TEXT = 2000
_OTHER_RULES = re.compile(
    "arrow|cage|diagonal|irregular|jigsaw|killer|region|thermo", re.IGNORECASE
)
"""Sections of files whose sudokus are no plain ones."""
_BAD = -1


class Form(StrEnum):
    """The form in which a grid was posted and its answer is returned."""

    STRING = "string"
    """All cells in one string."""
    LISTS = "lists"
    """Lists of integers, one per row."""
    ROWS = "rows"
    """Strings, one per row."""
    SIGNS = "signs"
    """Lists of strings of one character, one per row."""
    FLAT = "flat"
    """All cells in one list of integers."""
    FLAT_SIGNS = "flat_signs"
    """All cells in one list of strings of one character."""


_BY_ROW = (Form.LISTS, Form.ROWS, Form.SIGNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SudokuGrid:
    """A sudoku to solve."""

    size: int
    """Side of the board: 9, 6 or 4."""
    cells: tuple[int, ...]
    """Digits row by row, 0 where blank."""
    form: Form = Form.STRING


def box_of(size: int, row: int, column: int) -> int:
    """Return the number of the box that holds a cell, counted along the rows."""
    box_rows, box_columns = BOX_SHAPES[size]
    return row // box_rows * (size // box_columns) + column // box_columns


def read_grid(value: object) -> SudokuGrid:
    """Read any of the posted forms; raise ``PuzzleInvalid`` with the errors."""
    if isinstance(value, str):
        characters = _cell_characters(read_text(value, "grid", max_length=_MAX_TEXT))
        grid = _make_grid(characters, _size_of(len(characters), "cells", _SIZES), Form.STRING)
    elif isinstance(value, list | tuple):
        grid = _read_rows(value)
    else:
        refuse("grid", f"must be a string or a list of rows, not {describe(value)}")
    raise_issues(_clashes(grid))
    return grid


def format_grid(size: int, cells: Sequence[int], form: Form) -> object:
    """Return digits, 0 for a blank, in the given form."""
    if form is Form.FLAT:
        return list(cells)
    rows = [list(cells[start : start + size]) for start in range(0, size * size, size)]
    if form is Form.LISTS:
        return rows
    lines = ["".join(str(digit) if digit else "." for digit in row) for row in rows]
    if form is Form.SIGNS:
        return [list(line) for line in lines]
    if form is Form.FLAT_SIGNS:
        return list("".join(lines))
    return lines if form is Form.ROWS else "".join(lines)


def _cell_characters(text: str) -> str:
    """Return the cells of a drawn board, or of the first section and the text before it.

    Comments begin with ``#``, sections of ``.sdk`` files are named in brackets.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    headings = [at for at, line in enumerate(lines) if line.lstrip().startswith("[")]
    rules = [line.strip() for at in headings if _OTHER_RULES.search(line := lines[at])]
    if rules:
        refuse(
            "grid", f"has a section {printable(rules[0])}: only the rules of plain sudokus are read"
        )
    if headings:
        end = headings[1] if len(headings) > 1 else len(lines)
        lines = lines[: headings[0]] + lines[headings[0] + 1 : end]
    return with_dots("".join(drawn_rows("\n".join(lines))))


def _read_rows(value: Sequence[object]) -> SudokuGrid:
    if len(value) in _SIZES and not any(isinstance(cell, list | tuple) for cell in value):
        return _make_grid(value, _SIZES[len(value)], _form_of(value, Form.FLAT, Form.FLAT_SIGNS))
    size = _size_of(len(value), "rows", {size: size for size in BOX_SHAPES})
    if all(isinstance(row, str) for row in value):
        lines = [
            _cell_characters(read_text(row, f"grid[{number}]", max_length=_MAX_TEXT))
            for number, row in enumerate(value)
        ]
        check_lengths(lines, size, f"cells; every row of this board has {size}")
        return _make_grid("".join(lines), size, Form.ROWS)
    rows = [read_list(row, f"grid[{number}]", max_items=100) for number, row in enumerate(value)]
    check_lengths(rows, size, f"cells; every row of this board has {size}")
    cells = [cell for row in rows for cell in row]
    return _make_grid(cells, size, _form_of(cells, Form.LISTS, Form.SIGNS))


def _form_of(cells: Sequence[object], numbers: Form, signs: Form) -> Form:
    """Return the form of cells, of which null is a blank in both."""
    is_signs = all(cell is None or isinstance(cell, str) for cell in cells)
    return signs if is_signs and any(cells) else numbers


def _size_of(count: int, noun: str, sizes: dict[int, int]) -> int:
    if count not in sizes:
        wanted = " or ".join(f"{known} ({size}x{size})" for known, size in sizes.items())
        refuse("grid", f"has {count} {noun}; a sudoku has {wanted}")
    return sizes[count]


def _make_grid(cells: Sequence[object], size: int, form: Form) -> SudokuGrid:
    is_numbers = form in (Form.LISTS, Form.FLAT)
    if is_numbers:
        numbers = [0 if cell is None else cell for cell in cells]
        digits = [cell if is_integer(cell) and 0 <= cell <= size else _BAD for cell in numbers]
    else:
        marks = [_DIGITS.get(cell, _BAD) if isinstance(cell, str) else 0 for cell in cells]
        digits = [mark if mark <= size else _BAD for mark in marks]
    blank = "0 for a blank" if is_numbers else f"one of {' '.join(_BLANKS)} for a blank"
    wrong = (position for position, digit in enumerate(digits) if digit == _BAD)
    told = f"a cell is 1 to {size}, or {blank}"
    refuse_signs(cells, wrong, size, told, is_by_row=form in _BY_ROW)
    check_blanks(cells, _BLANKS)
    return SudokuGrid(size=size, cells=tuple(digits), form=form)


def _clashes(grid: SudokuGrid) -> list[Issue]:
    places: list[tuple[str, Callable[[int, int], int]]] = [
        ("row", lambda row, _: row),
        ("column", lambda _, column: column),
        ("box", lambda row, column: box_of(grid.size, row, column)),
    ]
    issues = []
    for kind, number_of in places:
        holders: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        for position, digit in enumerate(grid.cells):
            if digit:
                row, column = divmod(position, grid.size)
                holders[number_of(row, column), digit].append((row, column))
        for (number, digit), cells in sorted(holders.items()):
            if len(cells) > 1:
                detail = f"{digit} stands {len(cells)} times in {kind} {number}"
                issues.append(Issue("grid", detail, tuple(cells), f"{kind} {number}"))
    return issues
