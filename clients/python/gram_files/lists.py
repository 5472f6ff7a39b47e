"""Boards that are lists: of their cells, of rows of cells, or of rows as text."""

from collections.abc import Sequence
from typing import TypeGuard

from gram_files.cells import FLOAT
from gram_files.edges import graph_of_lists, is_adjacency
from gram_files.entries import SIZES
from gram_files.mazes import is_maze

MIN_EDGES = 3


def board_of(rows: Sequence[object]) -> dict[str, object] | str | None:
    """Return the board that a list is: its cells, its rows of cells, or its rows as text."""
    if len(rows) in SIZES and all(is_number(cell) or _is_sign(cell) for cell in map(_cell, rows)):
        side = SIZES[len(rows)]
        starts = range(0, len(rows), side)
        return _board_of_lists([[*rows[start : start + side]] for start in starts])
    if rows and all(isinstance(row, list) and row for row in rows):
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


def _board_of_lists(lists: Sequence[list[object]]) -> dict[str, object] | str | None:
    rows = [[_cell(cell) for cell in row] for row in lists]
    if len(rows) >= MIN_EDGES and (graph := graph_of_lists(rows)):
        return graph
    is_flat = len(rows[0]) in SIZES and len(rows) != len(rows[0])
    cells = [cell for row in rows for cell in row]
    if all(cell is None or is_number(cell) for cell in cells):
        # Rows of 81 numbers are boards each.
        return None if is_flat else numbers(rows)
    if all(cell is None or _is_sign(str(cell)) for cell in cells):
        marks = (["." if cell is None else str(cell) or "." for cell in row] for row in rows)
        return "\n".join(map("".join, marks))
    return None


def _cell(cell: object) -> object:
    """Return a cell without what spreadsheets and arrays do to digits and blanks."""
    if isinstance(cell, str):
        return FLOAT.sub(r"\1", cell.strip())
    is_whole = isinstance(cell, bool) or (isinstance(cell, float) and cell.is_integer())
    return int(cell) if is_whole else cell  # type: ignore[call-overload]  # a number, as just seen


def numbers(rows: Sequence[Sequence[object]]) -> dict[str, object]:
    """Return rows of numbers as a sudoku; of 0 and 1, which may be queens, without a name.

    Rows that neither a sudoku nor queens may be are a graph's matrix.
    """
    if is_adjacency(rows):
        return {"puzzle": "graph-coloring", "adjacency": list(rows)}
    grid = [[0 if cell is None else cell for cell in row] for row in rows]
    is_bits = {cell for row in grid for cell in row} == {0, 1}
    return {"grid": grid} if is_bits else {"puzzle": "sudoku", "grid": grid}


def _is_sign(cell: object) -> bool:
    return isinstance(cell, str) and len(cell) <= 1


def is_number(cell: object) -> TypeGuard[int]:
    return isinstance(cell, int) and not isinstance(cell, bool)
