"""The gated hidden layer in Triton: one GEMM with the gate in its epilogue.

A program reads the same columns of Wg and Wu, so neither product is written to memory. The tile
shape does not depend on the number of rows, and the inner dimension is not split: a row's bits
never change.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from gram_kernels.launch import OPTIONS, SHARED_MEMORY_BYTES, Tile, capability

BLOCK_K = 64


@triton.jit
def silu(x):
    return x * tl.sigmoid(x)


@triton.jit
def swiglu_kernel(
    out,
    x,
    gate_up,
    num_rows,
    DIM: tl.constexpr,
    HIDDEN: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
):
    """Write an (M, N) tile of the hidden layer."""
    rows = tl.program_id(0) * M + tl.arange(0, M)
    hidden = tl.program_id(1) * N + tl.arange(0, N)
    channels = tl.arange(0, K)
    x_tile = x + rows[:, None].to(tl.int64) * DIM + channels[None, :]
    gate_tile = gate_up + hidden[None, :] * DIM + channels[:, None]
    gate = tl.zeros([M, N], dtype=tl.float32)
    up = tl.zeros([M, N], dtype=tl.float32)
    for start in range(0, DIM, K):
        is_channel = start + channels < DIM
        is_weight = is_channel[:, None] & (hidden < HIDDEN)[None, :]
        part = tl.load(
            x_tile + start, mask=(rows < num_rows)[:, None] & is_channel[None, :], other=0.0
        )
        weight = tl.load(gate_tile + start, mask=is_weight, other=0.0)
        gate = tl.dot(part, weight, gate, input_precision="ieee")
        weight = tl.load(gate_tile + HIDDEN * DIM + start, mask=is_weight, other=0.0)
        up = tl.dot(part, weight, up, input_precision="ieee")
    tl.store(
        out + rows[:, None].to(tl.int64) * HIDDEN + hidden[None, :],
        (silu(gate) * up).to(out.dtype.element_ty),
        mask=(rows < num_rows)[:, None] & (hidden < HIDDEN)[None, :],
    )


def swiglu(x: Tensor, gate_up: Tensor) -> Tensor:
    hidden, dim = gate_up.shape[0] // 2, gate_up.shape[1]
    out = torch.empty(*x.shape[:-1], hidden, dtype=x.dtype, device=x.device)
    num_rows = x.numel() // dim
    if num_rows == 0:
        return out
    tile = _tile(x)
    grid = (triton.cdiv(num_rows, tile.rows), triton.cdiv(hidden, tile.columns))
    swiglu_kernel[grid](
        out,
        x.contiguous(),
        gate_up.contiguous(),
        num_rows,
        DIM=dim,
        HIDDEN=hidden,
        M=tile.rows,
        N=tile.columns,
        K=BLOCK_K // 2 if x.dtype == torch.float32 else BLOCK_K,
        num_warps=tile.num_warps,
        num_stages=tile.num_stages,
        **OPTIONS,
    )
    return out


def _tile(x: Tensor) -> Tile:
    """Return tiles that fit the device without spills."""
    arch = capability(x.device)
    if x.dtype == torch.float32:
        return Tile(rows=32, columns=32, num_warps=4, num_stages=2)
    if SHARED_MEMORY_BYTES.get(arch, 0) > 200_000:
        return Tile(rows=128, columns=128, num_warps=8, num_stages=3)
    return Tile(rows=64, columns=64, num_warps=4, num_stages=3)
