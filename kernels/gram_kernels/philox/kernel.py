"""Philox 4x32-10 in Triton, bit-equal to the reference, and Box-Muller on its words."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from gram_kernels.launch import OPTIONS
from gram_kernels.philox.reference import LANES, purpose_word

BLOCKS_PER_PROGRAM = 256

MULTIPLIER_0 = tl.constexpr(0xD2511F53)
MULTIPLIER_1 = tl.constexpr(0xCD9E8D57)
WEYL_0 = tl.constexpr(0x9E3779B9)
WEYL_1 = tl.constexpr(0xBB67AE85)
TWO_PI = tl.constexpr(6.283185307179586)


@triton.jit
def philox_words(block, step, purpose, trajectory, seed):
    """Return the four words of counter (block, step, purpose, trajectory) under the seed's key.

    ``seed`` is int64; the others are any integers that broadcast with ``block``.
    """
    c0 = block.to(tl.uint32)
    zero = c0 * 0
    c1 = zero + step.to(tl.uint32)
    c2 = zero + purpose
    c3 = zero + trajectory.to(tl.uint32)
    k0 = zero + (seed & 0xFFFFFFFF).to(tl.uint32)
    k1 = zero + ((seed >> 32) & 0xFFFFFFFF).to(tl.uint32)
    multiplier_0 = zero + MULTIPLIER_0
    multiplier_1 = zero + MULTIPLIER_1
    for _ in tl.static_range(10):
        high_0 = tl.umulhi(multiplier_0, c0)
        high_1 = tl.umulhi(multiplier_1, c2)
        low_0 = multiplier_0 * c0
        low_1 = multiplier_1 * c2
        c0 = high_1 ^ c1 ^ k0
        c1 = low_1
        c2 = high_0 ^ c3 ^ k1
        c3 = low_0
        k0 += WEYL_0
        k1 += WEYL_1
    return c0, c1, c2, c3


@triton.jit
def sine_of_turns(x):
    """Return sin(2 pi x) for 0 <= x < 2, within an ulp or two, without a slow path."""
    quarter = tl.floor(4.0 * x + 0.5)
    angle = TWO_PI * (x - 0.25 * quarter)  # within pi / 4 of a multiple of pi / 2
    square = angle * angle
    sine = -1.9515295891e-4 * square + 8.3321608736e-3
    sine = angle + angle * square * (sine * square - 1.6666654611e-1)
    cosine = 2.443315711809948e-5 * square - 1.388731625493765e-3
    cosine = 1.0 - 0.5 * square + square * square * (cosine * square + 4.166664568298827e-2)
    quarter = quarter.to(tl.int32)
    value = tl.where((quarter & 1) == 0, sine, cosine)
    return tl.where((quarter & 2) == 0, value, -value)


@triton.jit
def normal_pair(word_0, word_1):
    """Return the two Box-Muller normals of two words."""
    uniform_0 = ((word_0 >> 8).to(tl.float32) + 0.5) * (1.0 / 16777216.0)
    uniform_1 = ((word_1 >> 8).to(tl.float32) + 0.5) * (1.0 / 16777216.0)
    radius = tl.sqrt(-2.0 * tl.log(uniform_0))
    return radius * sine_of_turns(uniform_1 + 0.25), radius * sine_of_turns(uniform_1)


@triton.jit
def interleave(e0, e1, e2, e3, M: tl.constexpr, Q: tl.constexpr):
    """Return (M, 4 Q) whose columns 4 q .. 4 q + 3 are column q of the four (M, Q) parts."""
    pairs = tl.join(tl.join(e0, e2), tl.join(e1, e3))  # (M, Q, 2, 2), lane = 2 i + j
    return tl.reshape(pairs, [M, 4 * Q])


@triton.jit
def normal_tile(block, step, purpose, trajectory, seed, M: tl.constexpr, Q: tl.constexpr):
    """Return (M, 4 Q) normals of (M, Q) blocks: element e is lane e % 4 of block e // 4."""
    w0, w1, w2, w3 = philox_words(block, step, purpose, trajectory, seed)
    n0, n1 = normal_pair(w0, w1)
    n2, n3 = normal_pair(w2, w3)
    return interleave(n0, n1, n2, n3, M, Q)


@triton.jit
def normal_of(element, step, purpose, trajectory, seed):
    """Return single normals, as many as there are elements, which need not fill blocks."""
    w0, w1, w2, w3 = philox_words(element // 4, step, purpose, trajectory, seed)
    is_first = element % 4 < 2
    even, odd = normal_pair(tl.where(is_first, w0, w2), tl.where(is_first, w1, w3))
    return tl.where(element % 2 == 0, even, odd)


@triton.jit
def integers_kernel(out, seeds, trajectories, steps, purpose, count, B: tl.constexpr):
    """Write the words of B blocks of one row."""
    row = tl.program_id(0)
    block = tl.program_id(1) * B + tl.arange(0, B)[None, :]
    w0, w1, w2, w3 = philox_words(
        block,
        tl.load(steps + row),
        purpose,
        tl.load(trajectories + row),
        tl.load(seeds + row),
    )
    words = interleave(w0, w1, w2, w3, 1, B)
    element = tl.program_id(1) * B * 4 + tl.arange(0, 4 * B)[None, :]
    tl.store(out + row * count + element, words.to(tl.int64), mask=element < count)


@triton.jit
def normals_kernel(out, seeds, trajectories, steps, purpose, count, B: tl.constexpr):
    """Write the normals of B blocks of one row."""
    row = tl.program_id(0)
    block = tl.program_id(1) * B + tl.arange(0, B)[None, :]
    drawn = normal_tile(
        block,
        tl.load(steps + row),
        purpose,
        tl.load(trajectories + row),
        tl.load(seeds + row),
        1,
        B,
    )
    element = tl.program_id(1) * B * 4 + tl.arange(0, 4 * B)[None, :]
    tl.store(out + row * count + element, drawn, mask=element < count)


def integers(
    seed: Tensor, trajectory: Tensor, step: Tensor, *, transition: int, stream: int, count: int
) -> Tensor:
    out = torch.empty(len(seed), count, dtype=torch.int64, device=seed.device)
    _launch(integers_kernel, out, seed, trajectory, step, purpose_word(transition, stream))
    return out


def normals(
    seed: Tensor, trajectory: Tensor, step: Tensor, *, transition: int, stream: int, count: int
) -> Tensor:
    out = torch.empty(len(seed), count, device=seed.device)
    _launch(normals_kernel, out, seed, trajectory, step, purpose_word(transition, stream))
    return out


def _launch(kernel, out, seed, trajectory, step, purpose):
    rows, count = out.shape
    if out.numel() == 0:
        return
    num_blocks = triton.cdiv(count, LANES)
    grid = (rows, triton.cdiv(num_blocks, BLOCKS_PER_PROGRAM))
    keys = (seed.contiguous(), trajectory.contiguous(), step.contiguous())
    kernel[grid](out, *keys, purpose, count, B=BLOCKS_PER_PROGRAM, **OPTIONS)
