"""Mazes as posted: the instance, its grid and text forms, and their validation.

Knows rows and columns; does not know tokens or symmetries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gram_core.errors import Issue
from gram_core.puzzles.body import (
    check_lengths,
    raise_issues,
    read_list,
    read_text,
    refuse,
    refuse_signs,
)
from gram_core.puzzles.maze.paths import Passages, distances

MAX_SIDE = 64

START, GOAL, WALL, FREE = "S", "G", "#", "."

_CELLS = {START: START, GOAL: GOAL, WALL: WALL, FREE: FREE, " ": FREE}
_CELLS |= dict.fromkeys("█▓⬛", WALL) | {"⬜": FREE}
_MAX_TEXT = 4 * MAX_SIDE * (MAX_SIDE + 1)
_NOUNS = {START: "start", GOAL: "goal"}
_MIN_GATED = 3
"""Least side of a maze whose start and goal may be gaps in the wall around it."""
_MIN_SPACED = 5
"""Fewest signs of a row whose spaces part cells."""
_MIN_DOUBLED = 8
"""Fewest walls beside open cells that are hardly all in pairs by chance."""
_OTHER_ENDS = ("SE", "SF", "ST", "AB", "sg", "se", "sf", "st", "ab")
"""Letters of start and goal in other drawings: read where each stands once and no other does."""

Cell = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MazeGrid:
    """A maze whose goal can be reached from its start."""

    rows: int
    columns: int
    cells: str
    """Row by row: ``S``, ``G``, ``#`` for a wall, ``.`` where free."""
    num_moves: int
    """Length of a shortest path: moves from start to goal."""
    is_text: bool = False
    """Whether it was posted as one string, not as a list of them, and is dumped so."""

    @property
    def start(self) -> int:
        """Position of the start, row by row."""
        return self.cells.index(START)

    @property
    def goal(self) -> int:
        """Position of the goal, row by row."""
        return self.cells.index(GOAL)

    @property
    def passages(self) -> Passages:
        """The open cells, for path search."""
        return passages(self.cells, self.columns)

    def cell(self, position: int) -> Cell:
        """Return row and column of a position."""
        return divmod(position, self.columns)


def passages(cells: str, columns: int) -> Passages:
    """Return the open cells of a drawn maze."""
    return Passages(tuple(cell != WALL for cell in cells), columns)


def make_maze(cells: str, columns: int, *, is_text: bool = False) -> MazeGrid:
    """Return the maze of ``cells``, which hold one start and one goal, or refuse it."""
    start, goal = cells.index(START), cells.index(GOAL)
    num_moves = distances(passages(cells, columns), goal)[start]
    if num_moves is None:
        ends = (divmod(start, columns), divmod(goal, columns))
        refuse(
            "grid",
            f"no way leads from the start at row {ends[0][0]}, column {ends[0][1]} to the goal at "
            f"row {ends[1][0]}, column {ends[1][1]}: walls lie between them",
            cells=ends,
            rule="path",
        )
    return MazeGrid(
        rows=len(cells) // columns,
        columns=columns,
        cells=cells,
        num_moves=num_moves,
        is_text=is_text,
    )


def read_maze(fields: Mapping[str, object]) -> MazeGrid:
    """Read ``grid``; raise ``PuzzleInvalid`` with the place of each error."""
    if "grid" not in fields:
        refuse("grid", "is missing: strings of S, G, # for a wall and . where free, one a row")
    value = fields["grid"]
    if isinstance(value, str):
        text = read_text(value, "grid", max_length=_MAX_TEXT)
        lines = text.splitlines()
        # Empty lines around the drawing go; a line of spaces is a row of free cells.
        filled = [number for number, line in enumerate(lines) if line]
        return _read_lines(lines[filled[0] : filled[-1] + 1] if filled else [], is_text=True)
    rows = read_list(value, "grid", max_items=MAX_SIDE)
    lines = [_read_row(row, f"grid[{index}]") for index, row in enumerate(rows)]
    return _read_lines(lines, is_text=False)


def _read_row(row: object, field: str) -> str:
    """Read a string, or a list of one-character strings."""
    if isinstance(row, list | tuple):
        if any(not isinstance(cell, str) or len(cell) != 1 for cell in row):
            refuse(
                field,
                "holds cells that are no single characters: 1 may be a wall or free; "
                "write S, G, # for a wall and . where free",
            )
        row = "".join(row)
    return read_text(row, field, max_length=_MAX_TEXT)


