"""The supervision step for CPUs, in C: objects of the wheel, or built on first use."""

from gram_kernels.supervision_step.native.library import (
    has_integers,
    latents,
    normals,
    origin,
    product_kind,
    refusal,
)
from gram_kernels.supervision_step.native.step import NativeStep

__all__ = [
    "NativeStep",
    "has_integers",
    "latents",
    "normals",
    "origin",
    "product_kind",
    "refusal",
]
