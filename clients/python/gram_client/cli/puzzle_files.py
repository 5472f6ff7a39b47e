"""Puzzles from files, stdin and arguments; recognised by content, any number in one file.

In .txt and .sdm files each line is a puzzle. .sdk is a board with notes around it, .col a DIMACS
graph; JSON is one object, a list or one object per line.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import click

from gram_client._inputs import Puzzle

SIZES = {16, 36, 81}
"""Characters of a sudoku on one line."""
CELLS = frozenset("0123456789.*_")
MAZE = frozenset("#. SG\r\n")


class Entry(NamedTuple):
    """A puzzle and its source."""

    source: str
    puzzle: Puzzle


def puzzle_arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments PUZZLE..., as entries."""
    add = click.argument(
        "puzzles",
        nargs=-1,
        required=True,
        metavar="PUZZLE...",
        callback=lambda context, parameter, arguments: read_entries(arguments),
    )
    return add(command)


def read_entries(arguments: Sequence[str]) -> list[Entry]:
    """Return every puzzle in the arguments or the files they name."""
    entries = [entry for argument in arguments for entry in _read(argument)]
    if not entries:
        raise click.UsageError("there is no puzzle in there")
    return entries


def givens_of(puzzle: Puzzle) -> str:
    """Return the cells of a sudoku in order; empty for other puzzles."""
    grid = puzzle.get("grid", "") if isinstance(puzzle, dict) else puzzle
    if isinstance(grid, str):
        return "".join(sign for sign in grid if sign in CELLS)
    rows = grid if isinstance(grid, list) else []
    return "".join(str(cell) for row in rows for cell in row)


def _read(argument: str) -> Iterator[Entry]:
    name, text = ("puzzle", argument) if _is_puzzle(argument) else _read_file(argument)
    if text.lstrip().startswith(("{", "[")):
        yield from _from_json(name, text)
    elif name.endswith(".sdk"):
        yield Entry(name, _board_of_sdk(text))
    else:
        yield from _from_text(name, text)


def _is_puzzle(argument: str) -> bool:
    # Not looked up as a file: board characters are hardly ever a file name.
    is_board = len(argument) >= 8 and set(argument) <= CELLS | set(" \n")
    return is_board or "\n" in argument or argument.lstrip().startswith(("{", "["))


def _read_file(argument: str) -> tuple[str, str]:
    try:
        with click.open_file(argument, encoding="utf-8") as file:
            return ("stdin" if argument == "-" else argument), str(file.read())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise click.UsageError(f"{argument}: {reason}") from error


def _from_text(name: str, text: str) -> Iterator[Entry]:
    lines = [(number, line.strip()) for number, line in _lines(text) if line[0] != "#"]
    if {"S", "G"} <= set(text) <= MAZE:
        # A leading space is a free cell, and walls are no comments.
        yield Entry(name, text.strip("\r\n"))
    elif len(lines) > 1 and all(_is_sudoku(line) for _, line in lines):
        for number, line in lines:
            yield Entry(f"{name}:{number}", line.split()[0])
    elif lines:
        yield Entry(name, lines[0][1] if len(lines) == 1 else text.strip("\r\n"))


def _is_sudoku(line: str) -> bool:
    """Return whether a line begins with a whole board; a rating or a name may follow."""
    board = line.split()[0]
    return len(board) in SIZES and set(board) <= CELLS


def _board_of_sdk(text: str) -> str:
    """Return the first board of a file with notes (``#``) and headings (``[Puzzle]``)."""
    rows = [line.strip() for line in text.splitlines()]
    rows = [row for row in rows if row and set(row) <= CELLS]
    side = len(rows[0]) if rows else 0
    return "\n".join(rows[:side])


def _from_json(name: str, text: str) -> Iterator[Entry]:
    try:
        value = json.loads(text)
    except ValueError as error:
        yield from _from_json_lines(name, text, error)
        return
    if isinstance(value, dict) and set(value) == {"instances"}:
        value = value["instances"]
    if not isinstance(value, list) or _is_grid(value):
        yield _entry(name, value)
        return
    for number, part in enumerate(value, start=1):
        yield _entry(f"{name}:{number}", part)


def _from_json_lines(name: str, text: str, error: ValueError) -> Iterator[Entry]:
    try:
        values = [(number, json.loads(line)) for number, line in _lines(text)]
    except ValueError:
        raise click.UsageError(f"{name}: is not JSON: {error}") from error
    for number, value in values:
        yield _entry(f"{name}:{number}", value)


def _lines(text: str) -> list[tuple[int, str]]:
    numbered = enumerate(text.splitlines(), start=1)
    return [(number, line) for number, line in numbered if line.strip()]


def _entry(source: str, value: object) -> Entry:
    if isinstance(value, list):
        return Entry(source, {"puzzle": "sudoku", "grid": value})
    if isinstance(value, str | dict):
        return Entry(source, value)
    raise click.UsageError(f"{source}: is no puzzle, but {json.dumps(value)}")


def _is_grid(value: Sequence[object]) -> bool:
    """Return whether a list is one board: rows of numbers."""
    return bool(value) and all(
        isinstance(row, list) and all(isinstance(cell, int) for cell in row) for row in value
    )
