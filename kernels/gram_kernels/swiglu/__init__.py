"""The gated hidden layer of a SwiGLU, without its down projection."""

from torch import Tensor

from gram_kernels.backend import Backend, use_triton
from gram_kernels.swiglu import reference

__all__ = ["swiglu"]


def swiglu(x: Tensor, gate_up: Tensor, *, backend: Backend = "auto") -> Tensor:
    """Return silu(x Wg^T) * (x Wu^T), (..., hidden), for gate_up (2 hidden, dim)."""
    implementation = reference.swiglu
    if use_triton(x, backend):
        from gram_kernels.swiglu.kernel import swiglu as implementation
    return implementation(x, gate_up)
