"""A puzzle's units as index tables, and the result of a verification. Knows no puzzle by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gram_kernels.tokens import CONSTRAINTS, Unit


class Verification(NamedTuple):
    """The verdict on each answer."""

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

    @classmethod
    def build(
        cls, units: Sequence[Unit], *, length: int, num_values: int, allows_blank: bool
    ) -> "UnitTables":
        """Return tables on the CPU; ``units`` may be empty."""
        size = max((len(unit.cells) for unit in units), default=0)
        rows = [[*unit.cells, *[length] * (size - len(unit.cells))] for unit in units]
        ids = [CONSTRAINTS.index(unit.constraint) for unit in units]
        return cls(
            cells=torch.tensor(rows, dtype=torch.int64).view(len(units), size),
            constraints=torch.tensor(ids, dtype=torch.int64),
            num_values=num_values,
            allows_blank=allows_blank,
        )

    def to(self, device: torch.device | str) -> "UnitTables":
        return UnitTables(
            cells=self.cells.to(device),
            constraints=self.constraints.to(device),
            num_values=self.num_values,
            allows_blank=self.allows_blank,
        )
