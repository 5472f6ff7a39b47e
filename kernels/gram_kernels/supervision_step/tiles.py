"""How the fused step is cut into tiles on each architecture; the compilation tests hold it to it.

A row's arithmetic does not depend on the cut: every product runs over whole inner dimensions in
order, and every sum over a row stays within a row.
"""

from typing import NamedTuple

from gram_kernels.launch import Capability


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
    readout_rows: int
    """Rows of one trajectory that the second kernel works on at once."""
    readout_warps: int


def step_tile(arch: Capability) -> StepTile:
    """Return the cut for an architecture.

    Hopper's tensor cores take 64 rows at least; larger tiles spill on the others.
    """
    is_hopper = arch == (9, 0)
    return StepTile(
        trajectories=1,
        rows=64 if is_hopper else 32,
        queries=32,
        hidden=64 if is_hopper else 32,
        num_warps=8,
        num_stages=2,
        readout_rows=32,
        readout_warps=4,
    )
