"""The cells of boards that people draw in text: without frames, rulings and separators.

Knows what programs draw around cells, and no puzzle. ``gram_files`` of the client, which imports
nothing of ours, parts the boards of a file by the same rules.
"""

import re

_FRAMES = str.maketrans(
    dict.fromkeys(map(chr, range(0x2500, 0x2580)), " ")
    | dict.fromkeys("'\"`", " ")
    | dict.fromkeys("¦│┃║", "|")
)
"""Characters of drawn boxes, and quotes; verticals part cells."""
_STROKES = re.compile(r"[-=]{3}")
_CROSSES = frozenset("-+=:")
_RULING = _CROSSES | frozenset("|*., \t")
_BLANKS = frozenset(".0*_")
_ODD_BLANKS = frozenset("xX?-·•□◦")
"""Signs of an empty cell in other programs."""


def drawn_rows(text: str) -> list[str]:
    """Return the cells of each line that has some.

    Lines of dashes divide a board, unless dashes are cells in other lines of it.
    """
    # Empty lines must be cheap: a text may have thousands of them.
    lines = [line for line in text.translate(_FRAMES).splitlines() if line and not line.isspace()]
    cells = [_cells_of(line) for line in lines]
    dashed = next((row for row in cells if "-" in row and not set(row) <= _CROSSES), "")
    drawn = [
        (line, row)
        for line, row in zip(lines, cells, strict=True)
        if row
        and (
            row == "-" * len(dashed)
            or not (set(row) <= _CROSSES or (_STROKES.search(line) and set(line) <= _RULING))
        )
    ]
    # A separator may end each line, with no cell behind it.
    ends = [line.strip(" ")[-1] for line, _ in drawn]
    has_ends = all(
        end in ",;\t" and line.count(end) == len(drawn) == len(row) - 1
        for end, (line, row) in zip(ends, drawn, strict=True)
    )
    return [row[: len(drawn)] if has_ends else row for _, row in drawn]


def with_dots(cells: str) -> str:
    """Return cells with ``.`` for their blank, where it is another program's and the only one."""
    blanks = set(cells) & (_BLANKS | _ODD_BLANKS)
    is_odd = len(blanks) == 1 and blanks <= _ODD_BLANKS and blanks != set(cells)
    return cells.replace(blanks.pop(), ".") if is_odd else cells


def _cells_of(line: str) -> str:
    """Return the cells of a line; an empty field between separators is a blank cell."""
    bare = line.strip(" ")
    for separator in "|,;\t":
        fields = bare.removeprefix("|").removesuffix("|").split(separator)
        marks = [field.strip() for field in fields]
        if len(marks) > 3 and all(len(mark) <= 1 for mark in marks):
            return "".join(mark or "." for mark in marks)
    return "".join(re.split(r"[\s|,;]+", bare))
