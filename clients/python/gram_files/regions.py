"""Maps of regions beside boards, which make jigsaw sudokus of them."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from gram_files.entries import Entry, Item, Unread

FIELDS = ("regions", "region_map", "areas", "layout", "shapes")
"""Names of the field that holds a map."""
MIN_SIDE, MAX_SIDE = 3, 9
BLANKS = frozenset(".*_")


class RegionMap(NamedTuple):
    """A map that stands by itself, before its board or behind it."""

    source: str
    rows: Sequence[str]


def is_map(signs: str) -> bool:
    """Return whether cells are named by as many regions as a row has, of as many cells each.

    In a board no sign but a blank stands twice in a row, in a map of regions some do.
    """
    side = math.isqrt(len(signs))
    if not MIN_SIDE <= side <= MAX_SIDE or side**2 != len(signs) or BLANKS & {*signs}:
        return False
    rows = [signs[start : start + side].replace("0", "") for start in range(0, len(signs), side)]
    is_even = {*Counter(signs).values()} == {side}
    return is_even and any(len({*row}) < len(row) for row in rows)


def map_in(fields: Mapping[str, object]) -> object:
    """Return the map that a record has beside its board; None where it has none."""
    by_name = {name.casefold(): value for name, value in fields.items()}
    found = (by_name[name] for name in FIELDS if name in by_name)
    return next((each for each in found if is_map(_signs(each)) or _has_cells(each)), None)


def jigsaw(grid: object, regions: object) -> dict[str, object]:
    return {"puzzle": "jigsaw", "grid": grid, "regions": regions}


def with_maps(items: Iterable[Item | RegionMap]) -> Iterator[Item]:
    """Yield items, each map joined with the board of its size before it, or else behind it."""
    held: Entry | None = None
    waiting: RegionMap | None = None
    for item in items:
        if isinstance(item, RegionMap):
            if held is not None and _fits(held, item):
                yield _joined(held, item)
            else:
                yield from _alone(held, waiting)
                waiting = item
            held = None
        elif waiting is not None and isinstance(item, Entry) and _fits(item, waiting):
            yield _joined(item, waiting)
            waiting = None
        else:
            yield from _alone(held)
            held = item if isinstance(item, Entry) else None
            yield from _alone(item if held is None else None)
    yield from _alone(held, waiting)


def _fits(entry: Entry, regions: RegionMap) -> bool:
    board = entry.puzzle.replace("\n", "") if isinstance(entry.puzzle, str) else ""
    return len(board) == len(regions.rows) ** 2


def _joined(entry: Entry, regions: RegionMap) -> Entry:
    return entry._replace(puzzle=jigsaw(entry.puzzle, [*regions.rows]))


def _alone(*items: Item | RegionMap | None) -> Iterator[Item]:
    for item in items:
        if isinstance(item, RegionMap):
            yield Unread(item.source, "is a map of regions, with no board of its size beside it")
        elif item is not None:
            yield item


def _signs(value: object) -> str:
    """Return the names of regions, of one sign each, in a text or in rows."""
    if isinstance(value, str):
        return "".join(value.split())
    rows = value if isinstance(value, list) else []
    cells = [cell for row in rows for cell in (row if isinstance(row, list) else [row])]
    return "".join(map(str, cells)) if all(isinstance(cell, str | int) for cell in cells) else ""


def _has_cells(value: object) -> bool:
    """Return whether a map lists the cells of each region."""
    groups = value if isinstance(value, list) else [None]
    return all(
        isinstance(group, list)
        and len(group) == len(groups)
        and all(isinstance(cell, list) and len(cell) == 2 for cell in group)
        for group in groups
    )
