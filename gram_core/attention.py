"""What attention is made of: softmax under a mask, rotary positions, cheap gathers of rows.

What the heads of a model attend to is in ``relations``; their weights are in ``layers``.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from gram_core.config import GramConfig


def attend(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Return softmax(q k^T / sqrt(head_dim)) v over the last two dimensions.

    Written out because sequences are 4 to 100 tokens long: on CPU the fused kernel of torch takes
    two to five times as long backwards at these sizes.
    """
    scores = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2))
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return torch.matmul(torch.softmax(scores, dim=-1).to(v.dtype), v)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return x, (..., head_dim), with each channel pair rotated by its position's angle."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class _RowGather(torch.autograd.Function):
    """``x[:, index]`` whose backward is a gather too, since every row is read exactly once."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, index: Tensor, inverse: Tensor, mask: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(inverse, *([] if mask is None else [mask]))
        return x.index_select(1, index)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """Gather the gradient; rows that only padding reads get zero."""
        # torch's annotation lacks the attribute that its documentation names.
        inverse, *masks = ctx.saved_tensors  # type: ignore[attr-defined]
        gathered = gradient.index_select(1, inverse)
        for mask in masks:
            gathered = gathered * mask.to(gathered.dtype)
        return gathered, None, None, None


def gather_rows(x: Tensor, index: Tensor, inverse: Tensor, mask: Tensor | None) -> Tensor:
    """Return ``x[:, index]`` for (batch, rows, channels), cheap to differentiate.

    ``index`` reads each row once, except for padding; ``inverse`` is the result row of each row of
    x; ``mask``, (rows, 1), is zero for rows of x that no result holds.
    """
    result: Tensor = _RowGather.apply(  # type: ignore[no-untyped-call]  # torch has no annotation
        x, index, inverse, mask
    )
    return result


def rotary_table(config: GramConfig) -> tuple[Tensor, Tensor]:
    """Return cosines and sines, each (tokens, head_dim).

    1-D: all channel pairs rotate by the token's index, prefix tokens first. 2-D: half of them by
    the row, half by the column; prefix tokens have position 0.
    """
    half = config.head_dim // 2
    cells = torch.arange(config.length)
    is_2d = config.rotary == "2d"
    by_axis = [cells // config.columns, cells % config.columns]
    axes = by_axis if is_2d else [torch.arange(config.num_tokens)]
    per_axis = half // len(axes)
    rates = config.rotary_base ** (-torch.arange(per_axis, dtype=torch.float64) / per_axis)
    angles = torch.cat([axis[:, None] * rates for axis in axes], dim=1)  # (cells, half)
    prefix = angles.new_zeros(config.num_tokens - len(angles), half)
    angles = torch.cat((prefix, angles)).repeat(1, 2)
    return angles.cos().float(), angles.sin().float()
