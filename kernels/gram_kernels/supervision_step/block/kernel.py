"""Phases of the fused step that move activations through a block.

Pointers are offset to the program's scratch, its first trajectory or a block's weights. Weights
are padded to full tiles, so only tokens and the unpadded latent state need masks.
"""

import triton
import triton.language as tl


@triton.jit
def silu(x):
    return x * tl.sigmoid(x)


@triton.jit
def rms_scale(total, epsilon, DIM: tl.constexpr):
    """Return (M,) 1 / rms of float32 rows whose columns beyond DIM are zero."""
    return tl.rsqrt(tl.sum(total * total, axis=1) * (1.0 / DIM) + epsilon)


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
def load_weight(weight, outputs, inputs, STRIDE: tl.constexpr):
    """Return the (inputs, outputs) tile of a padded weight stored (outputs, STRIDE)."""
    return tl.load(weight + outputs[None, :] * STRIDE + inputs[:, None])


@triton.jit
def multiply(x, weight, total):
    """Return total + x weight, accumulated in float32."""
    return tl.dot(x, weight, total, input_precision="ieee")


@triton.jit
def gated_mlp(
    x, gate_up, down, total, M: tl.constexpr, D: tl.constexpr, F: tl.constexpr, N: tl.constexpr
):
    """Return the float32 total (M, D) plus the SwiGLU of x (M, D); its hidden layer is computed N
    columns at a time."""
    channels = tl.arange(0, D)
    for start in range(0, F, N):
        hidden = start + tl.arange(0, N)
        zero = tl.zeros([M, N], dtype=tl.float32)
        gate = multiply(x, load_weight(gate_up, hidden, channels, D), zero)
        up = multiply(x, load_weight(gate_up + F * D, hidden, channels, D), zero)
        gated = (silu(gate) * up).to(x.dtype)
        total = multiply(gated, load_weight(down, channels, hidden, F), total)
    return total


# Arguments are grouped by line: tensors and numbers, sizes.
# fmt: off
@triton.jit
def enter_context(x, context, num_rows, DIM: tl.constexpr, M: tl.constexpr, D: tl.constexpr):
    """Write a stack's input that is ready."""
    channels = tl.arange(0, D)
    for start in range(0, num_rows, M):
        rows = start + tl.arange(0, M)
        is_inside = (rows < num_rows)[:, None] & (channels < DIM)[None, :]
        places = context + rows[:, None] * DIM + channels[None, :]
        total = tl.load(places, mask=is_inside, other=0.0)
        tl.store(x + rows[:, None] * D + channels[None, :], total)


@triton.jit
def enter_stack(
    x, high, low, givens, embedding, num_rows, num_fresh, num_high,
    DIM: tl.constexpr, FLAT: tl.constexpr, M: tl.constexpr, D: tl.constexpr,
):
    """Write a stack's input: l + (h + e) for f_L, h + l for f_H, h + e when flat.

    ``num_fresh`` and ``num_high`` are ``num_rows`` or 0: whether this is the transition's first
    stack, which loads the previous state, and whether it is f_H.
    """
    channels = tl.arange(0, D)
    for start in range(0, num_rows, M):
        rows = start + tl.arange(0, M)
        is_channel = (channels < DIM)[None, :]
        is_inside = (rows < num_rows)[:, None] & is_channel
        is_fresh = (rows < num_fresh)[:, None] & is_channel
        is_kept = ((rows >= num_fresh) & (rows < num_rows))[:, None] & is_channel
        is_low = ((rows >= num_high) & (rows < num_rows))[:, None] & is_channel
        state = rows[:, None] * DIM + channels[None, :]
        scratch = x + rows[:, None] * D + channels[None, :]
        before = high if FLAT else low
        carried = tl.load(before + state, mask=is_fresh, other=0.0)
        carried += tl.load(scratch, mask=is_kept, other=0.0).to(tl.float32)
        token = tl.load(givens + rows, mask=rows < num_rows, other=0)
        places = embedding + token[:, None] * D + channels[None, :]
        context = tl.load(places, mask=is_low, other=0.0)
        if not FLAT:
            tl.store(low + state, carried, mask=(rows < num_high)[:, None] & is_channel)
            context = tl.load(high + state, mask=is_inside, other=0.0) + context
        tl.store(scratch, (carried + context).to(x.dtype.element_ty))


