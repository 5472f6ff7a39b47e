"""Mazes as other programs draw them: with lines between cells, separators, gaps for the ends."""

import math
import re
from collections.abc import Sequence

BLOCKS = str.maketrans("█▓⬛⬜", "###.")
"""Walls and free cells that are drawn as blocks."""
MAZE = frozenset("#. SG")
ROW = re.compile(r"(?=.*[#.])[#. ]*(?:[SEFTABseftabg][#. ]*){0,2}")
ENDS = tuple(map(set, ("SG", "SE", "SF", "ST", "AB")))
"""Letters that people have for the start and the goal of a maze."""
MIN_FLAT = 3
"""Least side of a maze on one line, and of one whose ends are gaps."""
CORNERS = frozenset("+┌┐└┘├┤┬┴┼╔╗╚╝╠╣╦╩╬┏┓┗┛┣┫┳┻╋╭╮╯╰")
LINES = CORNERS | frozenset("-|─│═║━┃╴╵╶╷")
CELLS_ONLY = re.compile(r"[#.SGEFTABseftabg ]?([,;\t][#.SGEFTABseftabg ]?)+")


def is_maze_row(line: str) -> bool:
    return set(line) <= MAZE or ROW.fullmatch(line) is not None


def is_maze(drawing: str) -> bool:
    """Return whether rows of a maze have a start and a goal, or two gaps in the wall for them.

    With our letters one of the two is enough, for whoever knows the rules to say what is missing.
    """
    ends = set(drawing) - set("#. \n")
    capitals = {end.upper() for end in ends}
    is_marked = (bool(ends) and ends <= MAZE) or any(pair <= capitals for pair in ENDS)
    return is_marked or (not ends and num_gaps(drawing.split("\n")) == 2)


def num_gaps(rows: Sequence[str]) -> int:
    """Return how many open cells a wall around a drawing has."""
    if len(rows) < MIN_FLAT or len({*map(len, rows)}) > 1 or len(rows[0]) < MIN_FLAT:
        return 0
    around = rows[0] + rows[-1] + "".join(row[0] + row[-1] for row in rows[1:-1])
    return len(around) - around.count("#")


def halved(drawing: str) -> str | None:
    """Return a walled maze whose cells are two signs wide, as high as wide in print, one wide."""
    rows = drawing.split("\n")
    pairs = [[row[at : at + 2] for at in range(0, len(row), 2)] for row in rows]
    is_even = len(rows) >= MIN_FLAT and {len(row) % 2 for row in rows} == {0}
    cells = ["".join("#" if pair == "##" else _mark(pair) for pair in row) for row in pairs]
    is_paired = is_even and all("#" not in pair or pair == "##" for row in pairs for pair in row)
    is_walled = is_paired and num_gaps(cells) <= 2 and "#" in {cells[0][0], cells[-1][-1]}
    is_whole = is_walled and is_maze("\n".join(cells))
    return "\n".join(_with_ends(cells)) if is_whole else None


def _mark(pair: str) -> str:
    """Return the letter of a cell two signs wide, or a free cell; ``?`` for two letters."""
    letters = {*pair} - {".", " "}
    return letters.pop() if len(letters) == 1 else "?" if letters else "."


def in_rows(maze: str) -> str | None:
    """Return a square maze that is written on one line, as tables have them, in rows."""
    side = math.isqrt(len(maze))
    if side < MIN_FLAT or side**2 != len(maze) or not (is_maze_row(maze) and is_maze(maze)):
        return None
    return "\n".join(maze[start : start + side] for start in range(0, len(maze), side))


def without_separators(line: str) -> str:
    """Return a row of a maze whose cells are fields; any other line as it is."""
    if CELLS_ONLY.fullmatch(line) is None:
        return line
    return "".join(cell.strip() or "." for cell in re.split("[,;\t]", line))


def of_lines(rows: Sequence[str]) -> list[str] | None:
    """Return a maze that is drawn with lines, as rows of ``#`` and ``.``; None for anything else.

    Walls, cells and what is between two cells become one sign each, so that a cell at (r, c) of
    the drawing stands at row 2 r + 1 and column 2 c + 1.
    """
    width = max(map(len, rows), default=0)
    rows = [row.ljust(width) for row in rows]
    corners = {at for row in rows[::2] for at, sign in enumerate(row) if sign in CORNERS}
    pitch = math.gcd(*corners)
    if pitch < 2 or (width - 1) % pitch or len(rows) % 2 == 0 or min(corners) or len(rows) < 3:
        return None
    cells = [_cells(row, pitch, is_between=bool(at % 2)) for at, row in enumerate(rows)]
    drawing = "\n".join(cells)
    return _with_ends(cells) if "?" not in drawing and is_maze(drawing) else None


def _with_ends(rows: list[str]) -> list[str]:
    """Return a maze whose ends are gaps with letters there: lines are of no other puzzle."""
    if set("".join(rows)) - {"#", "."}:
        return rows
    last, width = len(rows) - 1, len(rows[0]) - 1
    drawn = [list(row) for row in rows]
    around = [(row, at) for row in range(last + 1) for at in range(width + 1)]
    around = [(row, at) for row, at in around if row in (0, last) or at in (0, width)]
    gaps = [(row, at) for row, at in around if drawn[row][at] != "#"]
    for (row, at), end in zip(gaps, "SG", strict=True):
        drawn[row][at] = end
    return ["".join(row) for row in drawn]


def _cells(row: str, pitch: int, *, is_between: bool) -> str:
    """Return the signs of a row, ``?`` for what is neither a wall nor a cell."""
    found = ""
    for start in range(0, len(row), pitch):
        # Where lines cross, no way leads through.
        found += _sign(row[start]) if is_between else "#"
        found += _sign(row[start + 1 : start + pitch]) if start + 1 < len(row) else ""
    return found


def _sign(part: str) -> str:
    bare = part.strip(" .")
    if not bare or (len(bare) == 1 and bare.isalpha()):
        return bare or "."
    return "#" if set(bare) <= LINES and len(bare) == len(part) else "?"
