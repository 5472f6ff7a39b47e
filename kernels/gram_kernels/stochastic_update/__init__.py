"""The sampled high-level update: mu and sigma heads, Philox noise, add."""

from torch import Tensor

from gram_kernels.backend import Backend, use_triton
from gram_kernels.philox import NoiseKey
from gram_kernels.stochastic_update import reference
from gram_kernels.stochastic_update.weights import GuidanceWeights

__all__ = ["GuidanceWeights", "stochastic_update"]


def stochastic_update(
    u: Tensor,
    weights: GuidanceWeights,
    keys: NoiseKey,
    *,
    transition: int,
    backend: Backend = "auto",
) -> Tensor:
    """Return h = u + mu(u) + sigma(u) eps as float32, (batch, tokens, dim); see ``reference``."""
    implementation = reference.stochastic_update
    if use_triton(u, backend):
        from gram_kernels.stochastic_update.kernel import stochastic_update as implementation
    return implementation(u, weights, keys, transition=transition)
