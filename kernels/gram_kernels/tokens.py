"""The vocabulary that puzzles, model and kernels share: tokens, units and their constraints.

Knows no torch and no puzzle by name. Native code gets the numbers from here when it is compiled.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PAD: Final = 0
"""Token that fills unused positions; no value."""

BLANK: Final = 1
"""Token of a cell without a given value (and of a square without a queen)."""

FIRST_VALUE: Final = 2
"""Token of the first value: value v (counted from 0) is token v + 2."""

NUM_FACTS: Final = 5
"""Columns of a step's output before the answer: valid, halt, finite, violations, value's bits."""


class Constraint(StrEnum):
    """The rule that the cells of one unit obey."""

    PERMUTATION = "permutation"
    """Every value exactly once."""
    EXACTLY_ONE = "exactly_one"
    """Exactly one cell holds FIRST_VALUE."""
    AT_MOST_ONE = "at_most_one"
    """At most one cell holds FIRST_VALUE."""
    DIFFERENT = "different"
    """No two cells hold the same value."""


CONSTRAINTS: Final = tuple(Constraint)
"""Constraints in the order of their ids in the verifiers."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A group of cells under one constraint."""

    name: str
    """Name for display: ``row 4``, ``edge 0-3``."""
    kind: str
    """Kind of unit, such as ``row``; a relational attention head may be restricted to it."""
    constraint: Constraint
    cells: tuple[int, ...]
    """Positions in the token sequence."""
