"""What is found in a file: puzzles, and places that hold none."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

SIZES = {16: 4, 36: 6, 81: 9}
"""Cells of a sudoku on one line, and the side of its board."""
CELLS = frozenset("0123456789.*_")
NO_FIELDS: Mapping[str, object] = MappingProxyType({})


class Entry(NamedTuple):
    """A puzzle as it is to be read, text or a JSON body, and its source."""

    source: str
    """File and line, or number in a list; the file alone where that is all it holds."""
    puzzle: str | dict[str, object]
    fields: Mapping[str, object] = NO_FIELDS
    """Columns beside the puzzle's in a table."""


class Unread(NamedTuple):
    """A place that holds no puzzle, and why."""

    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


Item = Entry | Unread
