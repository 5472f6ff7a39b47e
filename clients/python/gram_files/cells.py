"""The cells in a line of text, without frames, separators and the signs of other programs."""

import re
from collections.abc import Sequence

from gram_files.entries import CELLS, SIZES

ODD_BLANKS = frozenset("xX?-·•□◦○~")
"""Signs of an empty cell in other programs: read where a board has one of them and no other."""
BARE = str.maketrans(
    dict.fromkeys(map(chr, range(0x2500, 0x2580)), " ")
    | dict.fromkeys("\u2013\u2014\u2212", "-")
    | dict.fromkeys("'\"`", " ")
    | dict.fromkeys("¦│┃║", "|")
    | dict.fromkeys("♕♛", "Q")
)
"""Characters of drawn boxes, quotes and queens; verticals part cells."""
STROKES = re.compile(r"[-=]{3}")
CROSSES = frozenset("-+=:")
RULING = CROSSES | frozenset("|*., \t")
FLOAT = re.compile(r"\A(\d)\.0+(?:e\+00)?\Z")
"""A digit as numpy and pandas write it where other cells are empty."""
SIDES = frozenset(SIZES.values())
CANDIDATES = re.compile("(?=.)1?2?3?4?5?6?7?8?9?")
MAX_TITLE = 200
SEPARATORS = re.compile(r"[\s,;:|\"'=&]+")
"""Of words in a line, or of the fields of an address."""
WORD = re.compile(r"(?![xXoOqQ]+(?![^\W\d_]))[^\W\d_]{2,}")
MAX_DRAWN = 25
"""Most cells in a drawn row of a sudoku; longer lines are whole boards."""


def whole_board(line: str) -> str | None:
    """Return the sudoku that stands on a line, if one does; a hash, a rating, a solution may too.

    A digit after ``+`` is one that was found. Different puzzles are returned as one, too long.
    """
    words = [word.replace("+", "") for word in SEPARATORS.split(line)]
    boards = [word for word in words if len(word) in SIZES and is_board(word)]
    if boards and (cells := _apart(line, words)):
        boards.append(cells)
    longest = max(map(len, boards), default=0)
    boards = [board for board in boards if len(board) == longest]
    # Of a puzzle and its solution, the puzzle; of a puzzle and a later state of it too.
    boards = [board for board in boards if not board.isdigit() or "0" in board] or boards[:1]
    # Of which cells are given, some files have a mask.
    is_one = all(_is_state_of(boards[0], board) or {*board} == {"0", "1"} for board in boards)
    return (boards[0] if is_one else "".join(boards)) if boards else None


def _apart(line: str, words: Sequence[str]) -> str:
    """Return the cells of a board whose cells stand apart on a line, with other fields beside."""
    delimiter = max(",;\t|", key=line.count)
    fields = line.split(delimiter) if line.count(delimiter) > MAX_DRAWN else words
    cells = [cell or "." for cell in (field.strip(" \"'") for field in fields) if len(cell) <= 1]
    return "".join(cells) if len(cells) > MAX_DRAWN else ""


def drawn_board(text: str) -> str | None:
    """Return the only sudoku with empty cells that is drawn in a text, in one line."""
    rows = [cells_of(line) for line in text.splitlines()]
    found = set()
    for at, row in enumerate(rows):
        lines = rows[at : at + len(row)] if len(row) in SIDES else []
        board = "".join(lines)
        is_square = len(lines) == len(row) and {*map(len, lines)} == {len(row)}
        if is_square and is_board(board) and ("0" in board or not board.isdigit()):
            found.add(board)
    return found.pop() if len(found) == 1 else None


def _is_state_of(puzzle: str, board: str) -> bool:
    return all(
        given not in "123456789" or given == cell for given, cell in zip(puzzle, board, strict=True)
    )


def is_board(word: str) -> bool:
    """Return whether all signs are cells, at most one of them an odd blank beside digits."""
    odd = set(word) - CELLS
    return not odd or (len(odd) == 1 and odd <= ODD_BLANKS and any(map(str.isdigit, word)))


def is_nearly_board(word: str) -> bool:
    """Return whether most signs of a long line are cells, so that it was meant as a board."""
    known = sum(sign in CELLS or sign in ODD_BLANKS for sign in word)
    return len(word) > MAX_DRAWN and 5 * known >= 4 * len(word)


def cells_of(line: str) -> str:
    """Return the cells of a drawn row; an empty field between separators is a blank cell."""
    bare = line.translate(BARE).strip(" \n")
    for separator in "|,;\t&":
        fields = bare.removeprefix("|").removesuffix("|").split(separator)
        if separator == "|" and len(fields) - 1 in SIDES and fields[-1] == ".":
            # LaTeX ends a row with a point.
            fields.pop()
        marks = [FLOAT.sub(r"\1", field.strip()) for field in fields]
        if len(marks) > 3 and all(len(mark) <= 1 for mark in marks):
            return "".join(mark or "." for mark in marks)
    words = [word for word in re.split(r"[\s|,;/]+", bare) if word]
    digits = [FLOAT.sub(r"\1", word) for word in words]
    if all(len(digit) == 1 for digit in digits):
        return "".join(digits)
    if len(words) in SIDES and all(digit == "0" or CANDIDATES.fullmatch(digit) for digit in digits):
        # A cell with one candidate is given.
        return "".join(digit if len(digit) == 1 else "." for digit in digits)
    return "".join(words)


def is_ruling(line: str) -> bool:
    bare = line.translate(BARE)
    is_line = STROKES.search(bare) is not None and set(bare) <= RULING
    return is_line or set(cells_of(line)) <= CROSSES


def is_words(line: str) -> bool:
    """Return whether a line is text: a title, a remark."""
    cells = cells_of(line)
    known = CELLS | ODD_BLANKS | set("Qq#SG")
    num_unknown = sum(cell not in known for cell in cells)
    is_text = WORD.search(line[:MAX_TITLE]) is not None or 3 * num_unknown > len(cells)
    # Brackets are of lists, which are read without them.
    return is_text or "[" in cells


def with_dots(cells: str) -> str:
    """Return cells with ``.`` for their blank, where it is odd and the only one."""
    blanks = set(cells) & (ODD_BLANKS | set("0.*_"))
    is_odd = len(blanks) == 1 and blanks <= ODD_BLANKS
    return cells.replace(blanks.pop(), ".") if is_odd else cells
