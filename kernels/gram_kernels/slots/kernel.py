"""Moves and starts of rows in Triton: one launch for each table that moves, one for all starts."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from gram_kernels.launch import OPTIONS
from gram_kernels.philox.kernel import normal_tile
from gram_kernels.philox.reference import LATENT_STREAM, purpose_word
from gram_kernels.slots.reference import Starts
from gram_kernels.supervision_step import StepRows

COLUMNS = 128
BLOCKS = 64
PURPOSE = tl.constexpr(purpose_word(0, LATENT_STREAM))


@triton.jit(do_not_specialize=["num_moves"])
def compact_kernel(
    table, scratch, sources, targets, num_moves, num_columns, row_stride, stride, N: tl.constexpr
):
    """Move N columns of every row; no other program touches them, so a barrier is enough."""
    columns = tl.program_id(0) * N + tl.arange(0, N)
    is_inside = columns < num_columns
    offsets = columns.to(tl.int64) * stride
    for move in range(num_moves):
        values = tl.load(table + tl.load(sources + move) * row_stride + offsets, mask=is_inside)
        tl.store(scratch + tl.cast(move, tl.int64) * num_columns + columns, values, mask=is_inside)
    tl.debug_barrier()
    for move in range(num_moves):
        kept = tl.cast(move, tl.int64) * num_columns + columns
        values = tl.load(scratch + kept, mask=is_inside)
        tl.store(table + tl.load(targets + move) * row_stride + offsets, values, mask=is_inside)


# Arguments are grouped by line: tables of the rows, new trajectories, numbers, sizes.
# fmt: off
@triton.jit
def admit_kernel(
    high, low, givens, keys, adjacency,
    rows, new_givens, seeds, trajectories, new_adjacency, initial,
    key_stride,
    TOKENS: tl.constexpr, DIM: tl.constexpr,
    IS_RANDOM: tl.constexpr, HAS_EDGES: tl.constexpr, Q: tl.constexpr,
):
    """Start one trajectory; DIM is a multiple of 4."""
    start = tl.program_id(0).to(tl.int64)
    row = tl.load(rows + start)
    seed, trajectory = tl.load(seeds + start), tl.load(trajectories + start)
    tl.store(keys + row, seed)
    tl.store(keys + key_stride + row, trajectory)
    tl.store(keys + 2 * key_stride + row, seed * 0)
    copy(givens + row * TOKENS, new_givens + start * TOKENS, TOKENS, Q)
    if HAS_EDGES:
        copy(
            adjacency + row * (TOKENS * TOKENS), new_adjacency + start * (TOKENS * TOKENS),
            TOKENS * TOKENS, Q,
        )
    for first in range(0, TOKENS * DIM, 4 * Q):
        places = first + tl.arange(0, 4 * Q)
        is_state = places < TOKENS * DIM
        if IS_RANDOM:
            blocks = first // 4 + tl.arange(0, Q)[None, :]
            zero = trajectory * 0
            above = normal_tile(blocks, zero, PURPOSE, trajectory, seed, 1, Q)
            blocks += TOKENS * DIM // 4
            below = normal_tile(blocks, zero, PURPOSE, trajectory, seed, 1, Q)
            above, below = tl.reshape(above, [4 * Q]), tl.reshape(below, [4 * Q])
        else:
            above = tl.load(initial + places % DIM)
            below = tl.load(initial + DIM + places % DIM)
        tl.store(high + row * (TOKENS * DIM) + places, above, mask=is_state)
        tl.store(low + row * (TOKENS * DIM) + places, below, mask=is_state)
# fmt: on


@triton.jit
def copy(target, source, COUNT: tl.constexpr, Q: tl.constexpr):
    for first in range(0, COUNT, 4 * Q):
        places = first + tl.arange(0, 4 * Q)
        values = tl.load(source + places, mask=places < COUNT)
        tl.store(target + places, values, mask=places < COUNT)


def compact(rows: StepRows, sources: Tensor, targets: Tensor) -> None:
    num_moves = len(sources)
    if num_moves == 0:
        return
    for table in (rows.high, rows.low, rows.givens, rows.adjacency, rows.keys.T):
        if table is None:
            continue
        num_columns = table.numel() // len(table)
        compact_kernel[(triton.cdiv(num_columns, COLUMNS),)](
            table,
            torch.empty(num_moves, num_columns, dtype=table.dtype, device=table.device),
            sources,
            targets,
            num_moves,
            num_columns,
            table.stride(0),
            table.stride(-1),
            N=COLUMNS,
            num_warps=1,
            **OPTIONS,
        )


def admit(rows: StepRows, starts: Starts, initial: Tensor | None) -> None:
    tokens, dim = rows.high.shape[1:]
    assert dim % 4 == 0, dim
    if len(starts.rows) == 0:
        return
    has_edges = rows.adjacency is not None and starts.adjacency is not None
    admit_kernel[(len(starts.rows),)](
        rows.high,
        rows.low,
        rows.givens,
        rows.keys,
        rows.keys if rows.adjacency is None else rows.adjacency,
        starts.rows,
        starts.givens,
        starts.seeds,
        starts.trajectories,
        starts.seeds if starts.adjacency is None else starts.adjacency,
        starts.seeds if initial is None else initial,
        rows.keys.shape[1],
        TOKENS=tokens,
        DIM=dim,
        IS_RANDOM=initial is None,
        HAS_EDGES=has_edges,
        Q=BLOCKS,
        num_warps=4,
        **OPTIONS,
    )
