"""Colouring instances with a known number of solutions, grown around a hidden colouring.

Knows vertices and colours; the search itself is in ``backtracking``.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from gram_core.errors import GenerateFailed
from gram_core.puzzles.backtracking import MAX_NODES, SearchTooLong, count_solutions
from gram_core.puzzles.graph_coloring.graph import Edge

_MAX_GRAPHS = 200


def generate(
    vertices: int, colors: int, rng: np.random.Generator, *, num_solutions: int | None
) -> list[Edge]:
    """Return edges with exactly ``num_solutions`` colourings (None: at least one).

    Colourings that differ by a renaming of colours count once.
    """
    for _ in range(_MAX_GRAPHS):
        hidden = rng.integers(colors, size=vertices).tolist()
        pairs = [
            (one, other)
            for one, other in combinations(range(vertices), 2)
            if hidden[one] != hidden[other]
        ]
        edges = [pairs[index] for index in rng.permutation(len(pairs))]
        if num_solutions is None:
            return edges[: rng.integers(len(edges) + 1)]
        chosen = _choose(edges, vertices, colors, num_solutions)
        if chosen is not None:
            return chosen
    raise GenerateFailed(
        f"found no graph of {vertices} vertices with {num_solutions} colourings in {colors} colours"
    )


def count(edges: Sequence[Edge], vertices: int, colors: int, *, limit: int) -> int:
    """Return the number of colourings up to renaming, at most ``limit``."""
    neighbours: list[list[int]] = [[] for _ in range(vertices)]
    for one, other in edges:
        neighbours[one].append(other)
        neighbours[other].append(one)
    exclusions = [
        [[(other, 1 << color) for other in near] for color in range(colors)] for near in neighbours
    ]
    everything = (1 << colors) - 1
    return count_solutions(
        [everything] * vertices,
        exclusions,
        limit=limit,
        interchangeable=everything,
        max_nodes=MAX_NODES,
    )


def _choose(
    edges: Sequence[Edge], vertices: int, colors: int, num_solutions: int
) -> list[Edge] | None:
    """Return edges with exactly ``num_solutions`` colourings; None if that is not reached."""
    chosen: list[Edge] = []
    left = list(edges)
    while True:
        fewest = _shortest_prefix(chosen, left, vertices, colors, num_solutions)
        if fewest is None:
            return None
        taken = chosen + left[:fewest]
        if count(taken, vertices, colors, limit=num_solutions + 1) == num_solutions:
            return taken
        if fewest == 0:
            # Even without edges there are not enough colourings.
            return None
        # The last edge of the prefix excluded too many colourings at once: skip it.
        chosen, left = taken[:-1], left[fewest:]


def _shortest_prefix(
    chosen: Sequence[Edge], left: Sequence[Edge], vertices: int, colors: int, most: int
) -> int | None:
    """Return how many of ``left`` leave at most ``most`` colourings; None if all leave more."""

    def is_enough(number: int) -> bool:
        try:
            found = count([*chosen, *left[:number]], vertices, colors, limit=most + 1)
        except SearchTooLong:
            return False
        return found <= most

    if not is_enough(len(left)):
        return None
    return bisect_left(range(len(left)), True, key=is_enough)
