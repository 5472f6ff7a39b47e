"""Tables with a header, in CSV, TSV and the like; the column of puzzles is known by its name."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gram_files.cells import is_words, whole_board
from gram_files.entries import SIZES, Item, Unread
from gram_files.mazes import in_rows
from gram_files.objects import COLUMNS, entries_of_json, entry_of

DELIMITERS = ",\t;|"
NUMPY = re.compile(r"\barray\b|[][(),]")
"""What numpy writes between the cells of a board."""
DASHES = frozenset("|-:+ ")
"""A line beneath the header."""


class Header(NamedTuple):
    """The names of the columns."""

    delimiter: str
    names: Sequence[str]
    columns: Sequence[int]
    """Those that may hold the puzzles, by their names, the surest first."""


def header_of(line: str) -> Header | None:
    """Return the header that a line is, if it names a column of puzzles."""
    for delimiter in DELIMITERS:
        cells = _split(line, delimiter)
        names = [cell.strip(" \"'#").casefold() for cell in cells]
        found = [names.index(name) for name in COLUMNS if name in names]
        if len(names) > 1 and found:
            return Header(delimiter, names, found)
    return None


def header_line(lines: Sequence[str]) -> int | None:
    """Return where the header stands: after remarks, and what spreadsheets say first."""
    for at, line in enumerate(lines):
        if header_of(line) is not None:
            return at
        if line.strip() and not line.lstrip().startswith(("#", "sep=")):
            break
    return None


def read_table(name: str, text: str) -> Iterator[Item]:
    lines = text.splitlines()
    at = header_line(lines)
    header = None if at is None else header_of(lines[at])
    assert at is not None
    assert header is not None
    at += 1
    if not "".join(lines[at:]).strip():
        yield Unread(name, "holds a header and no rows")
    while at < len(lines):
        end = _end_of_row(lines, at, header.delimiter)
        row = "".join(lines[at:end])
        is_remark = row.startswith("#") and is_words(row) and header.delimiter not in row
        if set(row) - DASHES and not is_remark:
            yield from _entries(f"{name}:{at + 1}", lines[at:end], header)
        at = end


def _end_of_row(lines: Sequence[str], at: int, delimiter: str) -> int:
    """Return the line after a row, whose cells may hold quoted lines."""
    quotes, end = lines[at].count('"'), at + 1
    while quotes % 2 and end < len(lines):
        quotes += lines[end].count('"')
        if quotes % 2 and delimiter in lines[end]:
            # Another row: the quote is a mistake.
            break
        end += 1
    return at + 1 if quotes % 2 else end


def _entries(source: str, lines: Sequence[str], header: Header) -> list[Item]:
    if "".join(lines).count('"') % 2:
        return [Unread(source, "has a quote that does not end")]
    cells = _split([f"{line}\n" for line in lines], header.delimiter)
    columns = [column for column in header.columns if column < len(cells)]
    if header.columns[0] not in columns:
        return [Unread(source, f"has {len(cells)} of {len(header.names)} columns")]
    column = next((each for each in columns if _is_puzzle(cells[each])), columns[0])
    cell = cells[column].strip("\r\n")
    # Spaces may be cells of a drawing.
    cell = cell if "\n" in cell or in_rows(cell) else cell.strip()
    fields = dict(zip(header.names, cells, strict=False))
    if not cell.strip():
        return [Unread(source, f"has nothing in column {header.names[column]}")]
    numbers = NUMPY.sub(" ", cell).split()
    if len(numbers) in SIZES and all(len(number) == 1 for number in numbers):
        return [entry_of(source, "".join(numbers), fields)]
    if cell.lstrip().startswith(("{", "[")):
        return entries_of_json(source, cell, fields)
    return [entry_of(source, cell, fields)]


def _is_puzzle(cell: str) -> bool:
    is_list = cell.lstrip().startswith(("{", "[", "array("))
    return is_list or "\n" in cell.strip() or bool(whole_board(cell) or in_rows(cell))


def _split(lines: str | Iterable[str], delimiter: str) -> list[str]:
    rows = [lines] if isinstance(lines, str) else lines
    try:
        return next(csv.reader(rows, delimiter=delimiter), [])
    except csv.Error:
        return []
