"""Lines of drawn boards, without what spreadsheets and programs write around their rows."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gram_files.cells import BARE, SIDES, is_ruling
from gram_files.mazes import is_maze_row
from gram_files.regions import MAX_SIDE, RegionMap, is_map

SECTION = re.compile(r"\[\s*[A-Za-z][\w -]*\]")
"""A heading of an ``.sdk`` file: ``[Puzzle]`` is wanted, ``[State]`` and others are not."""
WANTED = {"puzzle", "jigsaw", "regions"}
MISSING = re.compile(r"(?<![^,;\t |])(?:nan|none|null|<na>)(?![^,;\t |])", re.IGNORECASE)
"""What pandas writes for an empty cell."""
LABELS = ("123456789", "012345678", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""Numbers and letters of rows and columns."""
LABEL = re.compile(r"R?([0-9A-Z])[:)]?(?=.)", re.IGNORECASE)
QUOTED = re.compile(r"\s*(?:- )?([\"'])([^\"']*)\1\s*[,;]?\s*")
LISTED = re.compile(
    r"\s*(?:- )?(?:\w+\s*=\s*)?(?:[\w.]+\()?[\[({]+([^][(){}]*)[\])}]+\s*"
    r"(?:,\s*dtype=\w+\))?[,;]?\s*"
)
"""A row of a list, the first and the last of which may stand in a call."""
ASSIGNED = re.compile(r"[^][{}\"'=]*=\s*(?:[\w.]+\()?(\[\[.*\]\])\)?;?\s*")
LATEX = re.compile(r"\s*\\\\(?:\s*\\hline)?\s*\Z")
"""The end of a row of a table."""
MARKDOWN = re.compile(r"[ |]*:?-+:?(?:[ |]+:?-+:?)+[ |]*")
"""The line below the header of a table."""
SPACERS = (3, 7)
"""Places of empty rows and columns between the boxes of a sudoku in a spreadsheet."""


class Line(NamedTuple):
    """A numbered line."""

    number: int
    text: str


def is_section(line: str) -> bool:
    """Return whether a line is a heading, and no JSON list."""
    return SECTION.fullmatch(line.strip()) is not None


def _is_wanted(line: str) -> bool:
    return is_section(line) and line.strip(" \t[]").casefold() in WANTED


def wanted_lines(text: str, *, is_all: bool = False) -> Iterator[Line]:
    """Yield the numbered lines, headings included; with ``[Puzzle]`` no other sections."""
    lines = text.splitlines()
    is_all = is_all or not any(map(_is_wanted, lines))
    is_wanted = True
    for number, line in enumerate(lines, start=1):
        if is_section(line):
            is_wanted = is_all or _is_wanted(line)
        if is_wanted:
            yield Line(number, line)


