"""A puzzle as the model and the verifier see it: shapes, tokens, symmetries, violations.

Knows no family and no torch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gram_kernels.tokens import FIRST_VALUE, Unit

Tokens = NDArray[np.uint8]
"""Integer tokens, shape (length,) or (batch, length)."""

Answer = object
"""An answer in the form the user posted: see each family's ``decode``."""


@dataclass(frozen=True, slots=True)
class Task:
    """The token shapes one checkpoint is made for: a family at one size, such as ``sudoku-9x9``."""

    name: str
    family: str
    size: int
    """Side of the board, or number of vertices."""
    length: int
    """Tokens per instance."""
    num_values: int
    """Values a cell may take; the vocabulary has num_values + 2 tokens."""
    rows: int
    columns: int
    """Layout of the tokens for 2-D positions: rows * columns == length."""
    units: tuple[Unit, ...] = ()
    """Units that every instance shares; empty where the units belong to the instance (graphs)."""
    has_adjacency: bool = False
    """Whether an instance carries its own (length, length) relation: the edges of a graph."""
    allows_blank: bool = False
    """Whether BLANK is a legal token of an answer (an empty square of a queens board)."""
    has_other_rules: bool = False
    """Whether an answer that keeps every unit may still be wrong (a path that is not shortest):
    then ``check`` confirms each answer that the device verifier accepts."""
    paper_inner_steps: int = 4
    """Inner steps (K) of the published experiments on this family."""

    @property
    def vocabulary(self) -> int:
        """Number of tokens: pad, blank and the values."""
        return self.num_values + FIRST_VALUE


@dataclass(frozen=True, slots=True)
class Encoded:
    """An instance as the model and the verifier see it."""

    tokens: Tokens
    """(length,): BLANK, or the token of the given value."""
    adjacency: NDArray[np.bool_] | None = None
    """(length, length), symmetric, without the diagonal; None where the task has no graph."""

    def through(self, symmetry: "Symmetry | None") -> "Encoded":
        """Return the instance under a symmetry; None is the board as posted."""
        if symmetry is None:
            return self
        graph = self.adjacency
        return Encoded(
            tokens=symmetry.apply(self.tokens),
            adjacency=None if graph is None else symmetry.apply_adjacency(graph),
        )


@dataclass(frozen=True, slots=True)
class Symmetry:
    """A rule-preserving transformation: ``view[i] = values[tokens[positions[i]]]``."""

    positions: NDArray[np.int64]
    """(length,) permutation of cells."""
    values: NDArray[np.uint8]
    """(vocabulary,) permutation of tokens; PAD and BLANK stay."""

    def apply(self, tokens: Tokens) -> Tokens:
        """Return the transformed view of tokens, shape (..., length)."""
        return self.values[tokens[..., self.positions]]

    def apply_adjacency(self, adjacency: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the relation after the transformation, shape (length, length)."""
        return adjacency[np.ix_(self.positions, self.positions)]

    def invert(self, view: Tokens) -> Tokens:
        """Return the tokens whose view this is, shape (..., length)."""
        tokens = np.empty_like(view)
        tokens[..., self.positions] = np.argsort(self.values).astype(np.uint8)[view]
        return tokens


def shuffled_values(task: Task, rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """Return (count, vocabulary) ``Symmetry.values`` that permute the values at random."""
    tokens = np.broadcast_to(np.arange(task.vocabulary, dtype=np.uint8), (count, task.vocabulary))
    values = tokens.copy()
    values[:, FIRST_VALUE:] = rng.permuted(tokens[:, FIRST_VALUE:], axis=1)
    return values


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule of an answer, for display."""

    rule: str
    """The unit's name (``row 4``), ``given`` where a given value was changed, or ``blank`` where a
    cell holds no legal value."""
    cells: tuple[tuple[int, ...], ...]
    """The clashing cells in the user's coordinates: (row, column) on a board, (vertex,) in a graph;
    the whole unit where something is missing from it."""
