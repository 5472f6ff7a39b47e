"""Boards as text for terminals, in plain ASCII: how answers look, not what makes them right."""

import json
import math

from gram_client._models import Answer

Rows = list[list[str]]


def draw(puzzle: str, answer: Answer) -> str:
    """Return an answer as lines of text; a family without a drawing is shown as JSON."""
    if puzzle == "sudoku":
        return _sudoku(answer)
    if puzzle == "nqueens":
        return _queens(answer)
    if puzzle == "graph-coloring" and isinstance(answer, list):
        return _colors(answer)
    return json.dumps(answer)


def _sudoku(answer: Answer) -> str:
    rows = _sudoku_rows(answer)
    box_rows = math.isqrt(len(rows))
    if box_rows == 0 or len(rows) % box_rows:
        return json.dumps(answer)
    box_columns = len(rows) // box_rows
    rule = "+".join(["-" * (2 * box_columns + 1)] * box_rows)
    lines = [f"+{rule}+"]
    for start in range(0, len(rows), box_rows):
        lines += [_boxed(row, box_columns) for row in rows[start : start + box_rows]]
        lines.append(f"+{rule}+")
    return "\n".join(lines)


def _sudoku_rows(answer: Answer) -> Rows:
    if isinstance(answer, str):
        size = math.isqrt(len(answer))
        return [list(answer[row * size : (row + 1) * size]) for row in range(size)]
    return [[str(cell) for cell in row] for row in answer if isinstance(row, (list, str))]


def _boxed(row: list[str], width: int) -> str:
    groups = [row[start : start + width] for start in range(0, len(row), width)]
    return "|" + "|".join(f" {' '.join(group)} " for group in groups) + "|"


def _queens(answer: Answer) -> str:
    if isinstance(answer, list) and answer and all(isinstance(row, str) for row in answer):
        return "\n".join(" ".join(str(row)) for row in answer)
    queens = {tuple(cell) for cell in answer if isinstance(cell, list)}
    # A solution has a queen in every row: their number is the board's side.
    size = range(len(queens))
    return "\n".join(
        " ".join("Q" if (row, column) in queens else "." for column in size) for row in size
    )


def _colors(answer: list[str] | list[int] | list[list[int]] | list[list[list[int]]]) -> str:
    cells = [str(color) for color in answer]
    width = max(len(str(len(cells))), *(len(cell) for cell in cells), 1)
    vertices = " ".join(str(vertex).rjust(width) for vertex in range(len(cells)))
    colors = " ".join(cell.rjust(width) for cell in cells)
    return f"vertex {vertices}\ncolor  {colors}"
