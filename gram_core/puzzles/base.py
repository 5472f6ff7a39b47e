"""What every puzzle family offers, and the data its rules are made of.

Knows rules only: no model, no torch. A family is one module beside this one; the device verifier,
relational attention, the violations shown to people and the tests all read the same units.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gram_kernels.tokens import FIRST_VALUE, Unit

Tokens = NDArray[np.uint8]
"""Integer tokens, shape (length,) or (batch, length)."""


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
    units: tuple[Unit, ...]
    """Units that every instance shares; empty where the units belong to the instance (graphs)."""
    has_adjacency: bool = False
    """Whether an instance carries its own (length, length) relation: the edges of a graph."""
    allows_blank: bool = False
    """Whether BLANK is a legal token of an answer (an empty square of a queens board)."""
    has_other_rules: bool = False
    """Whether an answer that keeps every unit may still be wrong (a path that is not shortest):
    then ``check`` judges each answer that the device verifier lets through."""

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
        """Return the relation as seen from the view, shape (length, length)."""
        return adjacency[np.ix_(self.positions, self.positions)]

    def invert(self, view: Tokens) -> Tokens:
        """Return the tokens whose view this is, shape (..., length)."""
        tokens = np.empty_like(view)
        tokens[..., self.positions] = np.argsort(self.values).astype(np.uint8)[view]
        return tokens


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule of an answer, for people to look at."""

    rule: str
    """The unit's name (``row 4``), ``given`` where a given value was changed, or ``blank`` where a
    cell holds no legal value."""
    cells: tuple[tuple[int, ...], ...]
    """The clashing cells as the user knows them: (row, column) on a board, (vertex,) in a graph;
    the whole unit where something is missing from it."""


Instance = TypeVar("Instance")
Answer = object
"""An answer in the form the user posted: see each family's ``format_answer``."""


class Family(Protocol[Instance]):
    """A puzzle family: everything the product needs to know about one kind of puzzle.

    Instances are frozen dataclasses of the family. Tokens are as in ``Encoded``.
    """

    name: str
    """The name in ``{"puzzle": name}``."""

    def tasks(self) -> Sequence[str]:
        """Return names of well-known tasks of this family, such as ``sudoku-9x9``."""
        ...

    def task(self, name: str) -> Task:
        """Return the task of that name; raise ``UnknownTask`` when it is not of this family."""
        ...

    def parse(self, body: Mapping[str, object]) -> Instance:
        """Read a JSON body into an instance; raise ``PuzzleInvalid`` saying where it is wrong."""
        ...

    def parse_text(self, text: str) -> Instance:
        """Read the family's plain-text form; raise ``PuzzleInvalid`` saying where it is wrong."""
        ...

    def task_of(self, instance: Instance) -> Task:
        """Return the task whose checkpoints can take the instance."""
        ...

    def dump(self, instance: Instance) -> dict[str, object]:
        """Return the canonical JSON body: ``parse(dump(x)) == x``."""
        ...

    def encode(self, instance: Instance) -> Encoded:
        """Return the instance as tokens."""
        ...

    def instance_of(self, task: Task, encoded: Encoded) -> Instance:
        """Return the instance of such tokens, in the family's default form."""
        ...

    def decode(self, instance: Instance, tokens: Tokens) -> Answer:
        """Return answer tokens, shape (length,), in the form the user posted."""
        ...

    def units(self, instance: Instance) -> Sequence[Unit]:
        """Return every rule of the instance as units over its cells."""
        ...

    def check(self, instance: Instance, tokens: Tokens) -> bool:
        """Say whether answer tokens solve the instance; plain code that never reads the units."""
        ...

    def violations(self, instance: Instance, tokens: Tokens) -> list[Violation]:
        """Return the broken rules of answer tokens; empty exactly when ``check`` is true."""
        ...

    def canonical(self, instance: Instance, tokens: Tokens) -> bytes:
        """Return a key that two answers share exactly when they count as one solution."""
        ...

    def symmetry(self, task: Task, rng: np.random.Generator) -> Symmetry:
        """Draw a random rule-preserving transformation of the task's boards."""
        ...

    def generate(
        self, task: Task, rng: np.random.Generator, *, num_solutions: int | None = 1
    ) -> Instance:
        """Make an instance with exactly that many solutions (None: at least one, any number)."""
        ...

    def enumerate(
        self,
        instance: Instance,
        *,
        limit: int,
        max_time_s: float | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Iterator[Tokens]:
        """Yield up to ``limit`` distinct solutions exactly (CP-SAT; needs the extra ``exact``).

        When ``max_time_s`` or ``should_stop``, which another thread may ask, ends the search early,
        ``ExactTimeout`` follows the solutions found.
        """
        ...


@runtime_checkable
class Countable(Protocol):
    """What a family also offers when it counts and lists its solutions without CP-SAT."""

    def count(self, instance: Any) -> int:
        """Return the number of solutions, however many, without listing them."""
        ...


@runtime_checkable
class Renaming(Protocol):
    """What a family also offers where several answers count as one solution."""

    def representative(self, instance: Any, solution: Tokens) -> Tokens:
        """Return the one answer that stands for all that count as the same solution."""
        ...


@runtime_checkable
class Generative(Protocol):
    """What a family also offers when its answers can be made up from an empty instance."""

    def blank(self, task: Task) -> Any:
        """Return the instance of a task that gives nothing."""
        ...

    def thin(
        self, task: Task, answer: Tokens, rng: np.random.Generator, *, num_clues: int | None = None
    ) -> Any:
        """Return an instance whose only solution is the answer.

        Args:
            task: of the answer.
            answer: (length,) complete and right.
            rng: decides the order in which givens are taken away.
            num_clues: givens to stop at; None takes away as many as can be.
        """
        ...
