"""The weights of a step as the fused kernel reads them: every dimension padded with zeros.

Padding makes all tiles full, so the kernel's inner loops need no masks. The halves of a head's
channels are padded separately, because rotation swaps them.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gram_kernels.launch import padded
from gram_kernels.supervision_step.weights import StackWeights, StepWeights, TokenStackWeights


class PackedWeights(NamedTuple):
    """Contiguous, padded tensors; blocks of the low stack come first."""

    qkv: Tensor
    """(blocks, 3, heads, H, D)."""
    out: Tensor
    """(blocks, heads, D, H): the projection of one head's channels."""
    gate_up: Tensor
    """(blocks, 2, F, D)."""
    down: Tensor
    """(blocks, D, F)."""
    guidance_gate_up: Tensor
    """(2, 2, G, D): mean, deviation; gate, up."""
    guidance_down: Tensor
    """(2, D, G)."""
    decoder: Tensor
    """(V, D)."""
    readout: Tensor
    """(2, D) float32."""
    readout_bias: Tensor
    embedding: Tensor
    """(vocabulary, D) float32."""
    groups: Tensor
    """(heads, tokens) int32."""
    rotary: Tensor
    """(2, 2, tokens, H) float32."""
    positions: Tensor | None
    """(tokens, D) float32."""


def pack(weights: StepWeights) -> PackedWeights:
    heads, dim = weights.num_heads, padded(weights.dim)
    head_dim = weights.dim // heads
    assert not isinstance(weights.low, TokenStackWeights)
    stacks = [weights.low] if weights.high is None else [weights.low, weights.high]
    stack = StackWeights(*(torch.cat(parts) for parts in zip(*stacks, strict=True)))
    ffn_dim = stack.down.shape[2]
    qkv = stack.qkv.unflatten(1, (3, heads, head_dim))
    out = stack.out.unflatten(2, (heads, head_dim)).movedim(2, 1)
    gate_up, down = _guidance(weights)
    return PackedWeights(
        qkv=_pad(_pad_halves(qkv, 3), {4: dim}),
        out=_pad(_pad_halves(out, 3), {2: dim}),
        gate_up=_pad(stack.gate_up.unflatten(1, (2, ffn_dim)), {2: padded(ffn_dim), 3: dim}),
        down=_pad(stack.down, {1: dim, 2: padded(ffn_dim)}),
        guidance_gate_up=_pad(gate_up, {2: padded(gate_up.shape[2]), 3: dim}),
        guidance_down=_pad(down, {1: dim, 2: padded(down.shape[2])}),
        decoder=_pad(weights.decoder, {0: padded(len(weights.decoder)), 1: dim}),
        readout=_pad(weights.readout, {1: dim}),
        readout_bias=weights.readout_bias,
        embedding=_pad(weights.embedding, {1: dim}),
        groups=weights.heads.groups.contiguous(),
        rotary=_pad_halves(weights.heads.rotary, 3).contiguous(),
        positions=None if weights.positions is None else _pad(weights.positions, {1: dim}),
    )


def _guidance(weights: StepWeights) -> tuple[Tensor, Tensor]:
    """Return gate_up as (2, 2, hidden, dim), the head first, and down; zeros without guidance."""
    if weights.guidance is None:
        none = weights.decoder.new_zeros
        return none(2, 2, 1, weights.dim), none(2, weights.dim, 1)
    hidden = weights.guidance.down.shape[2]
    by_part = weights.guidance.gate_up.unflatten(0, (2, 2, hidden))
    return by_part.transpose(0, 1), weights.guidance.down


def _pad_halves(x: Tensor, axis: int) -> Tensor:
    """Pad each half of an axis to half of the padded size."""
    half = x.shape[axis] // 2
    wanted = padded(2 * half) // 2
    return torch.cat([_pad(part, {axis: wanted}) for part in x.split(half, dim=axis)], dim=axis)


def _pad(x: Tensor, sizes: dict[int, int]) -> Tensor:
    """Return a contiguous copy with zeros at the end of the named axes."""
    shape = [sizes.get(axis, size) for axis, size in enumerate(x.shape)]
    out = x.new_zeros(shape)
    out[tuple(slice(size) for size in x.shape)] = x
    return out