def paragraphs(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Part lines at blank ones, headings and maps of regions, which stand by themselves.

    Below a row of a maze that is no wall, spaces are free cells.
    """
    paragraph: list[Line] = []
    for line in lines:
        above = paragraph[-1].text if paragraph else ""
        is_open = is_maze_row(above) and set(above) != {"#"} and len(line.text) == len(above)
        is_filled = line.text.strip() or (above and is_open)
        if paragraph and (not is_filled or is_section(line.text)):
            yield from _without_maps(paragraph)
            paragraph = []
        if is_filled:
            paragraph.append(line)
    if paragraph:
        yield from _without_maps(paragraph)


def _without_maps(paragraph: list[Line]) -> Iterator[list[Line]]:
    """Part the maps in a paragraph from what stands before and behind them."""
    rows = ["".join(line.text.split()) for line in paragraph]
    start = at = 0
    while at < len(rows):
        side = len(rows[at])
        part = rows[at : at + side] if side <= MAX_SIDE else []
        if {*map(len, part)} == {side} and len(part) == side and is_map("".join(part)):
            yield from filter(None, (paragraph[start:at], paragraph[at : at + side]))
            start = at = at + side
        else:
            at += 1
    if start < len(rows):
        yield paragraph[start:]


def map_of(name: str, paragraph: Sequence[Line]) -> RegionMap | None:
    """Return the map of regions that a paragraph is."""
    rows = ["".join(line.text.split()) for line in paragraph]
    is_square = {*map(len, rows)} == {len(rows)} and is_map("".join(rows))
    return RegionMap(f"{name}:{paragraph[0].number}", rows) if is_square else None


def bare_rows(paragraph: Sequence[Line]) -> list[Line]:
    """Return lines without an empty header, and without the brackets and quotes of lists."""
    if len(paragraph) > 1 and MARKDOWN.fullmatch(paragraph[1].text):
        paragraph = paragraph[0 if paragraph[0].text.strip("| \t") else 1 :]
    lists = [LISTED.fullmatch(line.text) for line in paragraph]
    found = [each[1] for each in lists if each]
    fields = [re.split(r"[,;\s]+", each.strip(" ,;")) for each in found]
    # Each a board of queens, by the columns of its rows.
    are_queens = all({*each} == {*map(str, range(len(each)))} for each in fields)
    are_rows = len(found) in SIDES and {*map(len, fields)} == {len(found)} and not are_queens
    return [
        line._replace(text=each[1] if each and are_rows else _bare(line.text))
        for line, each in zip(paragraph, lists, strict=True)
    ]


def _bare(line: str) -> str:
    if found := ASSIGNED.fullmatch(line):
        return found[1]
    quoted = QUOTED.fullmatch(line)
    return MISSING.sub(".", quoted[2] if quoted else LATEX.sub("", line))


def spaced_rows(paragraph: Sequence[Line]) -> list[str] | None:
    """Return the rows of a sudoku whose blanks are spaces, none of which part cells."""
    lines = [line.text.translate(BARE) for line in paragraph if not is_ruling(line.text)]
    side = len(lines)
    if side not in SIDES or not set("".join(lines)) <= {*"| Q", *LABELS[0][:side]}:
        return None
    rows = [line.strip().strip("|") if "|" in line else line for line in lines]
    rows = [row.replace("|", "").rstrip() for row in rows]
    is_open = any(" " in row for row in rows) and max(map(len, rows)) == side
    return [row.ljust(side).replace(" ", ".") for row in rows] if is_open else None


def without_labels(rows: Sequence[Line]) -> list[Line]:
    """Return rows without the numbers or letters of rows and columns, and empty ones between."""
    rows = list(rows)
    for end in (0, -1):
        # The corner has no label.
        if len(rows) > 1 and _is_label(rows[end].text.removeprefix("."), len(rows) - 1):
            rows.pop(end)
    found = [LABEL.match(row.text) for row in rows]
    rest = [row.text[each.end() :] for row, each in zip(rows, found, strict=True) if each]
    names = "".join(each[1] for each in found if each)
    if {*map(len, rest)} == {len(rows)} == {len(rest)} and _is_label(names, len(rows)):
        rows = [row._replace(text=text) for row, text in zip(rows, rest, strict=True)]
    return _without_spacers(rows)


def _is_label(text: str, side: int) -> bool:
    """Return whether a text counts a side of a board, up or down."""
    sides = (label[:side] for label in LABELS if len(label) >= side > 1)
    return any(text.upper() in (label, label[::-1]) for label in sides)


def _without_spacers(rows: list[Line]) -> list[Line]:
    width = max(SIDES) + len(SPACERS)
    if len(rows) == width and all({*rows[at].text} == {"."} for at in SPACERS):
        rows = [row for at, row in enumerate(rows) if at not in SPACERS]
    is_wide = all(
        len(row.text) == width and {row.text[at] for at in SPACERS} == {"."} for row in rows
    )
    first, second = SPACERS
    return [
        row._replace(text=row.text[:first] + row.text[first + 1 : second] + row.text[second + 1 :])
        if is_wide
        else row
        for row in rows
    ]
