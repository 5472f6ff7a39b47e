"""The base class of puzzle families: what a family must define, and what follows from its units.

Knows rules only: no model, no torch. A family is a folder next to this module, or another
package; see docs/adding-a-puzzle.md.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gram_core.errors import ExactUnavailable, UnknownTask
from gram_core.puzzles.body import printable
from gram_core.puzzles.task import (
    Answer,
    Encoded,
    Symmetries,
    Symmetry,
    Task,
    Tokens,
    ViewOf,
    Violation,
    find_dead_end,
    find_violations,
)
from gram_kernels.tokens import FIRST_VALUE, Unit

Instance = TypeVar("Instance")

_VIEW_STREAM = 0x76696577
"""Keeps the draws of views apart from other uses of the same seed."""
VIEWS_AT_ONCE = 64
"""Views drawn together: all of them take little longer than one."""


class Views:
    """The symmetry under which each trajectory of a seed sees its instance.

    It is None for the first trajectory. A pure function of (task, seed, trajectory), so a
    trajectory can be repeated anywhere; ``VIEWS_AT_ONCE`` neighbours are drawn together.
    """

    def __init__(self, draw: Callable[[np.random.Generator, int], Symmetries], seed: int) -> None:
        self._draw = draw
        self._seed = seed
        self._chunks: dict[int, Symmetries] = {}

    def __call__(self, trajectory: int) -> Symmetry | None:
        """Return the symmetry of one trajectory."""
        chunk, place = divmod(trajectory, VIEWS_AT_ONCE)
        return self._drawn(chunk)[place] if trajectory else None

    def seen(self, tokens: Tokens, trajectories: NDArray[np.int64]) -> Tokens:
        """Return tokens, (length,), as each trajectory sees them, (trajectories, length)."""
        seen = np.empty((len(trajectories), len(tokens)), np.uint8)
        chunks, places = np.divmod(trajectories, VIEWS_AT_ONCE)
        for chunk in set(chunks[trajectories > 0].tolist()):
            rows = chunks == chunk
            seen[rows] = self._drawn(chunk).apply(tokens, places[rows])
        seen[trajectories == 0] = tokens
        return seen

    def _drawn(self, chunk: int) -> Symmetries:
        if chunk not in self._chunks:
            key = np.array([self._seed % 2**64, (_VIEW_STREAM << 32) | chunk], dtype=np.uint64)
            rng = np.random.Generator(np.random.Philox(key=key))
            self._chunks[chunk] = self._draw(rng, VIEWS_AT_ONCE)
        return self._chunks[chunk]


class Padding(NamedTuple, Generic[Instance]):
    """A puzzle of another size whose solutions are those of the posted one, with more around."""

    instance: Instance
    positions: NDArray[np.int64]
    """For each position of the posted puzzle's tokens, the one that it has here."""
    names: Mapping[int, int] = MappingProxyType({})
    """Token that a position here is to have: values are renamed for it."""

    def cut(self, tokens: Tokens) -> Tokens:
        """Return the posted puzzle's part of tokens, shape (..., length)."""
        for position, token in self.names.items():
            found = tokens[..., [position]]
            tokens = np.where(tokens == found, token, np.where(tokens == token, found, tokens))
        return tokens[..., self.positions]


def walled(
    cells: str, columns: int, task: Task, *, wall: str
) -> tuple[str, NDArray[np.int64]] | None:
    """Return a board's cells with walls at its right and below, and where its own are now.

    None where the board of ``task`` is smaller.
    """
    rows = len(cells) // columns
    if rows > task.rows or columns > task.columns:
        return None
    board = np.full((task.rows, task.columns), wall)
    positions = np.arange(task.length).reshape(board.shape)[:rows, :columns].reshape(-1)
    board.reshape(-1)[positions] = list(cells)
    return "".join(board.reshape(-1)), positions


