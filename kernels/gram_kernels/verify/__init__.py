"""Verification of answers against a puzzle's units, many rows at a time."""

from torch import Tensor

from gram_kernels.backend import Backend, use_triton
from gram_kernels.verify import reference
from gram_kernels.verify.tables import UnitTables, Verification

__all__ = ["UnitTables", "Verification", "verify"]


def verify(
    answers: Tensor,
    givens: Tensor,
    tables: UnitTables,
    *,
    adjacency: Tensor | None = None,
    backend: Backend = "auto",
) -> Verification:
    """Verify answers, (rows, length) tokens, against givens and units; see ``reference``."""
    implementation = reference.verify
    if use_triton(answers, backend):
        from gram_kernels.verify.kernel import verify as implementation
    return implementation(answers, givens, tables, adjacency=adjacency)
