"""Boards as ASCII text for terminals. Knows the format of answers, not their rules."""

import json
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Self

Answer = (
    str
    | list[str]
    | list[int]
    | list[int | None]
    | list[list[str]]
    | list[list[int]]
    | list[list[list[int]]]
)
"""An answer in the form the puzzle was posted in; None marks an open cell."""
Grid = list[list[int]] | list[list[str]]
"""A board by rows."""
Rows = list[list[str]]

CELL = "width:1.6em;height:1.6em;text-align:center;border:1px solid #999"
FREE = ". "
"""Characters of a free cell of a maze."""
PATH = "*"
"""Marks a cell on the path through a maze."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PuzzleShape:
    """What drawing an answer needs of its puzzle."""

    puzzle: str = ""
    """Name of the family."""
    size: int | None = None
    """Side of a queens board, unknown from an attempt with too few queens."""
    maze: tuple[str, ...] = ()
    """Rows of the maze, on which the path is drawn."""
    nodes: tuple[Hashable, ...] = ()
    """Vertices of the caller's graph, in the order of their numbers."""

    @classmethod
    def read(cls, body: object, nodes: Iterable[Hashable] = ()) -> Self:
        """Return the shape of a posted puzzle, text or JSON."""
        fields: Mapping[str, object] = body if isinstance(body, Mapping) else {"grid": body}
        size, board = fields.get("n"), fields.get("grid")
        # The server drops empty lines around a drawing.
        rows = board.strip("\r\n").splitlines() if isinstance(board, str) else board
        lines = rows if isinstance(rows, Sequence) else ()
        return cls(
            size=size if isinstance(size, int) else None,
            maze=tuple(row for row in lines if isinstance(row, str)),
            nodes=tuple(nodes),
        )


def draw(puzzle: str, answer: Answer, *, size: int | None = None, maze: Sequence[str] = ()) -> str:
    """Return an answer as lines of text; a family without a drawing is shown as JSON.

    Args:
        puzzle: Name of the family.
        answer: A solution's answer, or a best attempt's.
        size: Side of a queens board, unknown from a best attempt with too few queens.
        maze: Rows of the posted maze, on which the path is drawn.
    """
    rows = _rows(puzzle, answer)
    if puzzle == "sudoku" and rows:
        return _boxes(rows)
    if puzzle == "nqueens":
        return "\n".join(" ".join(row) for row in _queens(answer, size))
    if puzzle == "maze" and maze:
        return _path(rows, maze)
    if puzzle == "graph-coloring" and isinstance(answer, list):
        colors = [_shown(color) for color in answer]
        width = max((len(cell) for cell in [str(len(colors)), *colors]), default=1)
        lines = [map(str, range(len(colors))), colors]
        vertices, shown = (" ".join(cell.rjust(width) for cell in line) for line in lines)
        return f"vertex {vertices}\ncolor  {shown}"
    return json.dumps(answer)


def grid(shape: PuzzleShape, answer: Answer) -> Grid | None:
    """Return a board by rows; None where the family has no board."""
    rows = _rows(shape.puzzle, answer)
    if shape.puzzle == "sudoku" and rows:
        return [[int(cell) if cell.isdecimal() else 0 for cell in row] for row in rows]
    if shape.puzzle == "nqueens":
        return [[int(cell == "Q") for cell in row] for row in _queens(answer, shape.size)]
    if shape.puzzle == "maze" and shape.maze:
        return [list(line) for line in _path(rows, shape.maze).splitlines()]
    return None


def html(shape: PuzzleShape, answer: Answer) -> str:
    """Return an answer as an HTML table, or as preformatted text where it is no board."""
    board: Sequence[Sequence[int | str]] | None = grid(shape, answer)
    if board is None:
        return f"<pre>{escape(draw(shape.puzzle, answer))}</pre>"
    box_height = math.isqrt(len(board)) if shape.puzzle == "sudoku" else len(board)
    box_width = len(board) // box_height if shape.puzzle == "sudoku" else len(board[0])
    lines = []
    for number, row in enumerate(board, start=1):
        below = ";border-bottom:2px solid" if number % box_height == 0 else ""
        cells = []
        for at, cell in enumerate(row, start=1):
            right = ";border-right:2px solid" if at % box_width == 0 else ""
            cells.append(f'<td style="{CELL}{below}{right}">{_sign(shape.puzzle, cell)}</td>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f'<table style="border-collapse:collapse;border:2px solid">{"".join(lines)}</table>'


def _sign(puzzle: str, cell: int | str) -> str:
    if puzzle == "nqueens":
        return "\N{BLACK CHESS QUEEN}" if cell else ""
    if isinstance(cell, str):
        return escape(cell)
    return str(cell) if cell else ""


def _rows(puzzle: str, answer: Answer) -> Rows:
    """Return a board's cells by row; empty where the answer is no board."""
    rows: Sequence[object] = answer.split() if isinstance(answer, str) else answer
    if puzzle == "sudoku" and not any(isinstance(row, list) for row in rows):
        cells = [cell for row in rows for cell in (row if isinstance(row, str) else [row])]
        side = math.isqrt(len(cells))
        rows = [cells[row * side : (row + 1) * side] for row in range(side)]
    return [[_shown(cell) for cell in row] for row in rows if isinstance(row, list | str)]


def _queens(answer: Answer, size: int | None) -> Rows:
    """Return the board of queens: drawn rows, rows of 0 and 1, squares, or columns by row."""
    rows = _rows("nqueens", answer)
    if not rows:
        rows = [[str(row), _shown(column)] for row, column in enumerate(answer)]
    if any(sign in "Q." for row in rows for sign in row):
        return rows
    if len(rows) != 2 and all(len(row) == len(rows) for row in rows):
        return [["Q" if sign == "1" else "." for sign in row] for row in rows]
    cells = {(int(row), int(column)) for row, column in rows}
    # A solution has a queen in every row: their number is the board's side.
    side = size or max([len(cells), *(1 + max(cell) for cell in cells)])
    return [
        ["Q" if (row, column) in cells else "." for column in range(side)] for row in range(side)
    ]


def _shown(cell: object) -> str:
    return "." if cell is None else str(cell)


def _boxes(rows: Rows) -> str:
    box_height = math.isqrt(len(rows))
    box_width = len(rows) // box_height
    rule = "+" + "+".join(["-" * (2 * box_width + 1)] * box_height) + "+"
    lines = [rule]
    for number, row in enumerate(rows, start=1):
        boxes = (row[start : start + box_width] for start in range(0, len(row), box_width))
        lines.append("|" + "|".join(f" {' '.join(box)} " for box in boxes) + "|")
        if number % box_height == 0:
            lines.append(rule)
    return "\n".join(lines)


def _path(steps: Rows, maze: Sequence[str]) -> str:
    """Return the maze with the free cells of a path marked."""
    on_path = {(int(row), int(column)) for row, column in steps}
    return "\n".join(
        "".join(
            PATH if (row, column) in on_path and cell in FREE else cell
            for column, cell in enumerate(line)
        )
        for row, line in enumerate(maze)
    )
