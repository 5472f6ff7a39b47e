"""Attention over short sequences in which each head attends within its own relation."""

from torch import Tensor

from gram_kernels.backend import Backend, use_triton
from gram_kernels.relational_attention import reference
from gram_kernels.relational_attention.tables import MAX_TOKENS, HeadTables

__all__ = ["HeadTables", "relational_attention"]


def relational_attention(
    qkv: Tensor, tables: HeadTables, *, adjacency: Tensor | None = None, backend: Backend = "auto"
) -> Tensor:
    """Return (batch, tokens, heads * head_dim) of qkv; see ``reference``."""
    implementation = reference.relational_attention
    if qkv.shape[1] <= MAX_TOKENS and use_triton(qkv, backend):
        from gram_kernels.relational_attention.kernel import (
            relational_attention as implementation,
        )
    return implementation(qkv, tables, adjacency=adjacency)
