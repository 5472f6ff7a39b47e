"""The sampled high-level update in Triton: hidden layers, then down-projection, noise and add.

The second kernel projects both hidden layers and draws its tile's noise in registers; four
elements share one Philox evaluation.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from gram_kernels.launch import OPTIONS, padded
from gram_kernels.philox.kernel import normal_tile
from gram_kernels.philox.reference import GUIDANCE_STREAM, NoiseKey, purpose_word
from gram_kernels.stochastic_update.weights import GuidanceWeights
from gram_kernels.swiglu.kernel import swiglu

BLOCK_M = 64
BLOCK_N = 64
BLOCK_K = 32


@triton.jit
def down_projection(
    hidden,
    down,
    rows,
    columns,
    num_rows,
    DIM: tl.constexpr,
    STRIDE: tl.constexpr,
    G: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
):
    """Return the (M, N) float32 tile of hidden (num_rows, G; rows STRIDE apart) times down^T."""
    total = tl.zeros([M, N], dtype=tl.float32)
    for start in range(0, G, K):
        inner = start + tl.arange(0, K)
        part = tl.load(
            hidden + rows[:, None].to(tl.int64) * STRIDE + inner[None, :],
            mask=(rows < num_rows)[:, None] & (inner < G)[None, :],
            other=0.0,
        )
        weight = tl.load(
            down + columns[None, :] * G + inner[:, None],
            mask=(columns < DIM)[None, :] & (inner < G)[:, None],
            other=0.0,
        )
        total = tl.dot(part, weight, total, input_precision="ieee")
    return total


@triton.jit
def stochastic_update_kernel(
    out,
    u,
    hidden,
    down,
    seeds,
    trajectories,
    steps,
    num_rows,
    purpose,
    sigma_min,
    sigma_span,
    sigma_offset,
    TOKENS: tl.constexpr,
    DIM: tl.constexpr,
    G: tl.constexpr,
    HAS_NOISE: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
):
    """Write an (M, N) tile of h; ``num_rows`` counts tokens of all trajectories."""
    rows = tl.program_id(0) * M + tl.arange(0, M)
    columns = tl.program_id(1) * N + tl.arange(0, N)
    is_inside = (rows < num_rows)[:, None] & (columns < DIM)[None, :]
    offsets = rows[:, None].to(tl.int64) * DIM + columns[None, :]
    mean = down_projection(hidden, down, rows, columns, num_rows, DIM, 2 * G, G, M, N, K)
    h = tl.load(u + offsets, mask=is_inside, other=0.0).to(tl.float32) + mean
    if HAS_NOISE:
        share = down_projection(
            hidden + G, down + DIM * G, rows, columns, num_rows, DIM, 2 * G, G, M, N, K
        )
        deviation = sigma_min + sigma_span * tl.sigmoid(share + sigma_offset)
        owner = tl.minimum(rows, num_rows - 1) // TOKENS
        first = (rows % TOKENS) * (DIM // 4) + tl.program_id(1) * (N // 4)
        drawn = normal_tile(
            first[:, None] + tl.arange(0, N // 4)[None, :],
            tl.load(steps + owner)[:, None],
            purpose,
            tl.load(trajectories + owner)[:, None],
            tl.load(seeds + owner)[:, None],
            M,
            N // 4,
        )
        h += deviation * drawn
    tl.store(out + offsets, h, mask=is_inside)


def stochastic_update(
    u: Tensor, weights: GuidanceWeights, keys: NoiseKey, *, transition: int
) -> Tensor:
    batch, tokens, dim = u.shape
    assert dim % 4 == 0, dim
    out = torch.empty(u.shape, device=u.device)
    if batch == 0:
        return out
    u = u.contiguous()
    hidden = swiglu(u, weights.gate_up)
    num_rows = batch * tokens
    columns = min(BLOCK_N, padded(dim))
    stochastic_update_kernel[(triton.cdiv(num_rows, BLOCK_M), triton.cdiv(dim, columns))](
        out,
        u,
        hidden,
        weights.down.contiguous(),
        *(key.contiguous() for key in keys),
        num_rows,
        purpose_word(transition, GUIDANCE_STREAM),
        weights.sigma_min,
        weights.sigma_span,
        weights.sigma_offset,
        TOKENS=tokens,
        DIM=dim,
        G=weights.down.shape[2],
        HAS_NOISE=weights.has_noise,
        M=BLOCK_M,
        N=columns,
        K=BLOCK_K,
        num_warps=4,
        num_stages=2,
        **OPTIONS,
    )
    return out
