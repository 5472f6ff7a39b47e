"""A supervision step of one model, bound to rows of its own.

Native code computes the live rows in one call. Triton and the model's own torch operations are
called for a bucket of rows.
"""

from dataclasses import dataclass
from typing import Literal, TypedDict

import torch
from torch import Tensor

from gram_core.model import Gram
from gram_core.model_step import ModelStep
from gram_core.puzzles import Task
from gram_core.solve import unit_tables
from gram_core.step_weights import has_step_weights, step_weights
from gram_kernels import slots
from gram_kernels.backend import triton_refusal
from gram_kernels.supervision_step import Step, StepBackend, StepRows, bind, can_fuse
from gram_kernels.supervision_step.native import (
    NativeStep,
    has_integers,
    latents,
    product_kind,
    refusal,
)

CPU_ROWS_PER_CALL = 8
"""Rows of one call of a model's own operations on a CPU, where small calls cost no more per row."""

PRODUCTS: dict[str, torch.dtype | None] = {
    "fp32": None,
    "bf16": torch.bfloat16,
    "int8": torch.int8,
}
"""Types of products by the names that users give them; ``fp32`` is float16 on CUDA."""

RunnerBackend = StepBackend | Literal["model"]
"""``model`` stands for the model's own torch operations."""


class StepOptions(TypedDict, total=False):
    """How a step is bound to its rows."""

    backend: RunnerBackend
    """``model`` by default."""
    fixed_shape: bool
    """Let no row's bits depend on the load, which is the default."""
    dtype: torch.dtype | None
    """Of products; by default float16 on CUDA, else float32. int8 is of native code, where
    ``native.has_integers``."""
    rows_per_call: int | None
    """Of the model's own operations with a fixed shape; by default 8 on a CPU, else all slots."""


def step_backend(model: Gram, task: Task) -> RunnerBackend:
    """Return the fastest step that can run a model on its device."""
    if not has_step_weights(model.config, task.units):
        return "model"
    if model.z0_high.is_cuda:
        is_fused = can_fuse(step_weights(model, task.units)) and not triton_refusal()
        return "triton" if is_fused else "model"
    return "model" if refusal() else "native"


def native_precision() -> str:
    """Return the precision of native code's products where none is asked for: the fastest that
    solves as many puzzles as float32."""
    return "int8" if has_integers() and product_kind() != "matrix" else "fp32"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundStep:
    """Rows, the step that advances them, and how they move and start."""

    rows: StepRows
    advance: Step
    buckets: list[int]
    """The numbers of rows that the step is called for, rising."""
    moves: slots.Moves
    can_capture: bool = False
    """Whether a CUDA graph can hold the step."""
    native: NativeStep | None = None
    """The step where it is native code, which computes live rows only, and several steps a call."""


def bind_step(
    model: Gram,
    task: Task,
    *,
    num_slots: int,
    num_rows: int,
    backend: RunnerBackend = "model",
    fixed_shape: bool = True,
    dtype: torch.dtype | None = None,
    rows_per_call: int | None = None,
) -> BoundStep:
    """Allocate rows on the model's device and bind a step to them; see ``StepOptions``."""
    is_cuda = model.z0_high.is_cuda
    dtype = dtype or (torch.float16 if is_cuda else torch.float32)
    if backend != "model":
        return _bind_fused(model, task, num_slots, num_rows, dtype, backend)
    size, sizes = None, buckets(num_slots)
    if fixed_shape:
        size = rows_per_call or (num_slots if is_cuda else min(CPU_ROWS_PER_CALL, num_slots))
        sizes = list(range(size, num_slots + size, size))
    # The last call may reach beyond the slots, where it changes nothing.
    rows = _allocate(model, task, max(num_rows, sizes[-1]))
    step = ModelStep(rows, model, task, rows_per_call=size, dtype=dtype)
    return BoundStep(
        rows=rows,
        advance=step,
        buckets=sizes,
        moves=slots.bind(rows, _initial_state(model), draw=step.draw),
        can_capture=is_cuda,
    )


def _bind_fused(
    model: Gram, task: Task, num_slots: int, num_rows: int, dtype: torch.dtype, backend: StepBackend
) -> BoundStep:
    """Bind a step of ``gram_kernels``; the model must have step weights."""
    rows, weights = _allocate(model, task, num_rows), step_weights(model, task.units)
    step = bind(rows, weights, unit_tables(task), dtype=dtype, backend=backend)
    native = step if isinstance(step, NativeStep) else None
    return BoundStep(
        rows=rows,
        advance=step,
        buckets=[num_slots] if native else buckets(num_slots),
        moves=slots.bind(rows, _initial_state(model), draw=latents if native else None),
        can_capture=native is None,
        native=native,
    )


def buckets(num_slots: int) -> list[int]:
    """Return the powers of two below ``num_slots``, and itself."""
    powers = [2**power for power in range((num_slots - 1).bit_length())]
    return [*powers, num_slots]


def _allocate(model: Gram, task: Task, num_rows: int) -> StepRows:
    config = model.config
    rows = StepRows.allocate(
        num_rows,
        task.length,
        config.dim,
        has_adjacency=task.has_adjacency,
        device=str(model.z0_high.device),
    )
    if not config.num_prefix_tokens:
        return rows
    # Only the latent state has a place for prefix tokens.
    high, low = (rows.high.new_zeros(num_rows, config.num_tokens, config.dim) for _ in range(2))
    return rows._replace(high=high, low=low)


def _initial_state(model: Gram) -> Tensor | None:
    """Return (2, dim) h and l of a token at the start; None where each trajectory draws its own."""
    if model.config.initial_state == "random":
        return None
    return torch.stack((model.z0_high, model.z0_low))