class Family(ABC, Generic[Instance]):
    """A puzzle family: everything the product needs to know about one kind of puzzle.

    Instances are frozen dataclasses of the family. Tokens are as in ``Encoded``.
    """

    name: str
    """The name in ``{"puzzle": name}``, with which the names of its tasks begin."""
    task_sizes: re.Pattern[str]
    """What follows the family's name in a task's name; its groups are the numbers in it."""
    task_hint: str
    """Names the existing tasks, in the error for an unknown one."""
    text_field = "grid"
    """Field of the body that takes the plain-text form."""
    text_signs = ""
    """Characters of the plain-text form, besides white space."""
    line_starts: frozenset[str] = frozenset()
    """Two characters with which each line of it begins, where its lines have such."""
    wall_signs = ""
    """Characters of it that no answer fills in: the page shows them dark."""
    has_verifier = True
    """Whether ``check`` knows a right answer; else it knows a well-formed one, votes choose among
    those, and the service answers with candidates in place of solutions."""

    @abstractmethod
    def tasks(self) -> Sequence[str]:
        """Return names of well-known tasks of this family, such as ``sudoku-9x9``."""

    @abstractmethod
    def make_task(self, *sizes: int) -> Task | None:
        """Return the task of the numbers in a task's name, or None; equal for equal numbers.

        ``task`` rejects a name that differs from the name of the task returned here.
        """

    def task(self, name: str) -> Task:
        """Return the task of that name; raise ``UnknownTask`` when it is not of this family."""
        match = self.task_sizes.fullmatch(name.removeprefix(f"{self.name}-"))
        task = self.make_task(*(int(size) for size in match.groups() if size)) if match else None
        if task is None or task.name != name:
            raise UnknownTask(f"no {self.name} task is named {printable(name)}: {self.task_hint}")
        return task

    @abstractmethod
    def schema(self) -> dict[str, object]:
        """Return the JSON Schema of the bodies that ``parse`` reads; see ``body.object_schema``."""

    def example(self) -> dict[str, Any]:
        """Return the body that the schema shows; the page draws its ``grid`` where it is a text."""
        (body,) = cast("list[dict[str, Any]]", self.schema()["examples"])
        return body

    @abstractmethod
    def parse(self, body: Mapping[str, object]) -> Instance:
        """Read a JSON body into an instance; raise ``PuzzleInvalid`` saying where it is wrong."""

    def parse_text(self, text: str) -> Instance:
        """Read the family's plain-text form; raise ``PuzzleInvalid`` saying where it is wrong."""
        return self.parse({self.text_field: text})

    def likeness(self, text: str) -> float:
        """Return the share of a text, 0 to 1, that looks like the family's plain-text form."""
        if self.line_starts:
            lines = text.split("\n")
            return sum(line[:2].lower() in self.line_starts for line in lines) / len(lines)
        num_signs = sum(map(text.count, self.text_signs))
        return num_signs / max(1, sum(map(len, text.split())))

    def is_recognised(self, instance: Instance) -> bool:
        """Say whether a board that names no family can only have been meant for this one."""
        return True

    @abstractmethod
    def task_of(self, instance: Instance) -> Task:
        """Return the task whose checkpoints can take the instance."""

    def pad(self, instance: Instance, task: Task) -> Padding[Instance] | None:
        """Return an equivalent puzzle of another task of the family; None where there is none."""
        return None

    @abstractmethod
    def dump(self, instance: Instance) -> dict[str, object]:
        """Return the canonical JSON body: ``parse(dump(x)) == x``."""

    @abstractmethod
    def encode(self, instance: Instance) -> Encoded:
        """Return the instance as tokens."""

    @abstractmethod
    def instance_of(self, task: Task, encoded: Encoded) -> Instance:
        """Return the instance of encoded tokens, in the family's default form."""

    @abstractmethod
    def decode(self, instance: Instance, tokens: Tokens) -> Answer:
        """Return answer tokens, shape (length,), in the form the user posted."""

    def units(self, instance: Instance) -> Sequence[Unit]:
        """Return every rule of the instance as units over its cells."""
        return self.task_of(instance).units

    @abstractmethod
    def check(self, instance: Instance, tokens: Tokens) -> bool:
        """Say whether answer tokens solve the instance; plain code that never reads the units."""

    def cell(self, instance: Instance, position: int) -> tuple[int, ...]:
        """Return the user's coordinates of a position in the tokens."""
        return divmod(position, self.task_of(instance).columns)

    def violations(self, instance: Instance, tokens: Tokens) -> list[Violation]:
        """Return the broken rules of answer tokens; empty exactly when ``check`` is true."""
        return find_violations(
            tokens,
            self.encode(instance).tokens,
            task=self.task_of(instance),
            units=self.units(instance),
            position_to_cell=lambda position: self.cell(instance, position),
        )

    def num_givens(self, instance: Instance) -> int:
        """Return the number of positions whose value the instance states."""
        return int(np.count_nonzero(self.encode(instance).tokens >= FIRST_VALUE))

    def dead_end(self, instance: Instance) -> Violation | None:
        """Return what the givens leave no value for; None where that takes more than a look."""
        givens = self.encode(instance).tokens
        if (givens < FIRST_VALUE).all():
            return None
        return find_dead_end(
            givens,
            task=self.task_of(instance),
            units=self.units(instance),
            position_to_cell=lambda position: self.cell(instance, position),
        )

    def canonical(self, instance: Instance, tokens: Tokens) -> bytes:
        """Return a key that two answers share exactly when they count as one solution."""
        return tokens.astype(np.uint8).tobytes()

    @abstractmethod
    def symmetry(self, task: Task, rng: np.random.Generator) -> Symmetry:
        """Draw a random rule-preserving transformation of the task's boards."""

    def symmetries(self, task: Task, rng: np.random.Generator, count: int) -> Symmetries:
        """Draw several at once; families whose draws are arrays do it in a fraction of the time."""
        drawn = [self.symmetry(task, rng) for _ in range(count)]
        return Symmetries(*map(np.stack, zip(*drawn, strict=True)))

    def views(self, task: Task, seed: int) -> "Views":
        """Return the symmetries under which the trajectories of a seed see their instance."""
        return Views(partial(self.symmetries, task), seed)

    def seen(
        self, instance: Instance, task: Task, *, seed: int, folder: Path
    ) -> tuple[Encoded, ViewOf]:
        """Return an instance of the task as tokens, and how the trajectories of a seed see it.

        ``folder`` is the directory of the model. Raises ``UnknownTask`` where the model knows
        single tasks by heart, and not this one.
        """
        return self.encode(instance), self.views(task, seed)

    @abstractmethod
    def generate(
        self, task: Task, rng: np.random.Generator, *, num_solutions: int | None = 1
    ) -> Instance:
        """Make an instance with exactly that many solutions (None: at least one, any number)."""

    def interchangeable(self, instance: Instance) -> Sequence[int]:
        """Return the tokens that may be renamed into one another without another solution."""
        return ()

    def state(self, instance: Instance, solver: Any, choices: Sequence[Mapping[int, Any]]) -> None:
        """Add the rules that are no units to a model of CP-SAT.

        ``choices`` has the boolean of each token that a position may hold, by position.
        """

    def enumerate(
        self,
        instance: Instance,
        *,
        limit: int,
        max_time_s: float | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Iterator[Tokens]:
        """Yield up to ``limit`` distinct solutions exactly (CP-SAT; needs the extra ``exact``).

        If ``max_time_s`` or ``should_stop`` (called in another thread) ends the search early,
        ``ExactTimeout`` is raised after the solutions found.
        """
        if not self.has_verifier:
            raise ExactUnavailable(f"{self.name} has no rules to search by")
        from gram_core.puzzles.exact import enumerate_answers

        return enumerate_answers(
            self.encode(instance).tokens,
            self.task_of(instance),
            self.units(instance),
            limit=limit,
            max_time_s=max_time_s,
            should_stop=should_stop,
            interchangeable=self.interchangeable(instance),
            state=partial(self.state, instance),
        )


@runtime_checkable
class Countable(Protocol):
    """Optional interface: the family counts and lists its solutions without CP-SAT."""

    def count(self, instance: Any) -> int:
        """Return the number of solutions without listing them."""
        ...


@runtime_checkable
class Renaming(Protocol):
    """Optional interface: several answers of the family may count as one solution."""

    def representative(self, instance: Any, solution: Tokens) -> Tokens:
        """Return the canonical answer of those that count as the same solution."""
        ...


@runtime_checkable
class Generative(Protocol):
    """Optional interface: answers can be generated from an empty instance."""

    def blank(self, task: Task) -> Any:
        """Return the task's instance without givens."""
        ...

    def reduce(
        self, task: Task, answer: Tokens, rng: np.random.Generator, *, num_clues: int | None = None
    ) -> Any:
        """Return an instance whose only solution is ``answer``, (length,) valid tokens.

        Stops removing givens at ``num_clues``; None removes as many as possible.
        """
        ...
