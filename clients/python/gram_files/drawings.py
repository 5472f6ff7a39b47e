"""Boards in plain text: one a line, or drawn in rows, with titles, comments and empty lines."""

import re
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import groupby

from gram_files.cells import (
    CROSSES,
    MAX_DRAWN,
    SEPARATORS,
    WORD,
    cells_of,
    is_board,
    is_nearly_board,
    is_ruling,
    is_words,
    whole_board,
    with_dots,
)
from gram_files.entries import SIZES, Entry, Item, Unread
from gram_files.mazes import (
    CORNERS,
    halved,
    in_rows,
    is_maze,
    is_maze_row,
    of_lines,
    without_separators,
)
from gram_files.objects import VARIANT, entries_of_json
from gram_files.regions import RegionMap, is_map, jigsaw, with_maps
from gram_files.rows import (
    Line,
    bare_rows,
    is_section,
    map_of,
    paragraphs,
    spaced_rows,
    wanted_lines,
    without_labels,
)

COMMENTS = ("#", "//", ";", "%")
LIGHT_UP = frozenset("#.01234OB")
GAME_ID = re.compile(r"[1-9][0-9]?(?:x[1-9][0-9]?|j)?[a-z0-9]*:[\w,]{4,}", re.ASCII)
"""A board as Simon Tatham's programs write it."""
DECORATION = frozenset("#/;%-=* ")
GIVEN = re.compile("[1-9]|.{65}")
"""What a row of a queens board does not hold."""
FIELD = re.compile(
    r"""("[^"]*"|'[^']*'|\{\s*[A-Za-z]\w*)\s*:|^[ \t]*[A-Za-z]\w*\s*:\s*["'[{]""", re.MULTILINE
)
"""The name of a field in JSON, or in what was meant as JSON."""
FEN = re.compile(r"(?:(?:[Qq]|\d{1,2}(?!\d))+/){3,63}(?:[Qq]|\d{1,2}(?!\d))+(?: .*)?")
SOLVED = re.compile(r"\W*(?:solution|solved|answer)\w*\W", re.IGNORECASE)
"""The name of a board that has no empty cells."""
KIND = re.compile(
    r"\b(anti.?knight|diagonal|irregular|jigsaw|killer|sandwich|thermo)\w*\W+(sudoku|su doku)",
    re.IGNORECASE,
)
"""Names of sudokus with further rules, or other regions."""
MAX_SHOWN = 60
MAX_SIDE = 64
"""Most cells in a row of a maze."""
MAX_LARGE = 36
MIN_SIDE = 4
TITLE = re.compile(
    r"\W*((grid|puzzle|sudoku|board|level|game|problem|maze|queens|easy|simple|medium|moderate|"
    r"hard|expert|evil|extreme|diabolical|fiendish|set|page|volume|day|number)s?\b|n[or]\.?\s*\d)",
    re.IGNORECASE,
)


def read_drawings(name: str, text: str, *, is_json: bool = False) -> Iterator[Item]:
    """Yield every board of a text, and the lines that are none.

    ``is_json``: it was meant as JSON, where a board may be one field of several.
    """
    yield from with_maps(_drawn(name, text, is_json=is_json))


def other_rules(name: str, text: str) -> Unread | None:
    """Return the title or heading that names rules, or regions, which plain sudokus lack."""
    lines = wanted_lines(text, is_all=True)
    line = next((line for line in lines if _has_other_rules(line.text)), None)
    if line is None or any(map_of(name, each) for each in paragraphs(wanted_lines(text))):
        return None
    reason = f"is of a kind with rules that are not read: {line.text[:MAX_SHOWN]}"
    return Unread(f"{name}:{line.number}", reason)


def _has_other_rules(line: str) -> bool:
    is_heading = is_section(line) and VARIANT.search(line)
    return bool(is_heading or KIND.search(line[:MAX_SHOWN]))


def _drawn(name: str, text: str, *, is_json: bool) -> Iterator[Item | RegionMap]:
    boards = _Boards(name, is_json=is_json)
    lines = (line._replace(text=without_separators(line.text)) for line in wanted_lines(text))
    for whole in paragraphs(lines):
        if regions := map_of(name, whole):
            yield from boards.end()
            yield regions
            continue
        paragraph = bare_rows(whole)
        if spaced := spaced_rows(paragraph):
            yield from boards.end()
            yield Entry(boards.source(paragraph[0]), "\n".join(spaced))
            continue
        first = next((at for at, line in enumerate(paragraph) if line.text[:1] in CORNERS), None)
        if first is not None and (maze := of_lines([line.text for line in paragraph[first:]])):
            yield from boards.end()
            yield Entry(boards.source(paragraph[first]), "\n".join(maze))
            continue
        boards.begin(paragraph)
        mazes = (text for _, text in paragraph if is_maze_row(text) and {*text} & {*"#SG"})
        widths = {*map(len, mazes)}
        for is_maze_rows, run in groupby(paragraph, key=partial(_is_of_maze, widths=widths)):
            yield from boards.read(list(run), is_maze_rows=is_maze_rows)
        yield from boards.end_paragraph()
    yield from boards.end()


