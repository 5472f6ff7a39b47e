"""Queens boards as posted: the instance, its list and text forms, and attacks.

Knows rows and columns; does not know tokens, units or solving.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gram_core.errors import Issue
from gram_core.puzzles.body import (
    check_blanks,
    check_lengths,
    drawn_rows,
    is_integer,
    raise_issues,
    read_integer,
    read_list,
    read_pairs,
    read_text,
    refuse,
    refuse_signs,
    with_dots,
)

MAX_SIZE = 64

_EMPTY = ".0*_"
_QUEENS = "Qq"
_MAX_TEXT = 4 * MAX_SIZE * (MAX_SIZE + 1)

Square = tuple[int, int]


class Form(StrEnum):
    """The form in which a board was posted and its answer is returned."""

    QUEENS = "queens"
    """A list of [row, column]."""
    GRID = "grid"
    """Strings, one per row."""
    TEXT = "text"
    """One string of lines."""
    SIGNS = "signs"
    """Lists of strings of one character, one per row."""
    NUMBERS = "numbers"
    """Lists of 0 and 1, one per row; 1 is a queen."""
    COLUMNS = "columns"
    """The column of each row's queen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueensBoard:
    """A board with some queens placed."""

    size: int
    """Rows, columns and queens."""
    queens: tuple[Square, ...] = ()
    """(row, column) of the placed queens, in order."""
    form: Form = Form.QUEENS

    @property
    def field(self) -> str:
        """Field of the body that holds the queens."""
        return "queens" if self.form in (Form.QUEENS, Form.COLUMNS) else "grid"


def read_board(fields: Mapping[str, object]) -> QueensBoard:
    """Read ``n`` with ``queens``, or ``grid``; raise ``PuzzleInvalid`` with the errors."""
    size = read_integer(fields["n"], "n", low=1, high=MAX_SIZE) if "n" in fields else None
    if "grid" in fields:
        if "queens" in fields:
            refuse("queens", "cannot stand beside a grid: post one of the two")
        board = _read_grid(fields["grid"])
        if size not in (None, board.size):
            refuse("n", f"is {size}, but the grid has {board.size} rows")
    elif (columns := _read_columns(fields.get("queens"), size)) is not None:
        board = columns
    elif size is None:
        refuse("n", "is missing: the side of the board, or else a grid")
    else:
        entries = read_list(fields.get("queens", ()), "queens", max_items=size * size)
        queens = read_pairs(entries, "queens", below=size)
        raise_issues(_repeated(queens))
        board = QueensBoard(size=size, queens=tuple(sorted(queens)))
    raise_issues(_attacks(board))
    return board


def format_board(size: int, queens: Iterable[Square], form: Form) -> object:
    """Return the queens in the given form."""
    standing = sorted(queens)
    if form is Form.QUEENS:
        return [[row, column] for row, column in standing]
    if form is Form.COLUMNS:
        column_of = dict(standing)
        return [column_of.get(row) for row in range(size)]
    rows = [["."] * size for _ in range(size)]
    for row, column in standing:
        rows[row][column] = "Q"
    if form is Form.SIGNS:
        return rows
    if form is Form.NUMBERS:
        return [[int(sign == "Q") for sign in row] for row in rows]
    lines = ["".join(row) for row in rows]
    return lines if form is Form.GRID else "\n".join(lines)


def lines_of(size: int, row: int, column: int) -> tuple[tuple[str, int], ...]:
    """Return kind and number of the four lines through a square.

    Diagonals run down to the right and antidiagonals down to the left, each numbered from 0.
    """
    return (
        ("row", row),
        ("column", column),
        ("diagonal", column - row + size - 1),
        ("antidiagonal", row + column),
    )


