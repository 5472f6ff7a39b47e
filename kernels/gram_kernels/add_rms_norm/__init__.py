"""Residual add and RMS norm in one pass: the end of every half block."""

from torch import Tensor

from gram_kernels.add_rms_norm import reference
from gram_kernels.backend import Backend, use_triton

__all__ = ["add_rms_norm"]


def add_rms_norm(
    x: Tensor, residual: Tensor, *, epsilon: float, backend: Backend = "auto"
) -> Tensor:
    """Return the normalised sum of two (..., dim) tensors, in their dtype; see ``reference``."""
    implementation = reference.add_rms_norm
    if use_triton(x, backend):
        from gram_kernels.add_rms_norm.kernel import add_rms_norm as implementation
    return implementation(x, residual, epsilon=epsilon)
