"""Stochastic guidance: the Gaussian added to h after every high-level update.

eps ~ N(mu(u), sigma(u)^2), element-wise; the prior sees u alone, the posterior u + e_y. sigma is a
sigmoid between two bounds (the paper does not say how it is made positive), and both heads end in
zero weights, so that training starts at mu = 0 and sigma = sigma_init.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gram_core.config import GramConfig
from gram_core.layers import SwiGLU


class Gaussian(NamedTuple):
    """A diagonal Gaussian, each part (batch, tokens, dim)."""

    mean: Tensor
    deviation: Tensor

    def detach(self) -> "Gaussian":
        """Return the same distribution, detached from the autograd graph."""
        return Gaussian(self.mean.detach(), self.deviation.detach())

    def select(self, is_first: Tensor, other: "Gaussian") -> "Gaussian":
        """Return this distribution for rows where ``is_first``, shape (batch,), else the other."""
        rows = is_first[:, None, None]
        return Gaussian(
            torch.where(rows, self.mean, other.mean),
            torch.where(rows, self.deviation, other.deviation),
        )


class GuidanceHead(nn.Module):
    """One SwiGLU each for mu and sigma (paper, section on stochastic transitions)."""

    def __init__(self, config: GramConfig) -> None:
        super().__init__()
        self.mode = config.guidance
        self.sigma_min = config.sigma_min
        self.sigma_span = config.sigma_max - config.sigma_min
        share = (config.sigma_init - config.sigma_min) / self.sigma_span
        self.sigma_offset = math.log(share / (1.0 - share))
        self.mean = SwiGLU(config.dim, config.guidance_dim)
        self.deviation = SwiGLU(config.dim, config.guidance_dim)
        nn.init.zeros_(self.mean.down.weight)
        nn.init.zeros_(self.deviation.down.weight)

    def forward(self, u: Tensor) -> Gaussian:
        """Return the guidance for u, shape (batch, tokens, dim)."""
        mean = torch.zeros_like(u) if self.mode == "noise" else self.mean(u).float()
        if self.mode == "mean":
            return Gaussian(mean, torch.zeros_like(mean))
        share = torch.sigmoid(self.deviation(u).float() + self.sigma_offset)
        return Gaussian(mean, self.sigma_min + self.sigma_span * share)


def kl_divergence(posterior: Gaussian, prior: Gaussian) -> Tensor:
    """Return KL(posterior || prior) per row, summed over tokens and channels, shape (batch,)."""
    ratio = posterior.deviation / prior.deviation
    distance = (posterior.mean - prior.mean) / prior.deviation
    per_element = 0.5 * (ratio.square() + distance.square() - 1.0) - torch.log(ratio)
    return per_element.sum(dim=(1, 2))
