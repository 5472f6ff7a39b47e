"""Moves rows of a running batch, and starts new trajectories in them, on the device."""

from torch import Tensor

from gram_kernels.backend import Backend, use_triton
from gram_kernels.slots import reference
from gram_kernels.slots.reference import Draw, Starts, drawn
from gram_kernels.supervision_step import StepRows

__all__ = ["Draw", "Starts", "admit", "compact", "drawn"]


def compact(rows: StepRows, sources: Tensor, targets: Tensor, *, backend: Backend = "auto") -> None:
    """Copy rows to other rows, every source read before any target is written."""
    implementation = reference.compact
    if use_triton(rows.high, backend):
        from gram_kernels.slots.kernel import compact as implementation
    implementation(rows, sources, targets)


def admit(
    rows: StepRows,
    starts: Starts,
    initial: Tensor | None,
    *,
    backend: Backend = "auto",
    draw: Draw | None = None,
) -> None:
    """Start new trajectories in their rows; see ``reference``.

    ``draw`` makes random initial states, for a step with its own noise; None: the backend's.
    """
    if draw is not None:
        reference.admit(rows, starts, initial, draw)
    elif use_triton(rows.high, backend):
        from gram_kernels.slots.kernel import admit as on_device

        on_device(rows, starts, initial)
    else:
        reference.admit(rows, starts, initial)