def _read_lines(lines: Sequence[str], *, is_text: bool) -> MazeGrid:
    if not 1 <= len(lines) <= MAX_SIDE:
        refuse("grid", f"has {len(lines)} rows; a maze has 1 to {MAX_SIDE}")
    columns = len(lines[0])
    if not 1 <= columns <= MAX_SIDE:
        refuse("grid[0]", f"has {columns} cells; a row has 1 to {MAX_SIDE}")
    check_lengths(lines, columns, f"cells; row 0 of this maze has {columns}")
    _check_spacing(lines)
    drawn = _with_gates(_with_our_ends("".join(lines)), columns)
    wrong = (at for at, sign in enumerate(drawn) if sign not in _CELLS)
    told = "a cell is S, G, # for a wall, or . where free"
    refuse_signs(drawn, wrong, columns, told, is_by_row=True)
    raise_issues(issue for mark in _NOUNS for issue in _miscounted(drawn, mark, columns))
    return make_maze("".join(_CELLS[character] for character in drawn), columns, is_text=is_text)


def _check_spacing(lines: Sequence[str]) -> None:
    """Refuse rows with a space after every cell, which may part cells or be a free one.

    Nor are walls read that are all two signs wide, as they are drawn to look as wide as high.
    """
    cells, between = ("".join(line[start::2] for line in lines) for start in (0, 1))
    is_wall = any(set(line[::2]) == {WALL} for line in lines)
    is_spaced = len(lines[0]) >= _MIN_SPACED and not between.strip(" ")
    if is_spaced and (" " not in cells or is_wall):
        refuse("grid", "has a space after every cell: leave them out, or write . where free")
    is_doubled = all(
        (line[at] == WALL) == (line[at + 1] == WALL)
        for line in lines
        for at in range(0, len(line) - 1, 2)
    )
    is_framed = all(WALL * 2 in (line[:2], line[-2:]) for line in lines)
    # A corridor has walls two signs wide above and below it.
    num_beside = sum(line.count(WALL) for line in lines if set(line) != {WALL})
    is_meant = len(lines) >= _MIN_GATED and (is_framed or num_beside >= _MIN_DOUBLED)
    if is_doubled and is_meant and len(lines[0]) % 2 == 0:
        refuse(
            "grid",
            "has every wall two signs wide: write each cell once, or add a column of walls if "
            "they are meant",
        )


def _with_our_ends(drawn: str) -> str:
    """Return a drawing with S and G for the letters that others have for start and goal."""
    letters = "".join(sorted(filter(str.isalpha, drawn)))
    for ends in _OTHER_ENDS:
        if letters == "".join(sorted(ends)):
            return drawn.translate(str.maketrans(ends, START + GOAL))
    return drawn


def _with_gates(drawn: str, columns: int) -> str:
    """Return a drawing without letters with its start and goal in the two gaps of its wall."""
    rows = len(drawn) // columns
    around = [
        at
        for at, sign in enumerate(drawn)
        if (at // columns in (0, rows - 1) or at % columns in (0, columns - 1))
        and _CELLS.get(sign) != WALL
    ]
    is_small = min(rows, columns) < _MIN_GATED
    if len(around) != 2 or is_small or any(map(str.isalpha, drawn)):
        return drawn
    start, goal = around
    return drawn[:start] + START + drawn[start + 1 : goal] + GOAL + drawn[goal + 1 :]


def _miscounted(drawn: str, mark: str, columns: int) -> list[Issue]:
    found = [position for position, character in enumerate(drawn) if character == mark]
    if len(found) == 1:
        return []
    noun = _NOUNS[mark]
    if not found:
        return [Issue("grid", f"has no {noun}: mark one cell {mark}", (), noun)]
    cells = tuple(divmod(position, columns) for position in found)
    shown = ", ".join(str(cell) for cell in cells[:4]) + (", ..." if len(cells) > 4 else "")
    return [
        Issue("grid", f"has {len(cells)} cells {mark}, at {shown}; one is the {noun}", cells, noun)
    ]
