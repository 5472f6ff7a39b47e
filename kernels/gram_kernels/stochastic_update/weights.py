"""The weights of the guidance heads as plain tensors."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidanceWeights:
    """Two SwiGLUs over u: the mean, and the logit of the deviation."""

    gate_up: Tensor
    """(4 hidden, dim): gate of the mean, of the deviation, up of the mean, of the deviation."""
    down: Tensor
    """(2, dim, hidden): mean, deviation."""
    sigma_min: float
    sigma_span: float
    sigma_offset: float
    """sigma = sigma_min + sigma_span * sigmoid(deviation(u) + sigma_offset)."""
    has_noise: bool = True
    """Without noise h is u + mu(u)."""

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "GuidanceWeights":
        return replace(
            self, gate_up=self.gate_up.to(device, dtype), down=self.down.to(device, dtype)
        )
