"""Sudokus of OpenSudoku's XML: ``<game data="53..." />``."""

import html
import re
from collections.abc import Iterator

from gram_files.entries import SIZES, Entry, Item, Unread

GAME = re.compile(r"<game\b[^<>]*?\bdata\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.IGNORECASE)


def is_opensudoku(text: str) -> bool:
    return text.lstrip().startswith("<") and GAME.search(text) is not None


def read_opensudoku(name: str, text: str) -> Iterator[Item]:
    line, seen = 1, 0
    # Not parsed as XML: a game is read although another is broken.
    for match in GAME.finditer(text):
        line += text.count("\n", seen, match.start())
        seen = match.start()
        cells = _cells(html.unescape(match[1] or match[2] or "").strip())
        if len(cells) in SIZES:
            yield Entry(f"{name}:{line}", cells)
        else:
            yield Unread(f"{name}:{line}", f"its data has {len(cells)} cells; a sudoku has 81")


def _cells(data: str) -> str:
    """Return the givens; games with notes are ``version: N``, then fields of each cell."""
    if not data.startswith("version"):
        return data
    fields = data.partition("\n")[2].strip("| \n").split("|")
    # The first field of a cell is its value, the last whether it may be edited.
    width = round(len(fields) / 81)
    starts = range(0, 81 * width, width) if width and len(fields) == 81 * width else range(0)
    return "".join(fields[at] if fields[at + width - 1] == "0" else "0" for at in starts)
