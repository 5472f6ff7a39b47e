"""The puzzle families: rules, instances and symmetries, without any model.

``families`` lists them; each is one object with the interface of ``base.Family``.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from gram_core.errors import UnknownPuzzle, UnknownTask
from gram_core.puzzles.base import (
    Answer,
    Countable,
    Encoded,
    Family,
    Generative,
    Instance,
    Renaming,
    Symmetry,
    Task,
    Tokens,
    Violation,
)
from gram_core.puzzles.body import shown
from gram_core.puzzles.graph_coloring import GraphColoring
from gram_core.puzzles.maze import Maze
from gram_core.puzzles.nqueens import NQueens
from gram_core.puzzles.sudoku import Sudoku
from gram_kernels.tokens import BLANK, FIRST_VALUE, PAD, Constraint, Unit

__all__ = [
    "BLANK",
    "FIRST_VALUE",
    "PAD",
    "Answer",
    "AnyFamily",
    "Constraint",
    "Countable",
    "Encoded",
    "Family",
    "Generative",
    "Instance",
    "Renaming",
    "Symmetry",
    "Task",
    "Tokens",
    "Unit",
    "Violation",
    "families",
    "family",
    "task",
]

AnyFamily: TypeAlias = Family[Any]
"""A family whose kind of instance the caller does not look into."""

_FAMILIES: Mapping[str, AnyFamily] = MappingProxyType(
    {family.name: family for family in (Sudoku(), NQueens(), GraphColoring(), Maze())}
)


def families() -> Mapping[str, AnyFamily]:
    """Return every family by its name."""
    return _FAMILIES


def family(name: str) -> AnyFamily:
    """Return the family of that name."""
    if name not in _FAMILIES:
        raise UnknownPuzzle(f"no puzzle is named {shown(name)}: there are {', '.join(_FAMILIES)}")
    return _FAMILIES[name]


def task(name: str) -> Task:
    """Return the task of that name, whichever family it is of."""
    for candidate in _FAMILIES.values():
        # Families are named by the start of their tasks' names.
        if name.startswith(f"{candidate.name}-"):
            return candidate.task(name)
    raise UnknownTask(
        f"no task is named {shown(name)}: a task is one of {', '.join(_FAMILIES)} with its size"
    )
