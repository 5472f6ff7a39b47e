"""A puzzle's units as index tables, and the result of a verification. Knows no puzzle by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

BLANK = 1
"""Token of an open cell, and of an empty square."""
FIRST_VALUE = 2
"""Token of value 0."""
NONE = 0
"""Token of a padded place in the tables; no value."""

CONSTRAINTS = ("permutation", "exactly_one", "at_most_one", "different")
"""Names by constraint id: every value once; exactly or at most one FIRST_VALUE; no value twice."""


class Unit(Protocol):
    """A group of cells under one constraint."""

    @property
    def constraint(self) -> str:
        """One of ``CONSTRAINTS``."""
        ...

    @property
    def cells(self) -> Sequence[int]:
        """Positions in the token sequence."""
        ...


class Verification(NamedTuple):
    """What a verifier says of each answer."""

    is_valid: Tensor
    """(rows,) bool."""
    num_violations: Tensor
    """(rows,) int32: illegal tokens, changed givens, broken units and edges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitTables:
    """The units that all instances of a task share."""

    cells: Tensor
    """(units, size) positions; ``length`` (one past the last cell) where a unit is shorter."""
    constraints: Tensor
    """(units,) constraint ids."""
    num_values: int
    allows_blank: bool
    """Whether an answer may hold BLANK."""

    @classmethod
    def build(
        cls, units: Sequence[Unit], *, length: int, num_values: int, allows_blank: bool
    ) -> "UnitTables":
        """Return the tables of units, on the CPU; there may be none."""
        size = max((len(unit.cells) for unit in units), default=0)
        rows = [[*unit.cells, *[length] * (size - len(unit.cells))] for unit in units]
        ids = [CONSTRAINTS.index(str(unit.constraint)) for unit in units]
        return cls(
            cells=torch.tensor(rows, dtype=torch.int64).view(len(units), size),
            constraints=torch.tensor(ids, dtype=torch.int64),
            num_values=num_values,
            allows_blank=allows_blank,
        )

    def to(self, device: torch.device | str) -> "UnitTables":
        """Return the tables on a device."""
        return UnitTables(
            cells=self.cells.to(device),
            constraints=self.constraints.to(device),
            num_values=self.num_values,
            allows_blank=self.allows_blank,
        )
