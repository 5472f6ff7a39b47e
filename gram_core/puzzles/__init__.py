"""The puzzle families: rules, instances and symmetries, without any model.

``families`` lists the families of this package and those that other packages register under the
entry-point group ``gram.puzzles``; each is one object of a class derived from ``Family``.
"""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, TypeAlias

from gram_core.errors import ConfigError, UnknownPuzzle, UnknownTask
from gram_core.puzzles.arc import Arc
from gram_core.puzzles.base import (
    Countable,
    Family,
    Generative,
    Instance,
    Padding,
    Renaming,
    Views,
)
from gram_core.puzzles.body import printable
from gram_core.puzzles.futoshiki import Futoshiki
from gram_core.puzzles.graph_coloring import GraphColoring
from gram_core.puzzles.jigsaw import Jigsaw
from gram_core.puzzles.light_up import LightUp
from gram_core.puzzles.maze import Maze
from gram_core.puzzles.nqueens import NQueens
from gram_core.puzzles.sudoku import Sudoku
from gram_core.puzzles.task import Answer, Encoded, Symmetry, Task, Tokens, View, ViewOf, Violation
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
    "Padding",
    "Renaming",
    "Symmetry",
    "Task",
    "Tokens",
    "Unit",
    "View",
    "ViewOf",
    "Views",
    "Violation",
    "families",
    "family",
    "task",
]

AnyFamily: TypeAlias = Family[Any]
"""A family whose instances are opaque to the caller."""

_GROUP = "gram.puzzles"
"""Entry-point group in which other packages register families, one class each."""


@cache
def families() -> Mapping[str, AnyFamily]:
    """Return every family by its name; the first call loads those of other packages.

    Raises:
        ConfigError: an entry point cannot be loaded, is no family, or repeats a name.
    """
    found: dict[str, AnyFamily] = {
        family.name: family
        for family in (
            Sudoku(),
            NQueens(),
            GraphColoring(),
            Maze(),
            Futoshiki(),
            LightUp(),
            Jigsaw(),
            Arc(),
        )
    }
    for point in sorted(entry_points(group=_GROUP), key=lambda point: point.name):
        try:
            registered = point.load()()
        except Exception as error:
            raise ConfigError(_GROUP, point.value, f"cannot be loaded: {error}") from error
        if not isinstance(registered, Family):
            raise ConfigError(_GROUP, point.value, "is no class derived from Family")
        if registered.name in found:
            raise ConfigError(_GROUP, point.value, f"{registered.name} is taken")
        found[registered.name] = registered
    return MappingProxyType(found)


def family(name: str) -> AnyFamily:
    """Return the family of that name."""
    known = families()
    if name not in known:
        raise UnknownPuzzle(f"no puzzle is named {printable(name)}: there are {', '.join(known)}")
    return known[name]


def task(name: str) -> Task:
    """Return the task of that name, of any family."""
    known = families()
    # A task's name begins with its family's, which may begin with another family's.
    names = [puzzle for puzzle in known if name.startswith(f"{puzzle}-")]
    if not names:
        raise UnknownTask(
            f"no task is named {printable(name)}: a task is one of {', '.join(known)} with its size"
        )
    return known[max(names, key=len)].task(name)
