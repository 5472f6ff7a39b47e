"""How the fused step is cut into tiles on each architecture; the compilation tests hold it to it.

A row's arithmetic does not depend on the cut: every product runs over whole inner dimensions in
order, and every sum over a row stays within a row.
"""

from typing import NamedTuple

from gram_kernels.launch import Capability, padded


class StepTile(NamedTuple):
    """One way to cut a step."""

    trajectories: int
    """Trajectories that one program advances together."""
    rows: int
    """Rows of all of them that phases without attention work on at once."""
    queries: int
    """Rows of scores at once."""
    hidden: int
    """Columns of a SwiGLU's hidden layer at once."""
    num_warps: int
    num_stages: int


def step_tile(arch: Capability, *, tokens: int, dim: int) -> StepTile:
    """Return the cut for an architecture and a model."""
    wide, long = dim > 64, tokens > 64
    if arch in ((9, 0), (10, 0)):
        rows = 128 if long else 64
        return StepTile(trajectories=1, rows=rows, queries=64, hidden=64, num_warps=8, num_stages=2)
    return StepTile(
        trajectories=1,
        rows=min(64 if wide else 128, padded(tokens)),
        queries=32,
        hidden=32,
        num_warps=8,
        num_stages=2,
    )
