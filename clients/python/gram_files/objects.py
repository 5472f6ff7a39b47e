"""Puzzles in JSON: bodies, boards as lists, records of a data set; a list, or one a line."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from gram_files.cells import in_rows, is_board, is_maze, whole_board
from gram_files.entries import NO_FIELDS, SIZES, Entry, Item, Unread
from gram_files.graphs import linked

COLUMNS = (
    *("puzzle", "puzzles", "quiz", "quizzes", "question", "questions", "problem", "problems"),
    *("unsolved", "sudoku", "sudokus", "board", "boards", "grid", "input", "inputs"),
    *("givens", "initial", "start", "maze", "mazes"),
)
"""Names of the column, or the field, that holds puzzles, the surest first."""
LISTS = ("instances", "data", "rows", "items", "records", "samples", *COLUMNS)
"""Fields that hold a list of puzzles."""
BODY = {"grid", "n", "queens", "vertices", "edges", "dimacs"}
"""Fields of bodies that the server reads."""
NAME = re.compile(r"[A-Za-z][\w -]*")
VARIANT = re.compile(
    "anti.?k|arrow|cage|diagonal|irregular|jigsaw|killer|kropki|palindrome|sandwich|thermo|whisper",
    re.IGNORECASE,
)
"""Fields of sudokus that have further rules."""
KINDS = {"kind", "type", "variant"}
"""Fields that may name such rules."""
UNSET = {"", "0", "0.0", "false", "no", "none", "null", "nan", "[]", "{}"}
PYTHON = (("'", '"'), ("None", "null"), ("True", "true"), ("False", "false"))
"""What Python writes, and JSON for it."""
MAX_SHOWN = 60


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("an object names a field twice")
    return fields


# A number that JSON does not have is none for the server either.
DECODER = json.JSONDecoder(parse_constant=str, object_pairs_hook=_unique)


def read_json(name: str, text: str) -> Iterator[Item]:
    """Yield the puzzles of a JSON text, or of several that follow each other."""
    try:
        value = _loads(text)
    except (ValueError, RecursionError) as error:
        yield from _read_each(name, text) or [Unread(name, f"is not JSON: {error}")]
        return
    values = _values_in(value)
    if values is None:
        yield _entry(name, value)
        return
    if not values:
        yield Unread(name, "holds no puzzle")
    for number, part in enumerate(values, start=1):
        yield _entry(f"{name}:{number}", part)


def entry_of_json(source: str, text: str, fields: Mapping[str, object] = NO_FIELDS) -> Item:
    """Return the puzzle in a line of a file, or in a cell of a table."""
    try:
        return _entry(source, _loads(text), fields)
    except (ValueError, RecursionError) as error:
        return Unread(source, f"is not JSON: {error}")


def entry_of(
    source: str, puzzle: str | dict[str, object], fields: Mapping[str, object] = NO_FIELDS
) -> Item:
    """Return the puzzle of a record, unless other fields of it are rules that are not read."""
    rules = (
        name
        for name, value in fields.items()
        if VARIANT.search(str(value) if name.casefold() in KINDS else name)
        and str(value).strip().casefold() not in UNSET
    )
    if rule := next(rules, None):
        return Unread(source, f"has {rule}: only the rules of plain puzzles are read")
    rows = in_rows(puzzle) if isinstance(puzzle, str) else None
    return Entry(source, rows or puzzle, fields)


def _loads(text: str) -> object:
    try:
        return DECODER.decode(text.strip())
    except ValueError:
        if '"' in text:
            raise
    for sign, other in PYTHON:
        text = text.replace(sign, other)
    return DECODER.decode(text.strip())


def _read_each(name: str, text: str) -> list[Item]:
    """Return the values that follow each other in a text; nothing where one is broken."""
    found: list[Item] = []
    at, line = 0, 1
    while at < len(text):
        start = at
        while start < len(text) and text[start].isspace():
            start += 1
        line += text.count("\n", at, start)
        try:
            value, at = DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            return found if start == len(text) else []
        found.append(_entry(f"{name}:{line}", value))
        line += text.count("\n", start, at)
    return found


def _values_in(value: object) -> Sequence[object] | None:
    """Return the puzzles that a value holds; None where it is one itself."""
    if isinstance(value, dict) and not BODY & value.keys():
        lists = [value[name] for name in LISTS if isinstance(value.get(name), list)]
        value = next((each for each in lists if _board(each) is None), None)
    is_list = isinstance(value, list) and _board(value) is None
    return value if isinstance(value, list) and is_list else None


def _entry(source: str, value: object, fields: Mapping[str, object] = NO_FIELDS) -> Item:
    value = linked(value) or value
    named = value.get("puzzle") if isinstance(value, dict) else None
    is_name = isinstance(named, str) and len(named) not in SIZES and NAME.fullmatch(named)
    if isinstance(value, dict) and not is_name and not BODY & value.keys():
        puzzle = _puzzle_in(value)
        if isinstance(puzzle, str | list):
            return _entry(source, puzzle, value)
    board = _board(value) if isinstance(value, list) else value
    if isinstance(board, str | dict):
        return entry_of(source, board, fields)
    return Unread(source, f"is no puzzle, but {json.dumps(value)[:MAX_SHOWN]}")


def _puzzle_in(record: Mapping[str, object]) -> object:
    """Return the field of a record that is named as puzzles are, or that reads as one."""
    by_name = {name.casefold(): value for name, value in record.items()}
    named = [by_name[name] for name in COLUMNS if name in by_name]
    texts = [value for value in record.values() if isinstance(value, str)]
    boards = [text for text in texts if len(text) in SIZES and is_board(text)]
    return named[0] if named else whole_board(" ".join(boards))


def _board(rows: Sequence[object]) -> dict[str, object] | str | None:
    """Return the board that a list is: its cells, its rows of cells, or its rows as text."""
    if all(_is_number(cell) for cell in rows):
        side = SIZES.get(len(rows))
        if side is None:
            return None
        return numbers([list(rows[start : start + side]) for start in range(0, len(rows), side)])
    if all(isinstance(row, list) and row for row in rows):
        return _board_of_lists([row for row in rows if isinstance(row, list)])
    lines = [row for row in rows if isinstance(row, str)]
    width = len(lines[0]) if lines else 0
    if len(lines) < max(2, len(rows)) or any(len(line) != width for line in lines):
        return None
    signs = set("".join(lines))
    # As many sudokus of 16 cells are no board of sixteen rows.
    is_square = len(lines) == width and (width not in SIZES or "Q" in signs)
    drawing = "\n".join(lines)
    return drawing if is_square or is_maze(drawing) else None


def _board_of_lists(rows: Sequence[list[object]]) -> dict[str, object] | str | None:
    is_flat = len(rows[0]) in SIZES and len(rows) != len(rows[0])
    cells = [cell for row in rows for cell in row]
    if all(cell is None or _is_number(cell) for cell in cells):
        # Rows of 81 numbers are boards each.
        return None if is_flat else numbers(rows)
    if all(isinstance(cell, str) and len(cell) <= 1 for cell in cells):
        return "\n".join("".join(str(cell) or "." for cell in row) for row in rows)
    return None


def numbers(rows: Sequence[Sequence[object]]) -> dict[str, object]:
    """Return rows of numbers as a sudoku; of 0 and 1, which may be queens, without a name."""
    grid = [[0 if cell is None else cell for cell in row] for row in rows]
    is_bits = {cell for row in grid for cell in row} == {0, 1}
    return {"grid": grid} if is_bits else {"puzzle": "sudoku", "grid": grid}


def _is_number(cell: object) -> bool:
    return isinstance(cell, int) and not isinstance(cell, bool)