@triton.jit
def project_heads(
    x, qkv, weight, rotary, num_rows, first_rotary_head, epsilon,
    TOKENS: tl.constexpr, DIM: tl.constexpr, SCALE: tl.constexpr, HEADS: tl.constexpr,
    HEAD_DIM: tl.constexpr, IS_PRE_NORM: tl.constexpr, NORMS_QUERIES: tl.constexpr,
    M: tl.constexpr, D: tl.constexpr, H: tl.constexpr,
):
    """Write queries and keys, normed if so and rotated, and values; queries are also scaled."""
    channels, places = tl.arange(0, D), tl.arange(0, H)
    for start in range(0, num_rows, M):
        rows = start + tl.arange(0, M)
        tile = tl.load(x + rows[:, None] * D + channels[None, :])
        if IS_PRE_NORM:
            tile = (tile * rms_scale(tile, epsilon, DIM)[:, None]).to(qkv.dtype.element_ty)
        angles = (rows % TOKENS)[:, None] * H + places[None, :]
        for part in range(3 * HEADS):
            is_rotary = (part < 2 * HEADS) & (part % HEADS >= first_rotary_head)
            table = rotary + tl.where(is_rotary, 2 * TOKENS * H, 0)
            zero = tl.zeros([M, H], dtype=tl.float32)
            made = multiply(tile, load_weight(weight + part * H * D, places, channels, D), zero)
            if NORMS_QUERIES:
                scale = rms_scale(made, epsilon, HEAD_DIM)[:, None]
                made *= tl.where(part < 2 * HEADS, scale, 1.0)
            made = rotate(made, tl.load(table + angles), tl.load(table + TOKENS * H + angles), M, H)
            made *= tl.where(part < HEADS, SCALE, 1.0)
            offsets = rows[:, None] * (3 * HEADS * H) + part * H + places[None, :]
            tl.store(qkv + offsets, made.to(qkv.dtype.element_ty))


@triton.jit
def attend_head(
    qkv, mixed, groups, adjacency,
    TOKENS: tl.constexpr, HAS_EDGES: tl.constexpr, HEADS: tl.constexpr,
    S: tl.constexpr, Q: tl.constexpr, H: tl.constexpr,
):
    """Write the results of one head of one trajectory; pointers are offset to the head."""
    tokens, places = tl.arange(0, S), tl.arange(0, H)
    is_token = (tokens < TOKENS)[:, None]
    offsets = tokens[:, None] * (3 * HEADS * H) + places[None, :]
    k = tl.load(qkv + HEADS * H + offsets, mask=is_token, other=0.0)
    v = tl.load(qkv + 2 * HEADS * H + offsets, mask=is_token, other=0.0)
    for start in range(0, TOKENS, Q):
        queries = start + tl.arange(0, Q)
        is_query = (queries < TOKENS)[:, None]
        own = queries[:, None] * (3 * HEADS * H) + places[None, :]
        q = tl.load(qkv + own, mask=is_query, other=0.0)
        scores = tl.dot(q, tl.trans(k), input_precision="ieee")
        is_seen = seen(groups, adjacency, queries, tokens, TOKENS, HAS_EDGES)
        weights = softmax_rows(tl.where(is_seen, scores, float("-inf"))).to(q.dtype)
        result = tl.dot(weights, v, input_precision="ieee").to(q.dtype)
        tl.store(mixed + queries[:, None] * (HEADS * H) + places[None, :], result, mask=is_query)


@triton.jit
def finish_block(
    x, mixed, out, gate_up, down, num_rows, epsilon,
    DIM: tl.constexpr, HEADS: tl.constexpr, IS_PRE_NORM: tl.constexpr,
    M: tl.constexpr, N: tl.constexpr, D: tl.constexpr, H: tl.constexpr, F: tl.constexpr,
):
    """Project and add the heads, then add the SwiGLU, M rows at a time; norm both sums, or what the
    SwiGLU reads."""
    channels, places = tl.arange(0, D), tl.arange(0, H)
    for start in range(0, num_rows, M):
        rows = start + tl.arange(0, M)
        scratch = x + rows[:, None] * D + channels[None, :]
        total = tl.load(scratch).to(tl.float32)
        for head in range(HEADS):
            part = tl.load(mixed + rows[:, None] * (HEADS * H) + head * H + places[None, :])
            total = multiply(part, load_weight(out + head * D * H, channels, places, H), total)
        normed = total * rms_scale(total, epsilon, DIM)[:, None]
        between = normed.to(mixed.dtype.element_ty)
        if IS_PRE_NORM:
            total = gated_mlp(between, gate_up, down, total, M, D, F, N)
        else:
            zero = tl.zeros([M, D], dtype=tl.float32)
            total = gated_mlp(between, gate_up, down, zero, M, D, F, N) + between.to(tl.float32)
            total *= rms_scale(total, epsilon, DIM)[:, None]
        tl.store(scratch, total.to(x.dtype.element_ty))


@triton.jit
def leave(
    x, high, num_rows, epsilon,
    DIM: tl.constexpr, IS_PRE_NORM: tl.constexpr, M: tl.constexpr, D: tl.constexpr,
):
    """Write u, the output of the last block, over h; without norms in the blocks it is normed."""
    channels = tl.arange(0, D)
    for start in range(0, num_rows, M):
        rows = start + tl.arange(0, M)
        u = tl.load(x + rows[:, None] * D + channels[None, :]).to(tl.float32)
        if IS_PRE_NORM:
            u *= rms_scale(u, epsilon, DIM)[:, None]
        is_inside = (rows < num_rows)[:, None] & (channels < DIM)[None, :]
        tl.store(high + rows[:, None] * DIM + channels[None, :], u, mask=is_inside)
# fmt: on
