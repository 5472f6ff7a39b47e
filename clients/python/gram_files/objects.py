"""Puzzles in JSON: bodies, boards as lists, records of a data set; a list, or one a line."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeGuard

from gram_files.cells import SIDES, drawn_board, whole_board
from gram_files.edges import graph_of
from gram_files.entries import NO_FIELDS, SIZES, Entry, Item, Unread
from gram_files.graphs import linked
from gram_files.lists import board_of, is_number
from gram_files.mazes import in_rows
from gram_files.regions import jigsaw, map_in
from gram_files.values import DECODER, loads

COLUMNS = (
    *("puzzle", "puzzles", "quiz", "quizzes", "question", "questions", "problem", "problems"),
    *("unsolved", "sudoku", "sudokus", "board", "boards", "grid", "input", "inputs"),
    *("givens", "initial", "start", "maze", "mazes"),
)
"""Names of the column, or the field, that holds puzzles, the surest first."""
LISTS = ("instances", "data", "rows", "items", "records", "samples", *COLUMNS)
"""Fields that hold a list of puzzles."""
GRAPH = {"puzzle", "vertices", "nodes", "edges", "adjacency", "dimacs"}
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
ROUNDED = re.compile(r"\d[.,]\d+E\+\d+", re.IGNORECASE)
MIN_DIGITS = 10**14
"""Least number that may be the digits of a sudoku."""
MAX_SHOWN = 60
MIN_QUEENS = 4
"""Fewest numbers of a list that are the columns of queens."""
Fields = Mapping[str, object]


def read_json(name: str, text: str) -> Iterator[Item]:
    """Yield the puzzles of a JSON text, or of several that follow each other."""
    try:
        value = loads(text)
    except (ValueError, RecursionError) as error:
        yield from _read_each(name, text) or [Unread(name, f"is not JSON: {error}")]
        return
    if value in ([], {}):
        yield Unread(name, "holds no puzzle")
        return
    yield from _entries(name, value, ":")


def entries_of_json(source: str, text: str, fields: Fields = NO_FIELDS) -> list[Item]:
    """Return the puzzles in a line of a file, or in a cell of a table."""
    try:
        return _entries(source, loads(text), ".", fields)
    except (ValueError, RecursionError) as error:
        return [Unread(source, f"is not JSON: {error}")]


def entry_of(source: str, puzzle: str | dict[str, object], fields: Fields = NO_FIELDS) -> Item:
    """Return the puzzle of a record, unless other fields of it are rules that are not read."""
    rules = (
        name
        for name, value in fields.items()
        if VARIANT.search(str(value) if name.casefold() in KINDS else name)
        and str(value).strip().casefold() not in UNSET
    )
    if rule := next(rules, None):
        return Unread(source, f"has {rule}: only the rules of plain puzzles are read")
    if isinstance(puzzle, str) and ROUNDED.fullmatch(puzzle):
        return Unread(source, "is a number that a spreadsheet has rounded: save the board as text")
    if (regions := map_in(fields)) is not None:
        is_sudoku = isinstance(puzzle, dict) and puzzle.keys() <= {"puzzle", "grid"}
        grid = puzzle["grid"] if isinstance(puzzle, dict) and is_sudoku else puzzle
        return Entry(source, jigsaw(grid, regions), fields)
    rows = in_rows(puzzle) if isinstance(puzzle, str) else None
    return Entry(source, rows or puzzle, fields)


def _read_each(name: str, text: str) -> list[Item]:
    """Return the values that follow each other in a text; nothing where one is broken."""
    found: list[Item] = []
    rows: list[object] = []
    at, line = 0, 1
    while at < len(text):
        start = at
        while start < len(text) and text[start].isspace():
            start += 1
        if start == len(text):
            break
        line += text.count("\n", at, start)
        try:
            value, at = DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            return []
        found += _entries(f"{name}:{line}", value, ".")
        rows.append(value)
        line += text.count("\n", start, at)
    return _entries(name, rows, ":") if _are_rows(rows) else found


def _are_rows(lists: Sequence[object]) -> bool:
    """Return whether lists are together the rows of a board, rather than the columns of queens."""
    side = len(lists)
    is_board = side in SIDES and all(isinstance(row, list) and len(row) == side for row in lists)
    return is_board and any(set(map(str, row)) != set(map(str, range(side))) for row in lists)  # type: ignore[call-overload]  # lists, as just seen


def _entries(source: str, value: object, mark: str, fields: Fields = NO_FIELDS) -> list[Item]:
    """Return the puzzles that a value holds, numbered behind a mark unless it is one itself."""
    parts = list(_parts(value))
    has_list = _is_many(value) or bool(isinstance(value, dict) and _lists(value))
    if len(parts) == 1 and (not has_list or parts[0].value is value):
        return [_entry(source, parts[0].value, {**fields, **parts[0].around})]
    return [
        _entry(f"{source}{mark}{number}", part.value, {**fields, **part.around})
        for number, part in enumerate(parts, start=1)
    ]


class _Part(NamedTuple):
    """A value that may be a puzzle, and the fields of what holds it."""

    value: object
    around: Fields = NO_FIELDS


def _parts(value: object) -> Iterator[_Part]:
    """Yield the puzzles in a value; the value itself where it holds none."""
    if questions := _questions(value):
        yield from map(_Part, questions)
        return
    if isinstance(value, dict) and value and _is_numbered(value):
        value = [*value.values()]
    if _is_many(value):
        for each in value:
            # A list in a list is one puzzle, perhaps with its solution.
            yield from _parts(each) if isinstance(each, dict) else [_Part(each)]
        return
    inner = _inner(value) if isinstance(value, dict) and not _is_puzzle(value) else []
    yield from inner or [_Part(value)]


def _questions(value: object) -> list[object]:
    """Return the bodies of a task of ARC-AGI, one for each test grid; none of anything else."""
    if not isinstance(value, dict) or "puzzle" in value:
        return []
    pairs, tests = value.get("train"), value.get("test")
    if not (isinstance(pairs, list) and isinstance(tests, list) and pairs):
        return []
    if not all(isinstance(pair, dict) and _has_grids(pair) for pair in pairs):
        return []
    return [{"puzzle": "arc", "train": pairs, "test": [test]} for test in tests]


def _has_grids(pair: Mapping[str, object]) -> bool:
    return all(isinstance(pair.get(name), list) for name in ("input", "output"))


def _lists(record: Mapping[str, object]) -> list[str]:
    """Return the fields that hold lists of puzzles."""
    lists = ((name, record.get(name)) for name in LISTS)
    return [name for name, value in lists if _is_many(value) and not _has_objects(value)]


def _inner(record: Mapping[str, object]) -> list[_Part]:
    """Return the puzzles in the fields of a record: of its list, or of whatever has some."""
    lists = _lists(record)[:1]
    found: list[_Part] = []
    rest = dict(record)
    for name in lists or record:
        parts = list(_parts(_records(record[name], record.get("columns"))))
        parts = [part for part in parts if lists or _is_puzzle(part.value)]
        if parts and isinstance(record[name], dict | list):
            del rest[name]
            found += parts
    return [_Part(value, {**rest, **around}) for value, around in found]


def _is_numbered(value: Mapping[str, object]) -> bool:
    """Return whether an object is a list of texts, as pandas writes a column."""
    return all(name.isdecimal() and isinstance(each, str) for name, each in value.items())


def _is_many(value: object) -> TypeGuard[list[object]]:
    """Return whether a value is a list of puzzles, or of what may hold some."""
    if not isinstance(value, list) or board_of(value) is not None:
        return False
    return any(isinstance(each, str | dict | list) for each in value)


def _records(rows: object, columns: object) -> object:
    """Return rows as records, where their columns are named beside them."""
    if not isinstance(rows, list) or not isinstance(columns, list):
        return rows
    is_table = all(isinstance(row, list) for row in rows)
    return [dict(zip(columns, row, strict=False)) for row in rows] if is_table else rows


def _is_puzzle(value: object) -> bool:
    """Return whether a value is a puzzle itself, rather than something that holds some."""
    if isinstance(value, dict):
        return _is_body(value) or _own(value) is not None
    return _open_board(_text_of(value)) is not None


def _is_body(value: Mapping[str, object]) -> bool:
    """Return whether an object is one that the server reads."""
    named = value.get("puzzle")
    is_name = isinstance(named, str) and len(named) not in SIZES and NAME.fullmatch(named)
    # A grid beside other fields is one of a record.
    return bool(is_name or (BODY - {"grid"}) & value.keys() or linked(value))


def _entry(source: str, value: object, fields: Fields) -> Item:
    if isinstance(value, dict) and not _is_body(value) and (own := _own(value)) is not None:
        return _entry(source, own, {**fields, **value})
    puzzle = linked(value) or _with_vertices(value)
    if isinstance(puzzle, list):
        puzzle = _board_or_queens(puzzle)
    if isinstance(puzzle, dict) and _has_objects(puzzle.get("grid")):
        return Unread(source, "has cells that are objects: save its board as text")
    if isinstance(puzzle, str | dict):
        return entry_of(source, puzzle, fields)
    return Unread(source, f"is no puzzle, but {json.dumps(value)[:MAX_SHOWN]}")


def _with_vertices(value: object) -> object:
    """Return a graph with the ends of its edges for vertices, where it names none."""
    if not isinstance(value, dict) or GRAPH & value.keys() != {"edges"}:
        return value
    try:
        graph = graph_of([[str(end) for end in edge] for edge in value["edges"]])
    except TypeError:
        return value
    return value if graph is None else {**value, **graph}


def _has_objects(grid: object) -> bool:
    rows = grid if isinstance(grid, list) else []
    return any(isinstance(cell, dict) for row in rows if isinstance(row, list) for cell in row)


def _own(record: Mapping[str, object]) -> str | list[object] | dict[str, object] | None:
    """Return the field of a record that is named as puzzles are, or that reads as one."""
    by_name = {name.casefold(): value for name, value in record.items()}
    for name in COLUMNS:
        own = by_name.get(name)
        if isinstance(own, int) and own >= MIN_DIGITS:
            return str(own)
        if isinstance(own, list) and board_of(own) is not None:
            return {"puzzle": name, "grid": own} if name == "maze" else own
        if isinstance(own, str):
            return own
    if _lists(record):
        return None
    return _open_board("\n".join(map(_text_of, record.values())))


def _open_board(text: str) -> str | None:
    """Return the board in a text that does not say so; without empty cells it is a solution."""
    board = whole_board(text)
    is_solved = board is not None and board.isdigit() and "0" not in board
    return drawn_board(text) if board is None or is_solved else board


def _text_of(value: object) -> str:
    """Return a text, or the cells of rows of digits."""
    if not isinstance(value, list):
        return value if isinstance(value, str) else ""
    board = board_of(value)
    rows = board.get("grid") if isinstance(board, dict) else None
    return "".join(str(cell) for row in rows for cell in row) if isinstance(rows, list) else ""


def _board_or_queens(value: list[object]) -> dict[str, object] | str | None:
    """Return the puzzle that a list is; of a board and its solution the board."""
    board = board_of(value)
    if board is None and all(isinstance(each, str) for each in value):
        return whole_board(" ".join(map(str, value)))
    is_columns = all(each is None or is_number(each) for each in value)
    if board is None and len(value) >= MIN_QUEENS and is_columns:
        return {"puzzle": "nqueens", "queens": value}
    return board
