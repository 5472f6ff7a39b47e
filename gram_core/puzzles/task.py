"""A puzzle as the model and the verifier see it: shapes, tokens, symmetries, violations.

Broken rules, and what givens leave no value for, are found by reading the units. Knows no family
and no torch.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gram_kernels.tokens import BLANK, FIRST_VALUE, Constraint, Unit

Tokens = NDArray[np.uint8]
"""Integer tokens, shape (length,) or (batch, length)."""

PositionToCell = Callable[[int], tuple[int, ...]]
"""Maps a position in the token sequence to the user's coordinates."""

Answer = object
"""An answer in the form the user posted: see each family's ``decode``."""


@dataclass(frozen=True, slots=True)
class Task:
    """The token shapes of a model: a family at one size, such as ``sudoku-9x9``."""

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
    relations: tuple[str, ...] = ()
    """What the heads of a model follow: kinds of units, ``near``, ``edge`` or ``any``; without any,
    ``config.preset`` chooses."""
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

    def through(self, symmetry: "View | None") -> "Encoded":
        """Return the instance under a symmetry; None is the board as posted."""
        if symmetry is None:
            return self
        graph = self.adjacency
        return Encoded(
            tokens=symmetry.apply(self.tokens),
            adjacency=None if graph is None else symmetry.apply_adjacency(graph),
        )


class View(Protocol):
    """How a trajectory sees an instance; ``Symmetry`` is one for all instances of a task."""

    def apply(self, tokens: Tokens) -> Tokens:
        """Return tokens, (length,), as they are seen."""
        ...

    def apply_adjacency(self, adjacency: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the relation, (length, length), as it is seen."""
        ...

    def invert(self, view: Tokens) -> Tokens:
        """Return the tokens, (length,), that are seen so."""
        ...


ViewOf = Callable[[int], View | None]
"""Returns how a trajectory sees its instance; None as it was posted."""


class Symmetry(NamedTuple):
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


@dataclass(frozen=True, slots=True)
class Symmetries:
    """Several symmetries of one task, drawn as arrays."""

    positions: NDArray[np.int64]
    """(count, length)"""
    values: NDArray[np.uint8]
    """(count, vocabulary)"""

    def __iter__(self) -> Iterator[Symmetry]:
        return map(Symmetry, self.positions, self.values)

    def __getitem__(self, index: int) -> Symmetry:
        return Symmetry(self.positions[index], self.values[index])

    def apply(self, tokens: Tokens, which: NDArray[np.int64]) -> Tokens:
        """Return tokens, (length,), as each of the named symmetries shows them, (which, length)."""
        # An index into all tables at once is a third of the time of one into each.
        places = tokens.astype(np.int64).take(self.positions[which])
        places += (which * self.values.shape[1])[:, None]
        return self.values.ravel().take(places)


def shuffled_values(task: Task, rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """Return (count, vocabulary) ``Symmetry.values`` that permute the values at random."""
    values = np.tile(np.arange(task.vocabulary), (count, 1))
    values[:, FIRST_VALUE:] = rng.permuted(values[:, FIRST_VALUE:].copy(), axis=1)
    return values.astype(np.uint8)


def line_units(cells: NDArray[np.int64], constraint: Constraint) -> tuple[Unit, ...]:
    """Return a unit for each row and each column of positions, (rows, columns)."""
    return tuple(
        Unit(f"{kind} {number}", kind, constraint, tuple(line.tolist()))
        for kind, lines in (("row", cells), ("column", cells.T))
        for number, line in enumerate(lines)
    )


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule of an answer, for display."""

    rule: str
    """The unit's name (``row 4``), ``given`` where a given value was changed, or ``blank`` where a
    cell holds no legal value."""
    cells: tuple[tuple[int, ...], ...]
    """The clashing cells in the user's coordinates: (row, column) on a board, (vertex,) in a graph;
    the whole unit where something is missing from it."""


def find_violations(
    answer: Tokens,
    givens: Tokens,
    *,
    task: Task,
    units: Iterable[Unit],
    position_to_cell: PositionToCell,
) -> list[Violation]:
    """Return the broken rules of answer tokens, shape (length,), against the givens."""
    lowest = BLANK if task.allows_blank else FIRST_VALUE
    unfilled = np.flatnonzero((answer < lowest) | (answer >= task.vocabulary))
    changed = np.flatnonzero((givens >= FIRST_VALUE) & (answer != givens))
    found: list[tuple[str, Sequence[int]]]
    found = [("blank", unfilled.tolist()), ("given", changed.tolist())]
    values = answer.tolist()
    found += [(unit.name, cells) for unit in units for cells in broken_cells(unit, values)]
    return [Violation(rule, tuple(map(position_to_cell, cells))) for rule, cells in found if cells]


def find_dead_end(
    givens: Tokens, *, task: Task, units: Sequence[Unit], position_to_cell: PositionToCell
) -> Violation | None:
    """Return a cell without a possible value, or a unit without a place for one; None without any.

    One look at the rules between givens and open cells: None promises no solution.
    """
    # Sets of values are masks: bit v is value v; a blank has none.
    values = [1 << token - FIRST_VALUE if token >= FIRST_VALUE else 0 for token in givens.tolist()]
    excluded = [0] * len(values)
    for unit in units:
        held = 0
        for cell in unit.cells:
            held |= values[cell]
        if held:
            for cell in unit.cells:
                excluded[cell] |= held
    everything = (1 << task.num_values) - 1
    for cell, value in enumerate(() if task.allows_blank else values):
        if not value and excluded[cell] == everything:
            return Violation("no value is left for this cell", (position_to_cell(cell),))
    wanted = {Constraint.PERMUTATION: everything, Constraint.EXACTLY_ONE: 1}
    for unit in units:
        if _lacks_place(unit, values, excluded, wanted.get(unit.constraint, 0)):
            cells = tuple(position_to_cell(cell) for cell in unit.cells if not values[cell])
            return Violation(f"a value has no place left in {unit.name}", cells)
    return None


def _lacks_place(unit: Unit, values: Sequence[int], excluded: Sequence[int], homeless: int) -> bool:
    """Say whether one of the wanted values neither stands in the unit nor has a cell left there."""
    for cell in unit.cells:
        if not homeless:
            break
        homeless &= excluded[cell] if not values[cell] else ~values[cell]
    return bool(homeless)


def broken_cells(unit: Unit, answer: Sequence[int]) -> list[Sequence[int]]:
    """Return the groups of positions by which an answer breaks one unit; none when it holds."""
    if unit.constraint in (Constraint.PERMUTATION, Constraint.DIFFERENT):
        return _repeated(unit, answer)
    chosen = [cell for cell in unit.cells if answer[cell] == FIRST_VALUE]
    if len(chosen) > 1:
        return [chosen]
    missing = unit.constraint is Constraint.EXACTLY_ONE and not chosen
    return [unit.cells] if missing else []


def _repeated(unit: Unit, answer: Sequence[int]) -> list[Sequence[int]]:
    # Blanks are reported once for the answer, not once for every unit with them.
    holders: dict[int, list[int]] = defaultdict(list)
    for cell in unit.cells:
        if answer[cell] >= FIRST_VALUE:
            holders[answer[cell]].append(cell)
    return [cells for cells in holders.values() if len(cells) > 1]
