"""Boards as text for terminals, in plain ASCII: how answers look, not what makes them right."""

import json
import math
from collections.abc import Sequence

from gram_client._models import Answer

Rows = list[list[str]]

FREE = ". "
"""Characters of a free cell of a maze."""
PATH = "*"
"""What marks a cell on the path through a maze."""


def draw(puzzle: str, answer: Answer, *, size: int | None = None, maze: Sequence[str] = ()) -> str:
    """Return an answer as lines of text; a family without a drawing is shown as JSON.

    Args:
        puzzle: Name of the family.
        answer: A solution's answer, or a best attempt's.
        size: Side of a queens board, which a best attempt with too few queens does not tell.
        maze: Rows of the posted maze, on which the path is drawn.
    """
    rows = _rows(answer)
    if puzzle == "sudoku" and rows:
        return _boxes(rows)
    if puzzle == "nqueens" and isinstance(answer, str | list):
        return _lines(rows if _is_text(answer) else _squares(rows, size))
    if puzzle == "maze" and maze:
        return _path(rows, maze)
    if puzzle == "graph-coloring" and isinstance(answer, list):
        return _colors([_shown(color) for color in answer])
    return json.dumps(answer)


def _rows(answer: Answer) -> Rows:
    """Return a board's cells by row; empty where the answer is no board."""
    if isinstance(answer, str):
        lines = answer.split()
        side = math.isqrt(len(answer))
        if len(lines) == 1:
            lines = [answer[row * side : (row + 1) * side] for row in range(side)]
        return [list(line) for line in lines]
    return [[_shown(cell) for cell in row] for row in answer if isinstance(row, list | str)]


def _is_text(answer: Answer) -> bool:
    return isinstance(answer, str) or any(isinstance(row, str) for row in answer)


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


def _squares(queens: Rows, size: int | None) -> Rows:
    """Return the board of queens that are given as (row, column)."""
    cells = {(int(row), int(column)) for row, column in queens}
    # A solution has a queen in every row: their number is the board's side.
    side = size or max([len(cells), *(1 + max(cell) for cell in cells)])
    return [
        ["Q" if (row, column) in cells else "." for column in range(side)] for row in range(side)
    ]


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


def _lines(rows: Rows) -> str:
    return "\n".join(" ".join(row) for row in rows)


def _colors(cells: list[str]) -> str:
    width = max((len(cell) for cell in [str(len(cells)), *cells]), default=1)
    vertices = " ".join(str(vertex).rjust(width) for vertex in range(len(cells)))
    colors = " ".join(cell.rjust(width) for cell in cells)
    return f"vertex {vertices}\ncolor  {colors}"
