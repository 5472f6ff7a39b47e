"""Boards as text for terminals and as HTML for notebooks; what was found stands out from givens.

Knows the format of answers, not their rules.
"""

import json
import math
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

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
Sign = Callable[[str], str]
"""Returns how a cell is shown."""

CELL = "width:1.6em;height:1.6em;text-align:center;border:1px solid #999"
FOUND = "color:#0b57d0;font-weight:bold"
PALETTE = ("#000", "#07d", "#f43", "#2c4", "#fd0", "#aaa", "#f1b", "#f82", "#7df", "#812")
"""Colors of a grid of ARC-AGI, by number."""
CELLS = frozenset("0123456789.*_")
"""Characters of a posted sudoku."""
BLANKS = frozenset(".0*_")
FREE = ". "
"""Characters of a free cell of a maze."""
PATH = "*"
"""Marks a cell on the path through a maze."""
EDGE = re.compile(r"^[eE]\s+(\d+)\s+(\d+)", re.MULTILINE)
"""An edge of a DIMACS graph."""
RADIUS = 100
"""Of the circle on which vertices are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PuzzleShape:
    """What drawing an answer needs of its puzzle."""

    puzzle: str = ""
    """Name of the family."""
    posted: str | Mapping[str, Any] | None = None
    """The puzzle as it was sent; None where it is not known."""
    nodes: tuple[Hashable, ...] = ()
    """Vertices of the caller's graph, in the order of their numbers."""

    def field(self, name: str) -> Any:
        """Return a field of the body; text is its ``grid``."""
        if isinstance(self.posted, Mapping):
            return self.posted.get(name)
        return self.posted if name == "grid" else None

    @property
    def size(self) -> int | None:
        """Side of a queens board, unknown from an attempt with too few queens."""
        size = self.field("n")
        return size if isinstance(size, int) else None

    @property
    def maze(self) -> list[str]:
        """Rows of the maze, on which the path is drawn."""
        board = self.field("grid")
        # The server drops empty lines around a drawing.
        rows = board.strip("\r\n").splitlines() if isinstance(board, str) else board or ()
        return ["".join(map(str, row)) for row in rows if isinstance(row, str | list)]

    @property
    def edges(self) -> list[tuple[int, int]]:
        """Edges of a graph, where they join numbers of vertices."""
        if isinstance(self.posted, str):
            return [(int(one) - 1, int(other) - 1) for one, other in EDGE.findall(self.posted)]
        pairs = [edge for edge in self.field("edges") or () if isinstance(edge, list)]
        return [(one, other) for one, other in pairs if isinstance(one, int)]

    @property
    def givens(self) -> set[tuple[int, int]] | None:
        """Cells that the puzzle fixes; None where that is not known."""
        posted = self.field("queens") or self.field("grid") or []
        if self.puzzle != "sudoku":
            try:
                board = _queens(_rows(self.puzzle, posted), posted, self.size)
            except ValueError:
                # A maze, or a form that only the server reads.
                board = []
            return {(at, row.index("Q")) for at, row in enumerate(board) if "Q" in row}
        rows = [row if isinstance(row, str | list) else [row] for row in posted]
        cells = [cell for row in rows for cell in map(_shown, row) if cell in CELLS]
        side = math.isqrt(len(cells))
        fixed = {divmod(at, side) for at, cell in enumerate(cells) if cell not in BLANKS}
        return fixed if cells and side * side == len(cells) else None


def draw(puzzle: str, answer: Answer, *, size: int | None = None, maze: Sequence[str] = ()) -> str:
    """Return an answer as lines of text; a family without a drawing as lines, or JSON.

    Args:
        puzzle: Name of the family.
        answer: A solution's answer, or a best attempt's.
        size: Side of a queens board, unknown from a best attempt with too few queens.
        maze: Rows of the posted maze, on which the path is drawn.
    """
    return text(PuzzleShape(puzzle=puzzle, posted={"n": size, "grid": list(maze)}), answer)


def text(shape: PuzzleShape, answer: Answer, found: Sign = str) -> str:
    """Return an answer as lines of text, whose found cells are shown in their own way."""
    board = _board(shape, answer)
    if board is not None:
        rows = _signs(shape, board, found)
        if shape.puzzle == "sudoku":
            return _boxes(rows)
        return "\n".join(("" if shape.puzzle == "maze" else " ").join(row) for row in rows)
    if shape.puzzle == "graph-coloring" and isinstance(answer, list):
        colors = [_shown(color) for color in answer]
        width = max((len(cell) for cell in [str(len(colors)), *colors]), default=1)
        lines = [map(str, range(len(colors))), colors]
        vertices, shown = (" ".join(cell.rjust(width) for cell in line) for line in lines)
        return f"vertex {vertices}\ncolor  {shown}"
    drawn = [answer] if isinstance(answer, str) else answer
    texts = [row for row in drawn if isinstance(row, str)]
    return "\n".join(texts) if any(texts) and len(texts) == len(drawn) else json.dumps(answer)


