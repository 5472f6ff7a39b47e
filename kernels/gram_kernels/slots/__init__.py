"""Moves rows of a running batch, and starts new trajectories in them, on the device."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import Tensor

from gram_kernels.backend import Backend, use_triton
from gram_kernels.slots import reference
from gram_kernels.slots.reference import Draw, Starts, drawn
from gram_kernels.supervision_step import StepRows

__all__ = ["Draw", "Moves", "Starts", "bind", "drawn"]


class Moves(NamedTuple):
    """What changes rows between steps; see ``reference``."""

    compact: Callable[[Tensor, Tensor], None]
    """Copies the rows of sources to those of targets, every source read before any is written."""
    admit: Callable[[Starts], None]
    """Starts new trajectories in their rows."""


def bind(
    rows: StepRows,
    initial: Tensor | None,
    *,
    backend: Backend = "auto",
    draw: Draw | None = None,
) -> Moves:
    """Return the moves and starts of rows on their device.

    ``initial``, (2, dim), is h and l of every token at the start; None draws both for each
    trajectory, by ``draw`` for a step with its own noise, else by the backend's.
    """
    if use_triton(rows.high, backend):
        from gram_kernels.slots.kernel import admit, compact
    else:
        admit, compact = reference.admit, reference.compact
    start = partial(admit, rows, initial=initial)
    if draw is not None:
        start = partial(reference.admit, rows, initial=initial, draw=draw)
    return Moves(partial(compact, rows), start)
