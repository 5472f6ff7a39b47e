"""Moves rows of a running batch, and starts new trajectories in them, on the device."""

from torch import Tensor

from gram_kernels.backend import Backend, use_triton
from gram_kernels.slots import reference
from gram_kernels.slots.starts import Starts
from gram_kernels.supervision_step import StepRows

__all__ = ["Starts", "admit", "compact"]


def compact(rows: StepRows, sources: Tensor, targets: Tensor, *, backend: Backend = "auto") -> None:
    """Copy rows to other rows, every source read before any target is written."""
    implementation = reference.compact
    if use_triton(rows.high, backend):
        from gram_kernels.slots.kernel import compact as implementation
    implementation(rows, sources, targets)


def admit(
    rows: StepRows, starts: Starts, initial: Tensor | None, *, backend: Backend = "auto"
) -> None:
    """Start new trajectories in their rows; see ``reference``."""
    implementation = reference.admit
    if use_triton(rows.high, backend):
        from gram_kernels.slots.kernel import admit as implementation
    implementation(rows, starts, initial)
