"""The sampled high-level update in plain PyTorch.

h = u + mu(u) + sigma(u) * eps, where eps is the noise of the row's key.
There is no norm after it: the blocks that read h end in one.
"""

import torch
from torch import Tensor
from torch.nn import functional

from gram_kernels.philox import reference as philox
from gram_kernels.stochastic_update.weights import GuidanceWeights
from gram_kernels.swiglu.reference import swiglu


def stochastic_update(
    u: Tensor, weights: GuidanceWeights, keys: philox.NoiseKey, *, transition: int
) -> Tensor:
    """Return h, (batch, tokens, dim), in float32 or wider; u has the dtype of the weights."""
    wide = torch.promote_types(u.dtype, torch.float32)
    hidden = swiglu(u, weights.gate_up).chunk(2, dim=-1)
    h = u.to(wide) + functional.linear(hidden[0], weights.down[0]).to(wide)
    if not weights.has_noise:
        return h
    share = torch.sigmoid(
        functional.linear(hidden[1], weights.down[1]).to(wide) + weights.sigma_offset
    )
    draw = philox.normals(
        *keys, transition=transition, stream=philox.GUIDANCE_STREAM, count=u[0].numel()
    )
    return h + (weights.sigma_min + weights.sigma_span * share) * draw.view(u.shape)
