"""Shortest paths over the open cells of a board: lengths, numbers, and the paths themselves.

Positions count the cells row by row. Knows no forms and no tokens.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np


class Passages(NamedTuple):
    """The open cells of a board."""

    is_open: Sequence[bool]
    """By position."""
    columns: int


class Descent(NamedTuple):
    """All shortest paths to a goal: from each cell, the moves that reduce the distance."""

    moves: dict[int, tuple[int, ...]]
    """Next positions, in the order down, left, right, up; for cells that reach the goal."""
    goal: int


def neighbours(passages: Passages, position: int) -> Iterator[int]:
    """Yield the open neighbours of a position, in the order down, left, right, up."""
    is_open, columns = passages
    column = position % columns
    if position + columns < len(is_open) and is_open[position + columns]:
        yield position + columns
    if column > 0 and is_open[position - 1]:
        yield position - 1
    if column + 1 < columns and is_open[position + 1]:
        yield position + 1
    if position >= columns and is_open[position - columns]:
        yield position - columns


def distances(passages: Passages, source: int) -> list[int | None]:
    """Return the moves from each cell to the source; None if it is unreachable."""
    found: list[int | None] = [None] * len(passages.is_open)
    found[source] = 0
    waiting = deque([(source, 0)])
    while waiting:
        position, distance = waiting.popleft()
        for adjacent in neighbours(passages, position):
            if found[adjacent] is None:
                found[adjacent] = distance + 1
                waiting.append((adjacent, distance + 1))
    return found


def descent(passages: Passages, goal: int) -> Descent:
    """Return the moves of all shortest paths to a goal."""
    away = distances(passages, goal)
    moves = {
        position: tuple(
            adjacent
            for adjacent in neighbours(passages, position)
            if away[adjacent] == distance - 1
        )
        for position, distance in enumerate(away)
        if distance is not None
    }
    return Descent(moves, goal)


def all_paths(towards: Descent, start: int) -> Iterator[list[int]]:
    """Yield every shortest path, ends included, by the order of their moves."""
    stack = [[start]]
    while stack:
        path = stack.pop()
        if path[-1] == towards.goal:
            yield path
        # The stack pops from its end.
        stack += [[*path, adjacent] for adjacent in reversed(towards.moves[path[-1]])]


def num_paths(towards: Descent, start: int) -> dict[int, int]:
    """Return the number of shortest paths to the goal, by cell on one from the start."""
    order, seen = [start], {start}
    for position in order:
        fresh = [adjacent for adjacent in towards.moves[position] if adjacent not in seen]
        seen.update(fresh)
        order += fresh
    # In breadth-first order the last cells are nearest to the goal.
    numbers: dict[int, int] = {towards.goal: 1}
    for position in reversed(order):
        if position != towards.goal:
            numbers[position] = sum(numbers[adjacent] for adjacent in towards.moves[position])
    return numbers


def random_path(
    towards: Descent, numbers: dict[int, int], start: int, rng: np.random.Generator
) -> list[int]:
    """Draw a shortest path, ends included, uniformly."""
    path = [start]
    while path[-1] != towards.goal:
        options = towards.moves[path[-1]]
        drawn = rng.random() * numbers[path[-1]]
        for chosen in options:
            drawn -= numbers[chosen]
            if drawn < 0:
                break
        path.append(chosen)
    return path
