"""The gated hidden layer in plain PyTorch: silu(x Wg^T) * (x Wu^T).

The rows of ``gate_up`` are first those of Wg, then those of Wu.
"""

from torch import Tensor
from torch.nn import functional


def swiglu(x: Tensor, gate_up: Tensor) -> Tensor:
    """Return the hidden layer, (..., hidden), of x (..., dim) and gate_up (2 hidden, dim)."""
    gate, up = functional.linear(x, gate_up).chunk(2, dim=-1)
    return functional.silu(gate) * up
