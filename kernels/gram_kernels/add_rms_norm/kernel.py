"""Residual add and RMS norm in Triton: each program owns whole rows, so no sum crosses programs."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from gram_kernels.launch import OPTIONS, padded

ELEMENTS_PER_PROGRAM = 4096


@triton.jit
def rms_scale(total, epsilon, DIM: tl.constexpr):
    """Return (M,) 1 / rms of float32 rows whose columns beyond DIM are zero."""
    return tl.rsqrt(tl.sum(total * total, axis=1) * (1.0 / DIM) + epsilon)


@triton.jit
def add_rms_norm_kernel(
    out, x, residual, num_rows, epsilon, DIM: tl.constexpr, M: tl.constexpr, N: tl.constexpr
):
    """Normalise M rows of DIM columns, padded to N."""
    rows = tl.program_id(0) * M + tl.arange(0, M)
    columns = tl.arange(0, N)
    is_inside = (rows < num_rows)[:, None] & (columns < DIM)[None, :]
    offsets = rows[:, None].to(tl.int64) * DIM + columns[None, :]
    total = tl.load(x + offsets, mask=is_inside, other=0.0).to(tl.float32)
    total += tl.load(residual + offsets, mask=is_inside, other=0.0).to(tl.float32)
    total *= rms_scale(total, epsilon, DIM)[:, None]
    tl.store(out + offsets, total.to(out.dtype.element_ty), mask=is_inside)


def add_rms_norm(x: Tensor, residual: Tensor, *, epsilon: float) -> Tensor:
    dim = x.shape[-1]
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    num_rows = out.numel() // dim
    if num_rows == 0:
        return out
    width = padded(dim)
    rows = max(1, ELEMENTS_PER_PROGRAM // width)
    add_rms_norm_kernel[(triton.cdiv(num_rows, rows),)](
        out,
        x.contiguous(),
        residual.contiguous(),
        num_rows,
        epsilon,
        DIM=dim,
        M=rows,
        N=width,
        num_warps=4,
        **OPTIONS,
    )
    return out
