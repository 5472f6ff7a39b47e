"""Light Up boards with a known number of solutions, and the search that counts them.

Knows bulbs, walls and sight; does not know tokens.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np

from gram_core.errors import GenerateFailed
from gram_core.puzzles.light_up.board import BULB, EMPTY, WALL, WALLS, LightUpBoard

_MAX_BOARDS = 500
_MAX_NODES = 2000

Bulbs = frozenset[int]


class _TooLong(Exception):
    """The search of a board took too many steps: it has too many solutions, in effect."""


def generate(
    rows: int, columns: int, rng: np.random.Generator, *, num_solutions: int | None
) -> LightUpBoard:
    """Return a board with exactly that many solutions (None: at least one)."""
    for _ in range(_MAX_BOARDS):
        board = _numbered(rows, columns, rng)
        numbers = rng.permutation(list(board.wanted)).tolist()
        if num_solutions is None:
            kept = rng.integers(len(numbers) + 1)
            return _without(board, numbers[kept:])
        reached = _count(board, num_solutions)
        for place in numbers if reached == 1 else ():
            lighter = _without(board, [place])
            found = _count(lighter, num_solutions)
            if found <= num_solutions:
                board, reached = lighter, found
        if reached == num_solutions:
            return board
    raise GenerateFailed(f"found no {rows}x{columns} light-up with {num_solutions} solutions")


def solutions(board: LightUpBoard, *, max_nodes: int = _MAX_NODES) -> Iterator[Bulbs]:
    """Yield the places of the bulbs of each solution; raise ``_TooLong`` after so many guesses."""
    given = frozenset(place for place, cell in enumerate(board.cells) if cell == BULB)
    dark = frozenset(place for place, cell in enumerate(board.cells) if cell not in WALLS)
    closed = frozenset(place for bulb in given for place in board.seen[bulb])
    stack = [(given, dark - closed)]
    num_nodes = 0
    while stack:
        num_nodes += 1
        if num_nodes > max_nodes:
            raise _TooLong
        settled = _settle(board, *stack.pop())
        if settled is None:
            continue
        bulbs, free = settled
        lit = frozenset(place for bulb in bulbs for place in board.seen[bulb])
        choices = [board.seen[place] & free for place in dark - lit]
        # A cell beside a number that is short of bulbs has to be decided too, lit or not.
        short = [
            free.intersection(beside)
            for number, beside in board.wanted.values()
            if len(bulbs.intersection(beside)) < number
        ]
        if not choices and not short:
            yield bulbs
            continue
        fewest = min(choices or short, key=lambda each: (len(each), sorted(each)))
        place = min(fewest)
        stack.append((bulbs, free - {place}))
        stack.append((bulbs | {place}, free - board.seen[place]))


def _settle(board: LightUpBoard, bulbs: Bulbs, free: Bulbs) -> tuple[Bulbs, Bulbs] | None:
    """Return bulbs and free cells after what numbers and dark cells force; None if they cannot."""
    while (needs := _needs(board, bulbs, free)) is not None:
        closed = frozenset().union(*(places for count, places in needs if count == 0))
        forced = frozenset().union(*(each for count, each in needs if count == len(each)))
        if not closed and not forced:
            return bulbs, free
        free -= closed
        for place in forced:
            if place not in free:
                return None
            bulbs, free = bulbs | {place}, free - board.seen[place]
    return None


def _needs(board: LightUpBoard, bulbs: Bulbs, free: Bulbs) -> list[tuple[int, Bulbs]] | None:
    """Return how many bulbs are missing in which free cells; None where they are too few or many.

    One or more light a dark cell: those with a single free cell to be lit from are named.
    """
    needs = []
    for number, beside in board.wanted.values():
        missing, places = number - len(bulbs.intersection(beside)), free.intersection(beside)
        if not 0 <= missing <= len(places):
            return None
        if places:
            needs.append((missing, places))
    lit = frozenset(place for bulb in bulbs for place in board.seen[bulb])
    for place, seen in enumerate(board.seen):
        if seen and place not in lit:
            places = seen & free
            if not places:
                return None
            if len(places) == 1:
                needs.append((1, places))
    return needs


def _count(board: LightUpBoard, most: int) -> int:
    try:
        return sum(1 for _ in islice(solutions(board), most + 1))
    except _TooLong:
        return most + 1


def _numbered(rows: int, columns: int, rng: np.random.Generator) -> LightUpBoard:
    """Return random walls with the numbers of a random solution."""
    is_wall = rng.random(rows * columns) < rng.uniform(0.12, 0.35)
    cells = [WALL if wall else EMPTY for wall in is_wall]
    board = LightUpBoard(columns=columns, cells="".join(cells))
    dark = {place for place, cell in enumerate(cells) if cell == EMPTY}
    bulbs: set[int] = set()
    for place in rng.permutation(len(cells)).tolist():
        if place in dark:
            bulbs.add(place)
            dark -= board.seen[place]
    ones = board.cells.replace(WALL, "0")
    for place, (_, beside) in replace(board, cells=ones).wanted.items():
        cells[place] = str(len(bulbs.intersection(beside)))
    return replace(board, cells="".join(cells))


def _without(board: LightUpBoard, numbers: list[int]) -> LightUpBoard:
    cells = [WALL if place in numbers else cell for place, cell in enumerate(board.cells)]
    return replace(board, cells="".join(cells))
