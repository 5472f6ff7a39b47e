"""NumPy arrays of boards, such as those that the builders of HRM and TRM write.

Theirs are ``all__inputs.npy`` with sudokus, a digit as digit + 1, and mazes: 1 wall, 2 free,
3 start, 4 goal. Digits with 0 for a blank are read too.
"""

import io
import math
from collections.abc import Iterator, Mapping
from typing import Any

from gram_files.cells import whole_board
from gram_files.edges import is_adjacency
from gram_files.entries import SIZES, Entry, Item, Unread
from gram_files.lists import numbers
from gram_files.mazes import in_rows, is_maze
from gram_files.objects import COLUMNS

INPUTS = "all__inputs.npy"
SIGNATURES = (b"\x93NUMPY", b"PK\x03\x04")
MAZE_SIGNS = "?#.SG"
"""By code."""
MAX_SIDE = 64


def read_arrays(name: str, content: bytes) -> Iterator[Item]:
    """Yield the board in every row of an array, or of the array of puzzles in an archive."""
    try:
        # Brought by whoever has arrays.
        import numpy
    except ImportError:
        yield Unread(name, "is an array: reading it needs numpy")
        return
    try:
        loaded = numpy.load(io.BytesIO(content))
        boards = _array_of(loaded)
        rows = boards.reshape(len(boards), -1)
        if rows.dtype.kind in "US":
            yield from _read_texts(name, rows.astype(str).tolist())
            return
        is_number = rows.dtype.kind in "biuf"
        if rows.dtype.kind == "f" and not numpy.isnan(rows).all():
            # What pandas has for an empty cell.
            rows = numpy.nan_to_num(rows)
        # A cell that is no number is no whole one.
        with numpy.errstate(invalid="ignore"):
            is_whole = is_number and bool((rows == rows.astype(numpy.int64)).all())
    # A broken file raises whatever the reader of its format came upon.
    except Exception as error:
        reason = str(error).partition("\n")[0]
        yield Unread(name, f"holds no array of boards: {reason or type(error).__name__}")
        return
    if not is_whole or not rows.size:
        yield Unread(name, "holds no array of boards: cells are whole numbers")
        return
    matrix = rows.astype(numpy.int64).reshape(-1, boards.shape[-1])
    if is_adjacency(matrix.tolist()):
        yield Entry(name, numbers(matrix.tolist()))
        return
    rows = rows.astype(numpy.int64)
    if boards.ndim == 2 and len(boards) > 1 and _are_mazes(matrix.reshape(1, -1)):
        rows, boards = matrix.reshape(1, -1), matrix[None]
    yield from _read_rows(name, rows, boards.shape[-1] if boards.ndim == 3 else None)


def _array_of(loaded: Any) -> Any:
    """Return the array of puzzles, two dimensions or more."""
    if isinstance(loaded, Mapping):
        if not any(file.endswith(".npy") for file in loaded.zip.namelist()):  # type: ignore[attr-defined]
            raise ValueError("it is a zip archive of other files; unpack it, or save it as CSV")
        names = [name for name in COLUMNS if name in loaded] or list(loaded)[: len(loaded) == 1]
        if not names:
            raise ValueError(f"none of its arrays is named inputs: {', '.join(loaded)}")
        loaded = loaded[names[0]]
    if loaded.ndim == 1 and (len(loaded) in SIZES or loaded.dtype.kind in "US"):
        loaded = loaded[None]
    if loaded.ndim == 2 and loaded.shape[0] == loaded.shape[1] in SIZES.values():
        loaded = loaded[None]
    if loaded.ndim < 2:
        raise ValueError("a board is a row")
    return loaded


def _read_texts(name: str, rows: list[list[str]]) -> Iterator[Item]:
    """Yield the board in every row of signs, or every text that is longer."""
    texts = [cell for row in rows for cell in row]
    if all(len(text) <= 1 for text in texts):
        texts = ["".join(cell.strip() or "." for cell in row) for row in rows]
        if is_maze("\n".join(texts)) and not any(map(in_rows, texts)):
            texts = ["\n".join(texts)]
    for number, text in enumerate(texts, start=1):
        source = f"{name}:{number}"
        is_puzzle = whole_board(text) or in_rows(text) or "\n" in text
        yield Entry(source, text) if is_puzzle else Unread(source, f"is no puzzle: {text[:81]}")


def _are_mazes(rows: Any) -> bool:
    """Return whether rows hold codes of mazes, each with a start and a goal."""
    has_ends = ((rows == 3).sum(1) == 1).all() and ((rows == 4).sum(1) == 1).all()
    return bool(has_ends and rows.min() >= 1 and rows.max() <= 4)


def _read_rows(name: str, rows: Any, width: int | None) -> Iterator[Item]:
    """Yield the board in every row, of rows of that width or else as many as cells in each."""
    length = rows.shape[1]
    side = width or math.isqrt(length)
    has_codes = rows.min() >= 1 and rows.max() <= 4 and length not in SIZES
    is_maze = has_codes or _are_mazes(rows)
    is_shaped = side**2 == length or (is_maze and width is not None)
    if (
        not is_shaped
        or max(side, length // side) > MAX_SIDE
        or (not is_maze and length not in SIZES)
    ):
        yield Unread(name, f"holds no array of boards: rows have {length} cells")
        return
    if not is_maze:
        side = SIZES[length]
    # Without a zero, more ones than digits are blanks, and digits are one more.
    shift = int(rows.min() >= 1 and (rows.max() > side or (rows == 1).sum(1).max() > side))
    starts = range(0, length, side)
    for number, row in enumerate(rows.tolist(), start=1):
        source = f"{name}:{number}"
        if is_maze:
            signs = "".join(MAZE_SIGNS[code] for code in row)
            lines = [signs[start : start + side] for start in starts]
            yield Entry(source, {"puzzle": "maze", "grid": lines})
        elif wrong := [code for code in row if not 0 <= code - shift <= side]:
            yield Unread(source, f"holds {wrong[0]}; digits are 1 to {side}")
        else:
            digits = [code - shift for code in row]
            grid = [digits[start : start + side] for start in starts]
            yield Entry(source, numbers(grid) if {*digits} == {0, 1} else "".join(map(str, digits)))
