"""A whole supervision step: T transitions, decode, heads, verification, in place on rows."""

from typing import Literal, Protocol

import torch

from gram_kernels.backend import Backend, use_triton
from gram_kernels.supervision_step import reference
from gram_kernels.supervision_step.weights import (
    StackWeights,
    StepRows,
    StepWeights,
    TokenStackWeights,
)
from gram_kernels.verify import UnitTables

__all__ = [
    "StackWeights",
    "Step",
    "StepBackend",
    "StepRows",
    "StepWeights",
    "TokenStackWeights",
    "bind",
    "can_fuse",
]

StepBackend = Backend | Literal["native"]
"""``native`` is C for the CPU; ``native.refusal`` says whether it is available."""

_MAX_FUSED_DIM = 128
_MAX_FUSED_TOKENS = 128


class Step(Protocol):
    """A supervision step of fixed rows."""

    def __call__(self, num_rows: int) -> None:
        """Advance the live rows among the first ``num_rows``; no value goes to the host."""
        ...


def can_fuse(weights: StepWeights) -> bool:
    """Return whether the whole step can be one kernel: the latent state fits one multiprocessor."""
    tokens = weights.heads.groups.shape[1]
    if isinstance(weights.low, TokenStackWeights) or weights.is_outside is not None:
        return False
    return weights.dim <= _MAX_FUSED_DIM and tokens <= _MAX_FUSED_TOKENS


def bind(
    rows: StepRows,
    weights: StepWeights,
    units: UnitTables,
    *,
    dtype: torch.dtype = torch.float16,
    backend: StepBackend = "auto",
) -> Step:
    """Return the step of rows: fused if ``can_fuse``, else a sequence of ops.

    It runs on the device of ``rows``. Products are computed in ``dtype``, sums always in float32.
    """
    if backend == "native":
        from gram_kernels.supervision_step.native import NativeStep

        return NativeStep(rows, weights, units, dtype=dtype)
    device = rows.high.device
    weights, units = weights.to(device, dtype), units.to(device)
    is_triton = use_triton(rows.high, backend)
    if is_triton and can_fuse(weights):
        from gram_kernels.supervision_step.kernel import FusedStep

        return FusedStep(rows, weights, units)

    def step(num_rows: int) -> None:
        reference.supervision_step(
            rows,
            weights,
            units,
            num_rows=num_rows,
            backend="triton" if is_triton else "reference",
        )

    return step
