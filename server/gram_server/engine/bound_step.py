"""A supervision step of one model, bound to rows of its own.

Native code computes the live rows in one call. Triton and the model's own torch operations are
called for a bucket of rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypedDict

import torch
from torch import Tensor

from gram_core.checkpoint import LoadedModel
from gram_core.solve import unit_tables
from gram_core.step_weights import step_weights
from gram_kernels.slots import Starts, admit
from gram_kernels.supervision_step import Step, StepBackend, StepRows, bind
from gram_kernels.supervision_step.native import latents
from gram_server.engine.model_step import ModelStep

CPU_ROWS_PER_CALL = 8
"""Rows of one call of a model's own operations on a CPU, where small calls cost no more per row."""

RunnerBackend = StepBackend | Literal["model"]
"""``model`` stands for the model's own torch operations."""


class StepOptions(TypedDict, total=False):
    """How a step is bound to its rows."""

    backend: RunnerBackend
    """``model`` by default."""
    fixed_shape: bool
    """Let no row's bits depend on the load, which is the default."""
    dtype: torch.dtype | None
    """Of products; by default float16 on CUDA, else float32."""
    rows_per_call: int | None
    """Of the model's own operations with a fixed shape; by default 8 on a CPU, else all slots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundStep:
    """Rows, the step that advances them, and how they start."""

    rows: StepRows
    advance: Step
    buckets: list[int]
    """The numbers of rows that the step is called for, rising."""
    admit: Callable[[Starts], None]
    can_capture: bool = False
    """Whether a CUDA graph can hold the step."""
    computes_live_only: bool = False
    """Whether the step computes only the live rows, however many rows it is called for."""


def bind_step(
    loaded: LoadedModel,
    *,
    num_slots: int,
    num_rows: int,
    backend: RunnerBackend = "model",
    fixed_shape: bool = True,
    dtype: torch.dtype | None = None,
    rows_per_call: int | None = None,
) -> BoundStep:
    """Allocate rows on the model's device and bind a step to them; see ``StepOptions``."""
    is_cuda = loaded.model.z0_high.is_cuda
    dtype = dtype or (torch.float16 if is_cuda else torch.float32)
    if backend != "model":
        return _bind_fused(loaded, num_slots, num_rows, dtype, backend)
    size = None
    if fixed_shape:
        size = rows_per_call or (num_slots if is_cuda else min(CPU_ROWS_PER_CALL, num_slots))
    return _bind_model(loaded, num_slots, num_rows, dtype, size)


def _bind_fused(
    loaded: LoadedModel, num_slots: int, num_rows: int, dtype: torch.dtype, backend: StepBackend
) -> BoundStep:
    """Bind a step of ``gram_kernels``; the model must have step weights."""
    model, task = loaded.model, loaded.task
    rows = _allocate(loaded, num_rows)
    weights = step_weights(model, task.units)
    step = bind(rows, weights, unit_tables(task), dtype=dtype, backend=backend)
    start = partial(admit, rows, initial=_initial_state(loaded))
    if backend == "native":
        return BoundStep(
            rows=rows,
            advance=step,
            buckets=[num_slots],
            admit=partial(start, draw=latents),
            computes_live_only=True,
        )
    return BoundStep(
        rows=rows, advance=step, buckets=buckets(num_slots), admit=start, can_capture=True
    )


def _bind_model(
    loaded: LoadedModel, num_slots: int, num_rows: int, dtype: torch.dtype, size: int | None
) -> BoundStep:
    """``size`` is the number of rows per call; None allows any."""
    sizes = list(range(size, num_slots + size, size)) if size else buckets(num_slots)
    # The last call may reach beyond the slots, where it changes nothing.
    rows = _allocate(loaded, max(num_rows, sizes[-1]))
    step = ModelStep(rows, loaded.model, loaded.task, rows_per_call=size, dtype=dtype)
    return BoundStep(
        rows=rows,
        advance=step,
        buckets=sizes,
        admit=partial(admit, rows, initial=_initial_state(loaded), draw=step.draw),
        can_capture=loaded.model.z0_high.is_cuda,
    )


def buckets(num_slots: int) -> list[int]:
    """Return the powers of two below ``num_slots``, and itself."""
    powers = [2**power for power in range((num_slots - 1).bit_length())]
    return [*powers, num_slots]


def _allocate(loaded: LoadedModel, num_rows: int) -> StepRows:
    config, task = loaded.model.config, loaded.task
    rows = StepRows.allocate(
        num_rows,
        task.length,
        config.dim,
        has_adjacency=task.has_adjacency,
        device=str(loaded.model.z0_high.device),
    )
    if not config.num_prefix_tokens:
        return rows
    # Only the latent state has a place for prefix tokens.
    high, low = (rows.high.new_zeros(num_rows, config.num_tokens, config.dim) for _ in range(2))
    return rows._replace(high=high, low=low)


def _initial_state(loaded: LoadedModel) -> Tensor | None:
    """Return (2, dim) h and l of a token at the start; None where each trajectory draws its own."""
    model = loaded.model
    if model.config.initial_state == "random":
        return None
    return torch.stack((model.z0_high, model.z0_low))
