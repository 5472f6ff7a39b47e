"""Residual add and RMS norm in plain PyTorch.

y = s / sqrt(mean(s^2) + epsilon) with s = x + residual, over the last dimension; no gain.
"""

from torch import Tensor


def add_rms_norm(x: Tensor, residual: Tensor, *, epsilon: float) -> Tensor:
    """Return the normalised sum, summed and squared in float32 or wider."""
    total = (x + residual).double() if x.dtype.itemsize == 8 else x.float() + residual.float()
    scale = (total.square().mean(dim=-1, keepdim=True) + epsilon).rsqrt()
    return (total * scale).to(x.dtype)
