"""Random graphs that can be coloured, each with all of its colourings.

Knows no splits or pools: callers select graphs by a key that isomorphic graphs share.
"""

from collections.abc import Callable, Iterator
from itertools import permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gram_core.puzzles import FIRST_VALUE, Task, Tokens

EdgeProbabilities = tuple[float, float]
"""Bounds of each graph's edge probability."""


class Drawn(NamedTuple):
    """A graph and its colourings."""

    adjacency: NDArray[np.bool_]
    """(vertices, vertices), symmetric."""
    colorings: Tokens
    """(count, vertices), every naming of the colours, in ascending order."""


def random_graphs(
    task: Task,
    rng: np.random.Generator,
    *,
    edge_probabilities: EdgeProbabilities,
    is_wanted: Callable[[bytes], bool],
) -> Iterator[Drawn | None]:
    """Yield Erdos-Renyi graphs endlessly; None for one that is unwanted or has no colouring."""
    size = task.size
    low, high = edge_probabilities
    while True:
        edges = np.triu(rng.random((size, size)) < rng.uniform(low, high), 1)
        adjacency = edges | edges.T
        if not is_wanted(graph_key(adjacency)):
            yield None
            continue
        classes = coloring_classes(adjacency, task.num_values)
        yield Drawn(adjacency, _named(classes, task.num_values)) if len(classes) else None


def coloring_classes(adjacency: NDArray[np.bool_], num_colors: int) -> Tokens:
    """Return the proper colourings up to a renaming of colours, (count, vertices) from 0.

    Colours are named by first appearance, vertex by vertex, so each class comes once.
    """
    partial = np.zeros((1, 0), dtype=np.uint8)
    num_used = np.zeros(1, dtype=np.int64)
    for vertex in range(len(adjacency)):
        is_open = np.arange(num_colors)[None] <= num_used[:, None]  # (partial, colours)
        for neighbour in np.flatnonzero(adjacency[vertex, :vertex]):
            is_open[np.arange(len(partial)), partial[:, neighbour]] = False
        rows, chosen = np.nonzero(is_open)
        partial = np.concatenate((partial[rows], chosen[:, None].astype(np.uint8)), axis=1)
        num_used = np.maximum(num_used[rows], chosen + 1)
    return partial


def _named(classes: Tokens, num_colors: int) -> Tokens:
    """Return every naming of the colours of every class as tokens, in ascending order."""
    names = np.array(list(permutations(range(num_colors))), dtype=np.uint8)
    every = names[:, classes].reshape(-1, classes.shape[1])
    places = num_colors ** np.arange(classes.shape[1])[::-1]
    # Permutations of an unused colour give duplicates.
    _, first = np.unique(every.astype(np.int64) @ places, return_index=True)
    tokens: Tokens = every[first] + np.uint8(FIRST_VALUE)
    return tokens


def graph_key(adjacency: NDArray[np.bool_]) -> bytes:
    """Return a key that isomorphic graphs share: the sorted walk counts of every vertex."""
    walks = adjacency.astype(np.int64)
    counts = [walks.sum(axis=1)]
    power = walks
    for _ in range(4):
        power = power @ walks
        counts += [power.sum(axis=1), np.diag(power)]
    rows = np.stack(counts, axis=1)
    key: bytes = rows[np.lexsort(rows.T[::-1])].tobytes()
    return key
