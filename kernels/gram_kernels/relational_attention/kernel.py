"""Relational attention in Triton: one program for each trajectory and head.

Sequences are short, so a head's whole score matrix lives on chip and needs no running softmax.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from gram_kernels.launch import OPTIONS, padded
from gram_kernels.relational_attention.tables import MAX_TOKENS, HeadTables

QUERIES = 32
"""Rows of scores at once: with keys and values of 128 tokens, more would spill registers."""


@triton.jit
def rotate(x, cos, sin, M: tl.constexpr, N: tl.constexpr):
    """Return x cos + (-second half, first half) sin for x (M, N)."""
    halves = tl.permute(tl.reshape(x, [M, 2, N // 2]), [0, 2, 1])
    first, second = tl.split(halves)
    turned = tl.reshape(tl.permute(tl.join(-second, first), [0, 2, 1]), [M, N])
    return x * cos + turned * sin


@triton.jit
def softmax_rows(scores):
    weights = tl.exp(scores - tl.max(scores, axis=1)[:, None])
    return weights / tl.sum(weights, axis=1)[:, None]


@triton.jit
def seen(groups, adjacency, queries, tokens, TOKENS: tl.constexpr, HAS_EDGES: tl.constexpr):
    """Return (queries, tokens): which tokens each query sees; padding sees only itself.

    ``groups`` points at the head's row, ``adjacency`` at the trajectory's matrix.
    """
    # Each padded token has its own group, so that no row of scores is fully masked.
    group = tl.load(groups + tokens, mask=tokens < TOKENS, other=0)
    group = tl.where(tokens < TOKENS, group, -2 - tokens)
    own = tl.load(groups + queries, mask=queries < TOKENS, other=0)
    own = tl.where(queries < TOKENS, own, -2 - queries)
    is_seen = own[:, None] == group[None, :]
    if HAS_EDGES:
        if tl.load(groups) < 0:
            is_token = (queries < TOKENS)[:, None] & (tokens < TOKENS)[None, :]
            offsets = queries[:, None] * TOKENS + tokens[None, :]
            is_edge = tl.load(adjacency + offsets, mask=is_token, other=0) != 0
            is_seen = is_edge | (queries[:, None] == tokens[None, :])
    return is_seen


@triton.jit
def padded_channels(HEAD_DIM: tl.constexpr, H: tl.constexpr):
    """Return the channel of each of H padded positions, and whether it is a real one.

    The halves are padded separately, so that rotation still swaps halves.
    """
    places = tl.arange(0, H)
    in_half = places % (H // 2)
    return in_half + places // (H // 2) * (HEAD_DIM // 2), in_half < HEAD_DIM // 2


@triton.jit
def attend(
    out,
    qkv,
    k,
    v,
    rotary,
    groups,
    adjacency,
    queries,
    TOKENS: tl.constexpr,
    HEADS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    SCALE: tl.constexpr,
    HAS_EDGES: tl.constexpr,
    S: tl.constexpr,
    H: tl.constexpr,
    Q: tl.constexpr,
):
    """Write the results of Q queries; pointers are offset to the head and the trajectory."""
    channels, is_channel = padded_channels(HEAD_DIM, H)
    is_inside = (queries < TOKENS)[:, None] & is_channel[None, :]
    stride = 3 * HEADS * HEAD_DIM
    q = tl.load(qkv + queries[:, None] * stride + channels[None, :], mask=is_inside, other=0.0)
    places = queries[:, None] * HEAD_DIM + channels[None, :]
    cos = tl.load(rotary + places, mask=is_inside, other=0.0)
    sin = tl.load(rotary + TOKENS * HEAD_DIM + places, mask=is_inside, other=0.0)
    q = (rotate(q.to(tl.float32), cos, sin, Q, H) * SCALE).to(qkv.dtype.element_ty)
    scores = tl.dot(q, tl.trans(k), input_precision="ieee")
    is_seen = seen(groups, adjacency, queries, tl.arange(0, S), TOKENS, HAS_EDGES)
    weights = softmax_rows(tl.where(is_seen, scores, float("-inf")))
    mixed = tl.dot(weights.to(qkv.dtype.element_ty), v, input_precision="ieee")
    offsets = queries[:, None] * (HEADS * HEAD_DIM) + channels[None, :]
    tl.store(out + offsets, mixed.to(out.dtype.element_ty), mask=is_inside)


@triton.jit
def relational_attention_kernel(
    out,
    qkv,
    groups,
    rotary,
    adjacency,
    first_rotary_head,
    TOKENS: tl.constexpr,
    HEADS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    SCALE: tl.constexpr,
    HAS_EDGES: tl.constexpr,
    S: tl.constexpr,
    H: tl.constexpr,
    Q: tl.constexpr,
):
    """Attend in one head of one trajectory, Q queries at a time."""
    row = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    tokens = tl.arange(0, S)
    channels, is_channel = padded_channels(HEAD_DIM, H)
    is_inside = (tokens < TOKENS)[:, None] & is_channel[None, :]
    qkv += row * TOKENS * (3 * HEADS * HEAD_DIM) + head * HEAD_DIM
    offsets = tokens[:, None] * (3 * HEADS * HEAD_DIM) + channels[None, :]
    k = tl.load(qkv + HEADS * HEAD_DIM + offsets, mask=is_inside, other=0.0)
    v = tl.load(qkv + 2 * HEADS * HEAD_DIM + offsets, mask=is_inside, other=0.0)
    rotary += (head >= first_rotary_head).to(tl.int32) * (2 * TOKENS * HEAD_DIM)
    places = tokens[:, None] * HEAD_DIM + channels[None, :]
    cos = tl.load(rotary + places, mask=is_inside, other=0.0)
    sin = tl.load(rotary + TOKENS * HEAD_DIM + places, mask=is_inside, other=0.0)
    k = rotate(k.to(tl.float32), cos, sin, S, H).to(qkv.dtype.element_ty)
    for start in range(0, TOKENS, Q):
        attend(
            out + row * TOKENS * (HEADS * HEAD_DIM) + head * HEAD_DIM,
            qkv,
            k,
            v,
            rotary,
            groups + head * TOKENS,
            adjacency + row * TOKENS * TOKENS,
            start + tl.arange(0, Q),
            TOKENS,
            HEADS,
            HEAD_DIM,
            SCALE,
            HAS_EDGES,
            S,
            H,
            Q,
        )


def relational_attention(
    qkv: Tensor, tables: HeadTables, *, adjacency: Tensor | None = None
) -> Tensor:
    batch, tokens, _, heads, head_dim = qkv.shape
    assert tokens <= MAX_TOKENS, tokens
    out = torch.empty(batch, tokens, heads * head_dim, dtype=qkv.dtype, device=qkv.device)
    if batch == 0:
        return out
    relational_attention_kernel[(batch, heads)](
        out,
        qkv.contiguous(),
        tables.groups,
        tables.rotary,
        tables.groups if adjacency is None else adjacency.contiguous(),
        tables.first_rotary_head,
        TOKENS=tokens,
        HEADS=heads,
        HEAD_DIM=head_dim,
        SCALE=head_dim**-0.5,
        HAS_EDGES=adjacency is not None,
        S=padded(tokens),
        H=padded(head_dim),
        Q=min(QUERIES, padded(tokens)),
        num_warps=4,
        **OPTIONS,
    )
    return out