def _is_of_maze(line: Line, widths: Collection[int]) -> bool:
    """Return whether a line is a row of a maze, perhaps one with wrong signs in it."""
    text = line.text
    is_title = WORD.search(text) is not None or is_ruling(text) or text.isdigit()
    return (len(text) in widths and not is_title) or is_maze_row(text) or _is_drawn(text)


def _is_drawn(text: str) -> bool:
    """Return whether a line with ``#`` is a row, and no comment."""
    # A comment has words, or no open cells.
    is_light_up = "." in text and len(text) > MIN_SIDE - 1 and set(text) <= LIGHT_UP
    is_walled = text.count("#") > 1 and not is_words(text) and not set(text) <= DECORATION
    return is_walled or is_light_up


class _Boards:
    """Takes lines, and gives boards as they are complete.

    A drawn board is complete when it has as many rows as cells in a row: empty lines may divide
    boards, or the rows of one.
    """

    def __init__(self, name: str, *, is_json: bool) -> None:
        self.name = name
        self.is_json = is_json
        self.waiting: list[Line] = []
        """Rows of a board that is not complete."""
        self.fresh: list[Line] = []
        """Rows of this paragraph."""
        self.has_lines = False
        """Whether boards stood on a line each, so that other lines stand out."""
        self.has_queens = False
        """Whether a paragraph draws queens: no row of it without digits is a sudoku."""
        self.has_large = False
        """Whether a paragraph draws a board of 16 or 36 rows: no row of it is a sudoku."""
        self.dashes = ""
        """A row of blanks, where dashes are blanks in this paragraph."""

    def begin(self, paragraph: Sequence[Line]) -> None:
        rows = [cells_of(text) for _, text in paragraph if not is_words(text)]
        self.has_queens = any("Q" in row.upper() for row in rows)
        self.has_large = _is_large([cells_of(text) for _, text in paragraph])
        dashed = [row for row in rows if "-" in row and not set(row) <= CROSSES]
        self.dashes = "-" * len(dashed[0]) if dashed else ""

    def read(self, rows: Sequence[Line], *, is_maze_rows: bool) -> Iterator[Item]:
        """Take lines that follow each other."""
        drawing = "\n".join(row.text for row in rows)
        half = halved(drawing) if is_maze_rows else None
        if half or (is_maze_rows and is_maze(drawing)):
            yield from self.end()
            # Whole on one line where a row could not be so long.
            whole = in_rows(drawing) if len(drawing) > MAX_SIDE else None
            yield Entry(self.source(rows[0]), half or whole or drawing)
            return
        for row in rows:
            yield from self._read_line(row)

    def _read_line(self, line: Line) -> Iterator[Item]:
        # Empty cells of a spreadsheet are tabs.
        text, cells = line.text.strip(), cells_of(line.text)
        if not text.strip("[]{}(),; ") and not {*"[]{}()"}.isdisjoint(text):
            # They surround lines of a list.
            return
        if text.startswith(("{", "[")) and not is_section(text):
            found = entries_of_json(self.source(line), text.rstrip(", "))
            if any(isinstance(each, Entry) for each in found) or text.startswith("{"):
                yield from self.end()
                self.has_lines = True
                yield from found
                return
        board = self._board_on(text, cells)
        if self.is_json and FIELD.search(text):
            yield from self.end()
            yield Unread(self.source(line), f"is a part of broken JSON: {text[:MAX_SHOWN]}")
        elif is_section(text) or (text.startswith(COMMENTS) and not _is_drawn(text)):
            yield from self.end()
        elif board is not None:
            yield from self.end()
            self.has_lines = True
            yield from self._whole(line, board)
        elif is_ruling(text) and not (cells and cells == self.dashes):
            return
        elif is_words(text) or self._is_short(cells):
            yield from self.end()
            if self.has_lines and text[-1] != ":" and not TITLE.match(text):
                yield Unread(self.source(line), f"is no puzzle: {text[:MAX_SHOWN]}")
        else:
            self.fresh.append(Line(line.number, cells))

    def _whole(self, line: Line, board: str) -> Iterator[Entry]:
        """Yield the board that stands on a line, with its regions, unless it is a solution."""
        if board.isdigit() and "0" not in board and SOLVED.match(line.text):
            return
        words = (word for word in SEPARATORS.split(line.text.strip()) if len(word) == len(board))
        regions = next((word for word in words if word != board and is_map(word)), None)
        puzzle = board if ":" in board else with_dots(board)
        yield Entry(self.source(line), jigsaw(puzzle, regions) if regions else puzzle)

    def _board_on(self, text: str, cells: str) -> str | None:
        """Return the board that stands on one line, whole or with cells too many or wrong ones."""
        if squares := _squares(text):
            return squares
        board = whole_board(text)
        if board is None and len(cells) in SIZES and len(cells) > MAX_DRAWN and is_board(cells):
            board = cells
        if board is None and GAME_ID.fullmatch(text):
            return text
        longest = max(SEPARATORS.split(text), key=len)
        if board is None and is_nearly_board(longest) and not is_ruling(text):
            board = longest
        is_row = self.has_queens and board is not None and not GIVEN.search(board)
        return None if self.has_large or is_row else board

    def _is_short(self, cells: str) -> bool:
        # A sign alone is no board of one square.
        is_no_row = not self.has_queens or len(cells) == 1 or GIVEN.search(cells) is not None
        return len(cells) < MIN_SIDE and is_no_row

    def end_paragraph(self) -> Iterator[Item]:
        """Join the rows of a paragraph to those before, or take them as boards of their own."""
        fresh, self.fresh = without_labels(self.fresh), []
        widths = {len(row.text) for row in fresh}
        side = max(widths, default=0)
        if not fresh:
            return
        joined = [*self.waiting, *fresh]
        is_part = {len(row.text) for row in joined} == {side} and len(joined) <= side
        if len(widths) == 1 and len(fresh) % side and is_part:
            self.waiting = joined
            if len(joined) == side:
                yield self._drawn(joined)
                self.waiting = []
            return
        yield from self._rest()
        yield from self._apart(fresh)

    def end(self) -> Iterator[Item]:
        """Take what there is, for something else begins."""
        yield from self.end_paragraph()
        yield from self._rest()

    def _apart(self, rows: Sequence[Line]) -> Iterator[Item]:
        """Yield the boards among rows that are together, and what is between them."""
        start = at = 0
        while at < len(rows):
            side = len(rows[at].text)
            end = next((to for to in range(at, len(rows)) if len(rows[to].text) != side), len(rows))
            # Of one row more than a board has, which one is none?
            if (end - at) % side == 0:
                number = rows[start].text if at - start == 1 else ""
                if not number.isdigit():
                    yield from self._broken(rows[start:at])
                for first in range(at, end, side):
                    yield self._drawn(rows[first : first + side])
                start = end
            at = end
        yield from self._broken(rows[start:])

    def _rest(self) -> Iterator[Item]:
        rows, self.waiting = self.waiting, []
        yield from self._broken(rows)

    def _broken(self, rows: Sequence[Line]) -> Iterator[Unread]:
        widths = sorted({len(row.text) for row in rows})
        if self.has_lines and len(widths) > 1:
            # Lines of their own, rather than rows of one board.
            for row in rows:
                yield from self._broken([row])
        elif rows:
            counts = f"{len(rows)} of {' or '.join(map(str, widths))}"
            reason = f"a board has as many rows as cells in a row, not {counts}"
            for row in rows if self.has_lines else rows[:1]:
                yield Unread(self.source(row), reason)

    def _drawn(self, rows: Sequence[Line]) -> Entry:
        return Entry(self.source(rows[0]), with_dots("\n".join(row.text for row in rows)))

    def source(self, line: Line) -> str:
        return f"{self.name}:{line.number}"


def _squares(text: str) -> str | None:
    """Return the rows of a board in the notation of chess, ``8/3Q4/...``, where it holds queens."""
    if FEN.fullmatch(text) is None:
        return None
    rows = re.sub(r"\d+", lambda number: int(number[0]) * ".", text.split()[0]).split("/")
    return "\n".join(rows) if {*map(len, rows)} == {len(rows)} else None


def _is_large(rows: Sequence[str]) -> bool:
    """Return whether there are as many rows of 16 or 36 cells, and not each a small sudoku."""
    wide = [row for row in rows if len(row) in SIZES and len(row) <= MAX_LARGE]
    is_square = {len(row) for row in wide} == {len(wide)}
    return is_square and not all(
        is_board(row) and "1" <= max(filter(str.isdigit, row), default="0") <= str(SIZES[len(row)])
        for row in wide
    )
