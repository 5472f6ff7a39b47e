"""Tasks that a model knows by heart: it sees the test grid alone, and which task it is of.

What it has learned of a task is a vector for each view that it was trained in, in a table beside
its weights; ``TASKS_FILE`` of the model directory says whose each is. The tokens are the canvas of
the question, that of the answer, and a row with the vector's number in decimal digits.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gram_core.errors import CheckpointError, UnknownTask
from gram_core.puzzles.arc.grids import MAX_SIDE, NUM_COLORS, ArcTask, Grid, Pair
from gram_core.puzzles.task import Task, Tokens
from gram_kernels.tokens import BLANK, FIRST_VALUE

TASKS_FILE = "tasks.json"
END = FIRST_VALUE + NUM_COLORS
"""Token of the cells at the right of a grid and below it, as far as its sides reach."""
BEYOND = END + 1
"""Token of all other cells outside of a grid."""
NUM_CELLS = MAX_SIDE * MAX_SIDE
ORIGINAL = "t0" + "".join(map(str, range(NUM_COLORS)))

Cells = NDArray[np.int64]
TASK = Task(
    name=f"arc-{MAX_SIDE}x{MAX_SIDE}-learned",
    family="arc",
    size=MAX_SIDE,
    length=2 * NUM_CELLS + MAX_SIDE,
    num_values=NUM_COLORS + 2,
    rows=2 * MAX_SIDE + 1,
    columns=MAX_SIDE,
    has_other_rules=True,
)


class KnownTask(NamedTuple):
    """What a model has learned of one task."""

    first: int
    """Number of its first vector, that of the task as published; the others follow."""
    views: list[str]
    """How each vector's grids are turned and colored, such as ``t30123456789``: each color is
    replaced by the digit at its place, and then grids are turned as ``_turned`` does."""


def key_of(pairs: Iterable[Pair]) -> str:
    """Return what tells a task by the pairs that show its rule, in any order."""
    text = json.dumps(sorted(pairs), separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def known_tasks(folder: Path) -> Mapping[str, KnownTask]:
    """Return what the model of a directory has learned, by ``key_of``."""
    path = folder / TASKS_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {key: KnownTask(**known) for key, known in found.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): import it again") from error


def find_known(instance: ArcTask, folder: Path) -> KnownTask:
    """Return what the model of a directory has learned of a task, or raise ``UnknownTask``."""
    found = known_tasks(folder).get(key_of(instance.pairs))
    if found is None:
        count = len(known_tasks(folder))
        raise UnknownTask(f"{folder.name} knows {count} tasks by heart, of which this is none")
    return found


def write_tokens(question: Grid | Cells, answer: Grid | Cells | None, number: int) -> Tokens:
    """Return the tokens, (length,), of an answer, or of blanks in its place."""
    digits = np.array([int(digit) for digit in f"{number:0{MAX_SIDE}}"]) + FIRST_VALUE
    cells = np.full(NUM_CELLS, BLANK) if answer is None else _write_grid(answer)
    return np.concatenate((_write_grid(question), cells, digits)).astype(np.uint8)


def _write_grid(rows: Grid | Cells) -> Cells:
    cells, grid = np.full((MAX_SIDE, MAX_SIDE), BEYOND), np.array(rows)
    if grid.size:
        height, width = grid.shape
        cells[: height + 1, :width] = END
        cells[:height, : width + 1] = END
        cells[:height, :width] = grid + FIRST_VALUE
    return cells.reshape(-1)


def read_grids(tokens: Tokens) -> tuple[Grid, Grid]:
    """Return question and answer; one without a color at its upper left is empty."""
    question, answer = (_read_grid(part) for part in _parts(tokens)[:2])
    return _as_grid(question), _as_grid(answer)


def _parts(tokens: Tokens) -> list[Tokens]:
    """Return the cells of the question, those of the answer, and the digits."""
    return np.split(tokens, (NUM_CELLS, 2 * NUM_CELLS))


def _read_grid(tokens: Tokens) -> Cells:
    """Return the largest rectangle of colors at the upper left, the flattest of equals."""
    board = tokens.reshape(MAX_SIDE, MAX_SIDE).astype(np.int64) - FIRST_VALUE
    is_color = (board >= 0) & (board < NUM_COLORS)
    widths = np.minimum.accumulate(np.logical_and.accumulate(is_color, axis=1).sum(axis=1))
    height = int((widths * np.arange(1, MAX_SIDE + 1)).argmax()) + 1
    return board[:height, : widths[height - 1]]


def _as_grid(cells: Cells) -> Grid:
    return tuple(map(tuple, cells.tolist())) if cells.size else ()


def _turned(grid: Cells, turn: int) -> Cells:
    """Return a grid turned by quarters, or mirrored: left to right, upside down, by a diagonal."""
    if turn < 4:
        return np.rot90(grid, turn)
    mirrored = (np.fliplr, np.flipud, np.transpose, _by_other_diagonal)
    return mirrored[turn - 4](grid)


def _by_other_diagonal(grid: Cells) -> Cells:
    return np.fliplr(np.rot90(grid))


@dataclass(frozen=True, slots=True)
class LearnedView:
    """A view in which a task was learned: grids lie at the upper left in each of them."""

    turn: int
    colors: Cells
    """(colors,) what each is replaced by."""
    offset: int
    """Number of its vector, less that of the first."""

    def apply(self, tokens: Tokens) -> Tokens:
        """Return tokens, (length,), turned and renamed, with the number of its vector."""
        return self._through(tokens, self.turn, self.colors, self.offset)

    def invert(self, view: Tokens) -> Tokens:
        """Return the tokens that are seen so, of an answer its largest grid."""
        turn = {1: 3, 3: 1}.get(self.turn, self.turn)
        return self._through(view, turn, np.argsort(self.colors), -self.offset)

    def apply_adjacency(self, adjacency: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a relation as it is."""
        return adjacency

    def _through(self, tokens: Tokens, turn: int, colors: Cells, offset: int) -> Tokens:
        question, answer, digits = _parts(tokens)
        seen = [colors[_turned(_read_grid(part), turn)] for part in (question, answer)]
        number = int("".join(map(str, (digits - FIRST_VALUE).tolist())))
        is_open = (answer == BLANK).all()
        return write_tokens(seen[0], None if is_open else seen[1], number + offset)


class LearnedViews:
    """The views in which a task was learned, one after the other; after the last the first again.

    They do not depend on a seed. The first, which is the task as published, is None.
    """

    def __init__(self, known: KnownTask) -> None:
        self._views = known.views

    def __call__(self, trajectory: int) -> LearnedView | None:
        """Return the view of one trajectory."""
        offset = trajectory % len(self._views)
        if not offset:
            return None
        view = self._views[offset]
        return LearnedView(int(view[1]), np.array(list(view[2:]), np.int64), offset)
