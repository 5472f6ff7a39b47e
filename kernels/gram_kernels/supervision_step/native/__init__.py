"""The supervision step for CPUs, in C that the machine's compiler builds on first use."""

from gram_kernels.supervision_step.native.library import (
    latents,
    normals,
    product_kind,
    refusal,
)
from gram_kernels.supervision_step.native.step import NativeStep

__all__ = ["NativeStep", "latents", "normals", "product_kind", "refusal"]
