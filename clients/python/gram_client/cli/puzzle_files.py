"""Puzzles from files, stdin and arguments; recognised by content, any number in one file."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from gram_client._drawing import CELLS
from gram_files import Entry, Item, read, read_file

MAX_REASONS = 5
ARGUMENT = "puzzle"
"""Source of what stands on the command line."""


def puzzle_arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments PUZZLE..., as what is found in them."""
    add = click.argument(
        "puzzles",
        nargs=-1,
        required=True,
        metavar="PUZZLE...",
        callback=lambda context, parameter, arguments: read_entries(arguments),
    )
    return add(command)


def read_entries(arguments: Sequence[str]) -> list[Item]:
    """Return every puzzle in the arguments or the files they name, and what is none."""
    found = [each for argument in arguments for each in _read(argument)]
    if not any(isinstance(each, Entry) for each in found):
        reasons = [str(each) for each in found[:MAX_REASONS]]
        raise click.UsageError("; ".join(["there is no puzzle in there", *reasons]))
    return found


def named(entry: Entry) -> str:
    """Return the source of a puzzle, for messages; empty where the command line holds it."""
    return "" if entry.source == ARGUMENT else entry.source


def _read(argument: str) -> Iterator[Item]:
    if _is_puzzle(argument):
        return read(ARGUMENT, argument)
    if argument == "-":
        with click.open_file(argument, "rb") as file:
            return read("stdin", file.read())
    return read_file(argument)


def _is_puzzle(argument: str) -> bool:
    # Not looked up as a file: board characters are hardly ever a file name.
    is_board = len(argument) >= 8 and set(argument) <= CELLS | set(" \n")
    return is_board or "\n" in argument or argument.lstrip().startswith(("{", "["))
