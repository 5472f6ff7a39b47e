"""Verification of answers against a puzzle's units, many rows at a time."""

from torch import Tensor

from gram_kernels.verify import reference
from gram_kernels.verify.tables import UnitTables, Verification

__all__ = ["UnitTables", "Verification", "verify"]


def verify(
    answers: Tensor, givens: Tensor, tables: UnitTables, *, adjacency: Tensor | None = None
) -> Verification:
    """Judge answers, (rows, length) tokens, against givens and units; see ``reference``."""
    return reference.verify(answers, givens, tables, adjacency=adjacency)
