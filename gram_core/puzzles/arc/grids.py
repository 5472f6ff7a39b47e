"""A task of the corpus as people write it: pairs of grids that show a rule, and a grid to map.

Reads hostile bodies; knows no tokens.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gram_core.puzzles.body import describe, is_integer, read_integer, read_list, refuse

MAX_SIDE = 30
"""Of a grid, as in the corpus."""
MAX_GRIDS = 20
"""Pairs of a task, or inputs to answer."""
NUM_COLORS = 10
NUM_SHOWN = 3
"""Pairs that a model sees, from the first; most tasks have no more."""

Grid = tuple[tuple[int, ...], ...]
"""Rows of colors, 0 to 9, all of one length."""


class Pair(NamedTuple):
    """A grid, and what the rule of the task makes of it."""

    input: Grid
    output: Grid


@dataclass(frozen=True, slots=True)
class ArcTask:
    """Pairs that show a rule, and the one grid whose output is wanted."""

    pairs: tuple[Pair, ...]
    test: Grid
    side: int
    """Of the square that takes each grid."""
    is_learned: bool = False
    """Whether it is as models see it that know its pairs by heart."""

    @property
    def shown(self) -> tuple[Pair, ...]:
        """The pairs that a model sees."""
        return self.pairs[:NUM_SHOWN]


def arc_task(pairs: Iterable[Pair], test: Grid) -> ArcTask:
    """Return a task with the smallest square that takes each of the grids that a model sees."""
    known = tuple(pairs)
    grids = [test, *(grid for pair in known[:NUM_SHOWN] for grid in pair)]
    return ArcTask(known, test, max(max(len(grid), len(grid[0])) for grid in grids))


def read_task(fields: Mapping[str, object]) -> ArcTask:
    """Return the task of a body; outputs of test grids, which published tasks have, are ignored."""
    pairs = []
    for number, pair in enumerate(_read_objects(fields.get("train"), "train")):
        field = f"train[{number}]"
        pairs.append(
            Pair(
                _read_grid(pair.get("input"), f"{field}.input"),
                _read_grid(pair.get("output"), f"{field}.output"),
            )
        )
    tests = _read_objects(fields.get("test"), "test")
    index = fields.get("test_index")
    if index is None and len(tests) > 1:
        detail = f"is missing: test has {len(tests)} grids, of which one is answered, from 0"
        refuse("test_index", detail)
    chosen = 0 if index is None else index
    chosen = read_integer(chosen, "test_index", low=0, high=len(tests) - 1)
    return arc_task(pairs, _read_grid(tests[chosen].get("input"), f"test[{chosen}].input"))


def _read_objects(value: object, field: str) -> Sequence[Mapping[str, object]]:
    items = read_list(value, field, max_items=MAX_GRIDS)
    if not items:
        refuse(field, "is empty")
    found = []
    for number, item in enumerate(items):
        if not isinstance(item, Mapping):
            refuse(f"{field}[{number}]", f"must be an object, not {describe(item)}")
        found.append(item)
    return found


def _read_grid(value: object, field: str) -> Grid:
    rows = read_list(value, field, max_items=MAX_SIDE)
    if not rows:
        refuse(field, "is empty")
    grid: list[tuple[int, ...]] = []
    for number, row in enumerate(rows):
        cells = read_list(row, f"{field}[{number}]", max_items=MAX_SIDE)
        if not cells or (grid and len(cells) != len(grid[0])):
            detail = f"has {len(cells)} cells: rows of one grid have the same number, at least 1"
            refuse(f"{field}[{number}]", detail)
        grid.append(tuple(_read_color(cell, f"{field}[{number}]") for cell in cells))
    return tuple(grid)


def _read_color(value: object, field: str) -> int:
    # Field names are made for the wrong ones only.
    if not is_integer(value) or not 0 <= value < NUM_COLORS:
        return read_integer(value, field, low=0, high=NUM_COLORS - 1)
    return value