def grid(shape: PuzzleShape, answer: Answer) -> Grid | None:
    """Return a board by rows; None where the family has no board."""
    board = _board(shape, answer)
    if board is None or shape.puzzle == "maze":
        return board
    if shape.puzzle == "nqueens":
        return [[int(cell == "Q") for cell in row] for row in board]
    return [[int(cell) if cell.isdecimal() else 0 for cell in row] for row in board]


def html(shape: PuzzleShape, answer: Answer) -> str:
    """Return an answer as an HTML table or a picture, or as preformatted text."""
    board = _board(shape, answer)
    if not board:
        picture = _graph(shape, answer) if shape.puzzle == "graph-coloring" else ""
        return f"{picture}<pre>{escape(text(shape, answer))}</pre>"
    box_height = math.isqrt(len(board)) if shape.puzzle == "sudoku" else len(board)
    box_width = len(board) // box_height if shape.puzzle == "sudoku" else len(board[0])
    blanks = "" if shape.puzzle == "maze" else ".0"

    def shown(cell: str) -> str:
        return (
            "\N{BLACK CHESS QUEEN}" if cell == "Q" else escape(cell) if cell not in blanks else ""
        )

    rows = _signs(shape, board, lambda cell: f'<b style="{FOUND}">{shown(cell)}</b>', shown)
    lines = []
    for number, row in enumerate(rows, start=1):
        below = ";border-bottom:2px solid" if number % box_height == 0 else ""
        cells = []
        for at, cell in enumerate(row, start=1):
            right = ";border-right:2px solid" if at % box_width == 0 else ""
            color = board[number - 1][at - 1] if shape.puzzle == "arc" else ""
            fill = f";background:{PALETTE[int(color)]}" if color.isdecimal() else ""
            cells.append(f'<td style="{CELL}{below}{right}{fill}">{cell}</td>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f'<table style="border-collapse:collapse;border:2px solid">{"".join(lines)}</table>'


def _graph(shape: PuzzleShape, answer: Answer) -> str:
    """Return a colored graph as a picture, with its vertices on a circle."""
    turns = [math.tau * number / len(answer) for number in range(len(answer))]
    places = [(RADIUS * math.sin(turn), -RADIUS * math.cos(turn)) for turn in turns]
    parts = []
    for ends in shape.edges:
        if max(ends) < len(places):
            (x1, y1), (x2, y2) = (places[end] for end in ends)
            line = f'<line x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}" stroke="#999"/>'
            parts.append(line)
    names = shape.nodes or range(len(answer))
    for (x, y), name, color in zip(places, names, answer, strict=False):
        fill = f"hsl({137 * color % 360} 65% 75%)" if isinstance(color, int) else "white"
        place = f'transform="translate({x:.0f} {y:.0f})"'
        label = f'<text text-anchor="middle" dy=".35em">{escape(str(name))}</text>'
        parts.append(f'<g {place}><circle r="14" fill="{fill}" stroke="#999"/>{label}</g>')
    box = f'viewBox="-120 -120 240 240" width="{2 * RADIUS}" font-size="11" fill="#111"'
    return f"<svg {box}>{''.join(parts)}</svg>"


def _signs(shape: PuzzleShape, board: Rows, found: Sign, given: Sign = str) -> Rows:
    """Return a board whose cells are shown as found or as given."""
    givens, signs = shape.givens, {"nqueens": "Q", "maze": PATH}.get(shape.puzzle, "123456789")
    return [
        [
            found(cell)
            if givens is not None and cell in signs and (row, column) not in givens
            else given(cell)
            for column, cell in enumerate(cells)
        ]
        for row, cells in enumerate(board)
    ]


def _board(shape: PuzzleShape, answer: Answer) -> Rows | None:
    """Return the cells of a board by row; None where the answer is no board."""
    rows = _rows(shape.puzzle, answer)
    if shape.puzzle == "nqueens":
        return _queens(rows, answer, shape.size)
    if shape.puzzle == "maze" and shape.maze:
        return _path(rows, shape.maze)
    return rows if shape.puzzle in ("sudoku", "arc") and rows else None


def _rows(puzzle: str, answer: Answer) -> Rows:
    """Return a board's cells by row; empty where the answer is no board."""
    rows: Sequence[object] = answer.split() if isinstance(answer, str) else answer
    if puzzle == "sudoku" and not any(isinstance(row, list) for row in rows):
        cells = [cell for row in rows for cell in (row if isinstance(row, str) else [row])]
        side = math.isqrt(len(cells))
        rows = [cells[row * side : (row + 1) * side] for row in range(side)]
    return [[_shown(cell) for cell in row] for row in rows if isinstance(row, list | str)]


def _queens(rows: Rows, answer: Answer, size: int | None) -> Rows:
    """Return the board of queens: drawn rows, rows of 0 and 1, squares, or columns by row."""
    if not rows:
        rows = [[str(row), str(to)] for row, to in enumerate(answer) if to is not None]
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


def _path(steps: Rows, maze: Sequence[str]) -> Rows:
    """Return the maze with the free cells of a path marked."""
    on_path = {(int(row), int(column)) for row, column in steps}
    return [
        [
            PATH if (row, column) in on_path and cell in FREE else cell
            for column, cell in enumerate(line)
        ]
        for row, line in enumerate(maze)
    ]
