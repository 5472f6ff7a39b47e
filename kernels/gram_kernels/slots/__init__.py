"""Moves rows of a running batch, and starts new trajectories in them, on the device."""

from torch import Tensor

from gram_kernels.backend import Backend, use_triton
from gram_kernels.slots import reference
from gram_kernels.slots.starts import Starts
from gram_kernels.supervision_step import StepRows, native

__all__ = ["Starts", "admit", "compact"]


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
    is_native: bool = False,
) -> None:
    """Start new trajectories in their rows; see ``reference``.

    With ``is_native`` the native step's own code draws random initial states, as it draws the
    noise: within rounding those of the reference.
    """
    if is_native:
        reference.admit(rows, starts, initial, native.latents)
    elif use_triton(rows.high, backend):
        from gram_kernels.slots.kernel import admit as on_device

        on_device(rows, starts, initial)
    else:
        reference.admit(rows, starts, initial)
