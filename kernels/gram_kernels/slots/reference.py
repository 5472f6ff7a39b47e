"""Moves and starts of rows in plain PyTorch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gram_kernels.philox import reference as philox
from gram_kernels.supervision_step import StepRows

Draw = Callable[[Tensor, Tensor, int], Tensor]
"""(seeds, trajectories, count) -> normals, (starts, count)."""


class Starts(NamedTuple):
    """The initial data of new trajectories, each part (starts, ...)."""

    rows: Tensor
    """(starts,) int64: row of each; no row twice."""
    givens: Tensor
    """(starts, tokens) int32."""
    seeds: Tensor
    """(starts,) int64."""
    trajectories: Tensor
    """(starts,) int64."""
    adjacency: Tensor | None
    """(starts, tokens, tokens) bool."""


def compact(rows: StepRows, sources: Tensor, targets: Tensor) -> None:
    """Copy rows to other rows in place, every source read before any target is written.

    ``sources`` and ``targets`` are (moves,) int64, no target twice. Facts are not copied: they
    belong to the previous step.
    """
    for table in (rows.high, rows.low, rows.givens, rows.adjacency):
        if table is not None:
            table.index_copy_(0, targets, table.index_select(0, sources))
    rows.keys.index_copy_(1, targets, rows.keys.index_select(1, sources))


def drawn(seeds: Tensor, trajectories: Tensor, count: int) -> Tensor:
    """Return the normals that random initial states are made of, (starts, count)."""
    return philox.normals(
        seeds,
        trajectories,
        torch.zeros_like(seeds),
        transition=0,
        stream=philox.LATENT_STREAM,
        count=count,
    )


def admit(rows: StepRows, starts: Starts, initial: Tensor | None, draw: Draw = drawn) -> None:
    """Start new trajectories in their rows, in place, at step 0.

    ``initial``, (2, dim), is h and l of every token; None draws both for each trajectory.
    """
    state = initial
    if state is None:
        num_starts, *shape = len(starts.rows), *rows.high.shape[1:]
        drawn_state = draw(starts.seeds, starts.trajectories, 2 * rows.high[0].numel())
        state = drawn_state.view(num_starts, 2, *shape).transpose(0, 1)
    own: Any = StepRows(*map(_assignable, rows))
    new: Any = Starts(*map(_assignable, starts))
    own.givens[new.rows] = new.givens
    own.keys[0, new.rows], own.keys[1, new.rows] = new.seeds, new.trajectories
    own.keys[2, new.rows] = 0
    if own.adjacency is not None and new.adjacency is not None:
        own.adjacency[new.rows] = new.adjacency
    own.high[new.rows], own.low[new.rows] = _assignable(state.to(rows.high.dtype))


def _assignable(table: Tensor | None) -> Any:
    """Return an array on a host: there torch's assignments take 0.2 ms after other work."""
    if table is None or table.device.type != "cpu":
        return table
    return table.detach().numpy()
