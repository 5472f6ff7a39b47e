"""Philox 4x32-10 noise: the same integers on every device, normals within a few ulps."""

from torch import Tensor

from gram_kernels.backend import Backend, use_triton
from gram_kernels.philox import reference
from gram_kernels.philox.reference import (
    GUIDANCE_STREAM,
    INPUT_STREAM,
    LATENT_STREAM,
    NoiseKey,
    philox,
)

__all__ = [
    "GUIDANCE_STREAM",
    "INPUT_STREAM",
    "LATENT_STREAM",
    "NoiseKey",
    "integers",
    "normals",
    "philox",
]


def integers(
    seed: Tensor,
    trajectory: Tensor,
    step: Tensor,
    *,
    transition: int,
    stream: int,
    count: int,
    backend: Backend = "auto",
) -> Tensor:
    """Return ``count`` random 32-bit integers per row as int64; see ``reference``."""
    implementation = reference.integers
    if use_triton(seed, backend):
        from gram_kernels.philox.kernel import integers as implementation
    return implementation(seed, trajectory, step, transition=transition, stream=stream, count=count)


def normals(
    seed: Tensor,
    trajectory: Tensor,
    step: Tensor,
    *,
    transition: int,
    stream: int,
    count: int,
    backend: Backend = "auto",
) -> Tensor:
    """Return ``count`` standard normals per row as float32; see ``reference``."""
    implementation = reference.normals
    if use_triton(seed, backend):
        from gram_kernels.philox.kernel import normals as implementation
    return implementation(seed, trajectory, step, transition=transition, stream=stream, count=count)