def _read_columns(columns: object, size: int | None) -> QueensBoard | None:
    """Read one column for each row; None where the queens are given in another form.

    Null and -1 stand for a row whose queen is not placed. Whoever means the rows of the columns'
    queens gets them: a board's mirror image is a board too.
    """
    if not isinstance(columns, list | tuple) or not columns or size not in (None, len(columns)):
        return None
    if not all(entry is None or is_integer(entry) for entry in columns):
        return None
    size = read_integer(len(columns), "n", low=1, high=MAX_SIZE)
    if size in columns and 0 not in columns:
        refuse(f"queens[{columns.index(size)}]", f"is {size}: columns are counted from 0")
    queens = tuple(
        (row, read_integer(column, f"queens[{row}]", low=0, high=size - 1))
        for row, column in enumerate(columns)
        if column not in (None, -1)
    )
    return QueensBoard(size=size, queens=queens, form=Form.COLUMNS)


def _repeated(queens: Sequence[Square]) -> Iterator[Issue]:
    seen: dict[Square, int] = {}
    for index, queen in enumerate(queens):
        first = seen.setdefault(queen, index)
        if first != index:
            yield Issue(f"queens[{index}]", f"stands on the square of queens[{first}]", (queen,))


def _read_grid(value: object) -> QueensBoard:
    if isinstance(value, str):
        text = read_text(value, "grid", max_length=_MAX_TEXT)
        if len(text.strip()) == 1 and len(text.strip("\r\n")) > 1:
            refuse("grid", "has one sign amid spaces: write . where empty")
        return _read_lines(with_dots("\n".join(drawn_rows(text))).splitlines(), Form.TEXT)
    entries = read_list(value, "grid", max_items=MAX_SIZE)
    rows = [row for row in entries if isinstance(row, list | tuple)]
    if not rows or len(rows) < len(entries):
        lines = [
            read_text(row, f"grid[{index}]", max_length=_MAX_TEXT)
            for index, row in enumerate(entries)
        ]
        return _read_lines(lines, Form.GRID)
    cells = [cell for row in rows for cell in row]
    is_signs = all(isinstance(cell, str) and len(cell) == 1 for cell in cells)
    if not is_signs and not all(is_integer(cell) and cell in (0, 1) for cell in cells):
        refuse("grid", "has rows of neither one-character strings nor 0 and 1, where 1 is a queen")
    lines = ["".join(map(str, row)) for row in rows]
    return _read_lines(lines, Form.SIGNS if is_signs else Form.NUMBERS)


def _read_lines(lines: Sequence[str], form: Form) -> QueensBoard:
    size = len(lines)
    if not 1 <= size <= MAX_SIZE:
        refuse("grid", f"has {size} rows; a board has 1 to {MAX_SIZE}")
    rows = ["".join(line.split()) for line in lines]
    check_lengths(rows, size, f"squares; a board of {size} rows has {size}")
    signs = "".join(rows)
    if set(signs) <= set("01"):
        signs = signs.replace("1", "Q")
    wrong = (at for at, sign in enumerate(signs) if sign not in _QUEENS + _EMPTY)
    told = f"a square is Q, or one of {' '.join(_EMPTY)} when empty"
    refuse_signs(signs, wrong, size, told, is_by_row=True)
    check_blanks(signs, _EMPTY)
    queens = tuple(divmod(at, size) for at, sign in enumerate(signs) if sign in _QUEENS)
    return QueensBoard(size=size, queens=queens, form=form)


def _attacks(board: QueensBoard) -> Iterator[Issue]:
    on_line: dict[tuple[str, int], list[Square]] = defaultdict(list)
    # Bounds the work on boards with far too many queens.
    for row, column in board.queens[: 4 * board.size]:
        for line in lines_of(board.size, row, column):
            on_line[line].append((row, column))
    for (kind, number), cells in on_line.items():
        if len(cells) > 1:
            squares = " and ".join(f"({row}, {column})" for row, column in cells)
            detail = f"the queens on {squares} attack each other on {kind} {number}"
            yield Issue(board.field, detail, tuple(cells), f"{kind} {number}")
