"""Attention of each cell to itself and its four neighbours on the board, in plain PyTorch.

Written as five shifted boards: no gather, so the backward is five shifts too.
"""

import torch
from torch import Tensor
from torch.nn import functional

from gram_kernels.relational_attention.tables import OFFSETS


def neighbourhood_attention(
    qkv: Tensor, to_keys: Tensor, to_values: Tensor, is_outside: Tensor
) -> Tensor:
    """Return (batch, cells, heads, head_dim).

    Args:
        qkv: (batch, cells, 3, heads, head_dim).
        to_keys: (5, heads, head_dim), added to the keys at each of ``OFFSETS``: encodes direction.
        to_values: the same for values.
        is_outside: (rows, columns, 5), see ``tables.outside_cells``.
    """
    batch, cells, _, num_heads, head_dim = qkv.shape
    board = qkv.view(batch, *is_outside.shape[:2], 3, num_heads, head_dim)
    q, k, v = board.unbind(3)  # (batch, rows, columns, heads, head_dim)
    keys = [part + to_keys[place] for place, part in enumerate(_shifted(k))]
    # One score for each of the five cells: (batch, rows, columns, 5, heads).
    scores = torch.stack([(q * key).sum(dim=-1) for key in keys], dim=3)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32)) * head_dim**-0.5
    scores = scores.masked_fill(is_outside[..., None], float("-inf"))
    weights = torch.softmax(scores, dim=3).to(v.dtype)[..., None]
    mixed = torch.zeros_like(v)
    for place, part in enumerate(_shifted(v)):
        mixed = mixed + weights[:, :, :, place] * (part + to_values[place])
    return mixed.view(batch, cells, num_heads, head_dim)


def _shifted(board: Tensor) -> list[Tensor]:
    """Return the board shifted by each of ``OFFSETS``, with zeros beyond the border.

    The shape stays (batch, rows, columns, heads, head_dim).
    """
    rows, columns = board.shape[1:3]
    padded = functional.pad(board, (0, 0, 0, 0, 1, 1, 1, 1))
    return [
        padded[:, 1 + down : 1 + down + rows, 1 + right : 1 + right + columns]
        for down, right in OFFSETS
    ]
