"""A whole supervision step: T transitions, decode, heads, verification, in place on rows.

The plain form is ``gram_core.model``; here are the fused ones, in Triton and in C.
"""

from typing import Literal, Protocol

import torch

from gram_kernels.supervision_step.heads import HeadTables
from gram_kernels.supervision_step.weights import (
    GuidanceWeights,
    StackWeights,
    StepRows,
    StepWeights,
    TokenStackWeights,
)
from gram_kernels.verify import UnitTables

__all__ = [
    "GuidanceWeights",
    "HeadTables",
    "StackWeights",
    "Step",
    "StepBackend",
    "StepRows",
    "StepWeights",
    "TokenStackWeights",
    "bind",
    "can_fuse",
]

StepBackend = Literal["triton", "native"]
"""``native`` is C for the CPU; ``native.refusal`` says whether it is available."""

_MAX_FUSED_DIM = 128
_MAX_FUSED_TOKENS = 128


class Step(Protocol):
    """A supervision step of fixed rows."""

    def __call__(self, num_rows: int) -> None:
        """Advance the live rows among the first ``num_rows``; no value goes to the host."""
        ...


def can_fuse(weights: StepWeights) -> bool:
    """Return whether Triton can run the step: the latent state fits one multiprocessor."""
    tokens = weights.heads.groups.shape[1]
    if isinstance(weights.low, TokenStackWeights) or weights.is_outside is not None:
        return False
    if weights.positions is not None and not weights.is_pre_norm:
        return False
    return weights.dim <= _MAX_FUSED_DIM and tokens <= _MAX_FUSED_TOKENS


def bind(
    rows: StepRows,
    weights: StepWeights,
    units: UnitTables,
    *,
    dtype: torch.dtype,
    backend: StepBackend,
) -> Step:
    """Return the step of rows on their device; for Triton ``can_fuse`` must hold.

    Products are computed in ``dtype``, sums always in float32.
    """
    if backend == "native":
        from gram_kernels.supervision_step.native import NativeStep

        return NativeStep(rows, weights, units, dtype=dtype)
    from gram_kernels.supervision_step.kernel import FusedStep

    device = rows.high.device
    return FusedStep(rows, weights.to(device, dtype), units.to(device))
