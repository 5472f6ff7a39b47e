"""Tile sizes of the fused step on each architecture; the compilation tests check that they fit.

A row's arithmetic does not depend on them: every product runs over whole inner dimensions in
order, and every sum over a row stays within a row.
"""

from typing import NamedTuple

from gram_kernels.launch import Capability


class StepTile(NamedTuple):
    """Tile sizes of one step."""

    trajectories: int
    """Trajectories that one program advances together."""
    rows: int
    """Rows (tokens of all of them) per tile, in phases without attention."""
    queries: int
    """Rows of scores per tile."""
    hidden: int
    """Columns of a SwiGLU's hidden layer per tile."""
    num_warps: int
    num_stages: int
    readout_rows: int
    """Rows of one trajectory per tile, in the second kernel."""
    readout_warps: int


def step_tile(arch: Capability) -> StepTile:
    """Hopper's tensor cores take 64 rows at least; larger tiles spill on the others.

    Measured on an H200: 4 warps take 0.55 ms where 8 take 0.77, and half the time at 1,056 rows.
    """
    is_hopper = arch == (9, 0)
    return StepTile(
        trajectories=1,
        rows=64 if is_hopper else 32,
        queries=32,
        hidden=32,
        num_warps=4 if is_hopper else 8,
        num_stages=2,
        readout_rows=32,
        readout_warps=4,
    )
