"""Converts puzzles to what is sent: text, rows, arrays, graphs, bodies.

Arrays and graphs are recognised by their attributes: neither numpy nor networkx is imported.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from gram_client._errors import PuzzleUnusable
from gram_files import Entry, Unread
from gram_files.entries import SIZES
from gram_files.graphs import linked

_SIGNS = frozenset("123456789.0*_QqSGEFTAB# ")
"""Cells of drawn boards."""


@runtime_checkable
class Array(Protocol):
    """The used part of a numpy array."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def tolist(self) -> Any: ...


@runtime_checkable
class Table(Protocol):
    """The used part of a pandas data frame."""

    def to_numpy(self) -> Any: ...


@runtime_checkable
class Graph(Protocol):
    """The used part of a networkx graph: attributes of vertices, edges and itself."""

    @property
    def nodes(self) -> Any: ...

    @property
    def edges(self) -> Any: ...

    @property
    def graph(self) -> Any: ...


Rows = Sequence[Sequence[int]] | Sequence[str]
Puzzle = str | Rows | Mapping[str, object] | Array | Table | Graph | Entry | Unread
"""Text (a sudoku's characters, a DIMACS graph), a sudoku as rows of numbers or a numpy array, rows
of queens or of a maze, a networkx graph to colour, a JSON body, or what ``read_file`` yields."""


def text_or_body(puzzle: Puzzle) -> str | dict[str, object]:
    """Return a puzzle as plain text, or as a JSON body."""
    if isinstance(puzzle, Unread):
        raise PuzzleUnusable(str(puzzle))
    if isinstance(puzzle, Entry):
        puzzle = puzzle.puzzle
    if isinstance(puzzle, str):
        return puzzle
    if isinstance(puzzle, Mapping):
        return (None if "puzzle" in puzzle else linked(dict(puzzle))) or dict(puzzle)
    if isinstance(puzzle, Graph):
        return _coloring(puzzle)
    if isinstance(puzzle, Table):
        puzzle = puzzle.to_numpy()
    rows = puzzle.tolist() if isinstance(puzzle, Array) else puzzle
    if isinstance(rows, bytes | set | frozenset) or not isinstance(rows, Iterable):
        raise PuzzleUnusable(f"a puzzle is text, rows, an array, a graph or a body, not {puzzle!r}")
    rows = list(rows)
    if _is_drawn(rows):
        rows = ["".join(row) for row in rows]
    lines = [row for row in rows if isinstance(row, str)]
    if lines and len(lines) == len(rows):
        return "\n".join(lines)
    return {"puzzle": "sudoku", "grid": _numbers(rows)}


def encode(puzzle: Puzzle) -> tuple[str, bytes]:
    """Return the media type and the bytes of a puzzle."""
    body = text_or_body(puzzle)
    if isinstance(body, str):
        # Bytes that are no text are sent unchanged, for the server to refuse.
        return "text/plain; charset=utf-8", body.encode(errors="surrogateescape")
    return "application/json", _json(body)


def encode_batch(puzzles: Iterable[Puzzle]) -> bytes:
    return _json({"instances": [text_or_body(puzzle) for puzzle in puzzles]})


def _json(body: Mapping[str, object]) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise PuzzleUnusable(f"the puzzle cannot be written as JSON: {error}") from error


def _is_drawn(rows: Sequence[Any]) -> bool:
    """Say whether rows are lists of the single characters of a drawing, not of digits alone."""
    if not all(isinstance(row, list | tuple) for row in rows):
        return False
    cells = {cell for row in rows for cell in row if isinstance(cell, str)}
    is_text = all(isinstance(cell, str) for row in rows for cell in row)
    return is_text and cells <= _SIGNS and not all(map(str.isdecimal, cells))


def _numbers(rows: Sequence[Any]) -> list[list[int]]:
    if side := SIZES.get(len(rows)):
        starts = range(0, len(rows), side)
        are_cells = not any(isinstance(row, Iterable) for row in rows)
        rows = [rows[start : start + side] for start in starts] if are_cells else rows
    if not all(isinstance(row, Iterable) for row in rows):
        raise PuzzleUnusable("a board is rows of numbers, or rows of text")
    cells = [
        [_cell(cell, f"row {number}, column {column}") for column, cell in enumerate(row)]
        for number, row in enumerate(rows)
    ]
    found = {cell for row in cells for cell in row}
    if found == {None}:
        raise PuzzleUnusable("the board has no cell that is a whole number")
    if found == {0, 1}:
        raise PuzzleUnusable(
            "rows of 0 and 1 may be a sudoku with ones or a board of queens: pass a body, "
            '{"puzzle": "sudoku", "grid": rows} or {"puzzle": "nqueens", "grid": rows}'
        )
    return [[cell or 0 for cell in row] for row in cells]


def _cell(cell: Any, place: str) -> int | None:
    """Return a number, None for a blank: spreadsheets have floats and digits as text."""
    if cell is None or (isinstance(cell, str) and cell.strip() in ("", ".")):
        return None
    try:
        # What is not equal to itself is no number: a cell that pandas found empty.
        number = int(cell) if cell == cell else None
    except (TypeError, ValueError, OverflowError) as error:
        raise PuzzleUnusable(f"{place} holds {cell!r}, which is no whole number") from error
    if number is not None and not isinstance(cell, str) and number != cell:
        raise PuzzleUnusable(f"{place} holds {cell!r}, which is no whole number")
    return number


def _coloring(graph: Graph) -> dict[str, object]:
    """Return the graph with its vertices numbered in their order; ``color`` fixes a vertex."""
    try:
        numbers = {vertex: number for number, vertex in enumerate(graph.nodes)}
        colors = {
            vertex: graph.nodes[vertex]["color"]
            for vertex in numbers
            if "color" in graph.nodes[vertex]
        }
        fixed = {
            str(numbers[vertex]): _whole_color(vertex, color) for vertex, color in colors.items()
        }
        loop = next((edge[0] for edge in graph.edges if edge[0] == edge[1]), None)
        edges = {tuple(sorted((numbers[edge[0]], numbers[edge[1]]))) for edge in graph.edges}
        num_colors = int(graph.graph.get("colors", 3))
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise PuzzleUnusable(
            f"the graph cannot be read: {type(error).__name__}: {error}"
        ) from error
    if loop is not None:
        raise PuzzleUnusable(f"an edge joins node {loop!r} to itself, so no colour is left for it")
    body: dict[str, object] = {
        "puzzle": "graph-coloring",
        "vertices": len(numbers),
        "edges": [list(edge) for edge in sorted(edges)],
        "colors": num_colors,
    }
    return {**body, "fixed": fixed} if fixed else body


def _whole_color(vertex: object, color: Any) -> int:
    try:
        return int(color)
    except (TypeError, ValueError) as error:
        raise PuzzleUnusable(
            f"node {vertex!r} has the color {color!r}, which is no whole number"
        ) from error
