"""The symmetry under which each trajectory sees its instance. Knows no torch."""

import numpy as np

from gram_core.puzzles import Encoded, Family, Instance, Symmetry, Task

_STREAM = 0x76696577
"""Keeps these draws apart from other uses of the same seed."""


def view(family: Family[Instance], task: Task, seed: int, trajectory: int) -> Symmetry | None:
    """Return the view of one trajectory, or None for the board as posted (trajectory 0).

    A pure function of (task, seed, trajectory), so a trajectory can be repeated anywhere.
    """
    if trajectory == 0:
        return None
    key = np.array([seed % 2**64, (_STREAM << 32) | trajectory], dtype=np.uint64)
    return family.symmetry(task, np.random.Generator(np.random.Philox(key=key)))


def through(encoded: Encoded, symmetry: Symmetry | None) -> Encoded:
    """Return an instance under a symmetry; None is the board as posted."""
    if symmetry is None:
        return encoded
    adjacency = encoded.adjacency
    return Encoded(
        tokens=symmetry.apply(encoded.tokens),
        adjacency=None if adjacency is None else symmetry.apply_adjacency(adjacency),
    )
