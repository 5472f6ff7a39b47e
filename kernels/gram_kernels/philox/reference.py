"""Philox 4x32-10: the counter-based noise of every trajectory.

A draw is a pure function of (seed, trajectory, step, transition, stream, element); nothing is kept
between calls. Integers are exact on every device. Salmon et al., "Parallel random numbers: as easy
as 1, 2, 3", SC 2011.
"""

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor

NUM_ROUNDS: Final = 10
LANES: Final = 4
"""32-bit words per evaluation."""

_MULTIPLIER_0: Final = 0xD2511F53
_MULTIPLIER_1: Final = 0xCD9E8D57
_WEYL_0: Final = 0x9E3779B9
_WEYL_1: Final = 0xBB67AE85
_LOW: Final = 0xFFFFFFFF

GUIDANCE_STREAM: Final = 0
"""Noise of the stochastic transitions."""
LATENT_STREAM: Final = 1
"""The random initial latent state z_0."""
INPUT_STREAM: Final = 2
"""Noise in the unknown cells of the input."""

_STREAM_SHIFT: Final = 24


class NoiseKey(NamedTuple):
    """Key of each row's noise: (seed, trajectory, step), each (batch,) int64."""

    seed: Tensor
    trajectory: Tensor
    step: Tensor


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]) -> Tensor:
    """Return the four output words, shape (4, ...), of broadcastable int64 words below 2**32."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(NUM_ROUNDS):
        product_0 = c0 * _MULTIPLIER_0
        product_1 = c2 * _MULTIPLIER_1
        c0 = ((product_1 >> 32) & _LOW) ^ c1 ^ k0
        c2 = ((product_0 >> 32) & _LOW) ^ c3 ^ k1
        c1 = product_1 & _LOW
        c3 = product_0 & _LOW
        k0 = (k0 + _WEYL_0) & _LOW
        k1 = (k1 + _WEYL_1) & _LOW
    return torch.stack(torch.broadcast_tensors(c0, c1, c2, c3))


def purpose_word(transition: int, stream: int) -> int:
    """Return the counter word of a transition and a stream."""
    return (stream << _STREAM_SHIFT) | transition


def integers(
    seed: Tensor, trajectory: Tensor, step: Tensor, *, transition: int, stream: int, count: int
) -> Tensor:
    """Return ``count`` random 32-bit integers per row as int64, shape (rows, count).

    Element e is lane ``e % 4`` of the block whose counter is (e // 4, step, transition and stream,
    trajectory) under the key (low and high word of the seed). Trajectory and step are taken modulo
    2^32, here as in the kernel and in native code; all 64 bits of the seed are used. The three are
    (rows,) int64. ``stream`` is one of the ``*_STREAM`` constants.
    """
    num_blocks = -(-count // LANES)
    block = torch.arange(num_blocks, device=seed.device)  # (blocks,)
    purpose = torch.full_like(seed, purpose_word(transition, stream))
    words = philox(
        (block[None], (step & _LOW)[:, None], purpose[:, None], (trajectory & _LOW)[:, None]),
        ((seed & _LOW)[:, None], ((seed >> 32) & _LOW)[:, None]),
    )  # (4, rows, blocks)
    return words.permute(1, 2, 0).reshape(len(seed), num_blocks * LANES)[:, :count]


def normals(
    seed: Tensor, trajectory: Tensor, step: Tensor, *, transition: int, stream: int, count: int
) -> Tensor:
    """Return ``count`` standard normals per row as float32, shape (rows, count).

    Box-Muller on the words of ``integers``: words 0 and 1 of a block make its elements 0 and 1,
    words 2 and 3 its elements 2 and 3.
    """
    padded = -(-count // LANES) * LANES
    words = integers(
        seed, trajectory, step, transition=transition, stream=stream, count=padded
    ).view(len(seed), padded // 2, 2)
    # The upper 24 bits are exact in float32; the half keeps the logarithm finite.
    uniform = ((words >> 8).float() + 0.5) * 2.0**-24  # (rows, pairs, 2) in (0, 1)
    radius = torch.sqrt(-2.0 * torch.log(uniform[..., 0]))
    angle = (2.0 * math.pi) * uniform[..., 1]
    pairs = torch.stack((radius * torch.cos(angle), radius * torch.sin(angle)), dim=-1)
    return pairs.reshape(len(seed), padded)[:, :count]
