"""Training examples as arrays, and what every source of them offers."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gram_core.puzzles import PAD, AnyFamily, Task, Tokens

NUM_AUXILIARY = 5
"""Classes of the auxiliary head: none, and the four moves of a maze."""


class Examples(NamedTuple):
    """Puzzles with compatible solutions, the first of them drawn uniformly."""

    givens: Tokens
    """(count, length)."""
    targets: Tokens
    """(count, max_targets, length), padded with PAD."""
    adjacency: NDArray[np.bool_] | None = None
    """(count, length, length) for graph tasks."""
    auxiliary: Tokens | None = None
    """(count, 3, length): what else a cell is to tell while training, 0 for nothing, and the
    supervision steps from which on it can know that, and its answer."""


class Source(Protocol):
    """Draws training examples for one task."""

    task: Task
    max_targets: int

    def draw(self, count: int, progress: float, rng: np.random.Generator) -> Examples:
        """Draw fresh examples; ``progress`` in 0..1 is the share of the budget used."""
        ...


def augmented(
    examples: Examples, family: AnyFamily, task: Task, rng: np.random.Generator
) -> Examples:
    """Return the examples, each seen through its own random symmetry."""
    views = family.symmetries(task, rng, len(examples.givens))
    rows = zip(views, examples.givens, examples.targets, strict=True)
    pairs = [(view.apply(givens), view.apply(targets)) for view, givens, targets in rows]
    adjacency = examples.adjacency
    if adjacency is not None:
        seen = zip(views, adjacency, strict=True)
        adjacency = np.stack([view.apply_adjacency(edges) for view, edges in seen])
    return Examples(
        givens=np.stack([pair[0] for pair in pairs]),
        targets=np.stack([pair[1] for pair in pairs]),
        adjacency=adjacency,
    )


def pack_targets(solutions: Tokens, max_targets: int, rng: np.random.Generator) -> Tokens:
    """Return (max_targets, length): solutions in random order, cut or padded with PAD."""
    chosen = rng.permutation(len(solutions))[:max_targets]
    packed = np.full((max_targets, solutions.shape[1]), PAD, dtype=np.uint8)
    packed[: len(chosen)] = solutions[chosen]
    return packed
