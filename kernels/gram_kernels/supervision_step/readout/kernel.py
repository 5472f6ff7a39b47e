"""Phases of the fused step that sample the high-level update and decode it."""

import triton
import triton.language as tl

from gram_kernels.philox.kernel import normal_tile
from gram_kernels.philox.reference import GUIDANCE_STREAM, purpose_word
from gram_kernels.supervision_step.block.kernel import gated_mlp, load_weight, multiply
from gram_kernels.tokens import BLANK, NUM_FACTS

OPEN = tl.constexpr(BLANK)
FACTS = tl.constexpr(NUM_FACTS)
PURPOSE = tl.constexpr(purpose_word(0, GUIDANCE_STREAM))


# Arguments are grouped by line: tensors, numbers, sizes.
# fmt: off
@triton.jit
def guide(
    high, keys, gate_up, down,
    key_stride, transition, sigma_min, sigma_span, sigma_offset,
    TOKENS: tl.constexpr, DIM: tl.constexpr, HAS_GUIDANCE: tl.constexpr, HAS_NOISE: tl.constexpr,
    M: tl.constexpr, N: tl.constexpr, D: tl.constexpr, G: tl.constexpr,
):
    """Write h = u + mu(u) + sigma(u) eps over u of one trajectory."""
    channels = tl.arange(0, D)
    for start in range(0, TOKENS, M):
        rows = start + tl.arange(0, M)
        is_inside = (rows < TOKENS)[:, None] & (channels < DIM)[None, :]
        place = high + rows[:, None] * DIM + channels[None, :]
        h = tl.load(place, mask=is_inside, other=0.0)
        # Exact: the blocks' output had this dtype.
        u = h.to(gate_up.dtype.element_ty)
        if HAS_GUIDANCE:
            zero = tl.zeros([M, D], dtype=tl.float32)
            h += gated_mlp(u, gate_up, down, zero, M, D, G, N)
        if HAS_NOISE:
            zero = tl.zeros([M, D], dtype=tl.float32)
            share = gated_mlp(u, gate_up + 2 * G * D, down + D * G, zero, M, D, G, N)
            deviation = sigma_min + sigma_span * tl.sigmoid(share + sigma_offset)
            h += deviation * normal_tile(
                rows[:, None] * (DIM // 4) + tl.arange(0, D // 4)[None, :],
                tl.load(keys + 2 * key_stride),
                PURPOSE + transition,
                tl.load(keys + key_stride),
                tl.load(keys),
                M,
                D // 4,
            )
        tl.store(place, h, mask=is_inside)


@triton.jit
def decode(
    high, givens, facts, decoder, readout, readout_bias,
    TOKENS: tl.constexpr, DIM: tl.constexpr, VOCABULARY: tl.constexpr, LOWEST: tl.constexpr,
    READS_FIRST: tl.constexpr, M: tl.constexpr, D: tl.constexpr, V: tl.constexpr,
):
    """Write one trajectory's answer, halt, finiteness and value, M tokens at a time."""
    channels, values = tl.arange(0, D), tl.arange(0, V)
    weight = load_weight(decoder, values, channels, D)
    is_legal = (values >= LOWEST) & (values < VOCABULARY)
    summary = tl.zeros([D], dtype=tl.float32)
    num_broken = 0
    for start in range(0, TOKENS, M):
        tokens = start + tl.arange(0, M)
        is_token = tokens < TOKENS
        is_inside = is_token[:, None] & (channels < DIM)[None, :]
        h = tl.load(high + tokens[:, None] * DIM + channels[None, :], mask=is_inside, other=0.0)
        logits = multiply(h.to(weight.dtype), weight, tl.zeros([M, V], dtype=tl.float32))
        likely = tl.argmax(tl.where(is_legal[None, :], logits, float("-inf")), axis=1)
        given = tl.load(givens + tokens, mask=is_token, other=OPEN)
        tl.store(facts + FACTS + tokens, tl.where(given == OPEN, likely, given), mask=is_token)
        # Comparisons with NaN are false; padded logits are zero.
        is_broken = (tl.abs(logits) < float("inf")) == 0
        num_broken += tl.sum(tl.sum(is_broken.to(tl.int32), axis=1), axis=0)
        if READS_FIRST:
            h = tl.where(tokens[:, None] == 0, h, 0.0)
        summary += tl.sum(h, axis=0)
    if not READS_FIRST:
        summary *= 1.0 / TOKENS
    halt = tl.sum(summary * tl.load(readout + channels), axis=0) + tl.load(readout_bias)
    value = tl.sum(summary * tl.load(readout + D + channels), axis=0) + tl.load(readout_bias + 1)
    is_finite = (num_broken == 0) & (tl.abs(halt) < float("inf")) & (tl.abs(value) < float("inf"))
    tl.store(facts + 1, (halt > 0).to(tl.int32))
    tl.store(facts + 2, is_finite.to(tl.int32))
    tl.store(facts + 4, tl.sigmoid(value).to(tl.int32, bitcast=True))
# fmt: on
