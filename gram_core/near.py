"""Attention of each cell to itself and the four cells beside it on the board.

Written as five shifted boards: no gather, so the backward is five shifts too.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gram_core.config import GramConfig
from gram_core.relations import OFFSETS, neighbourhood_mask


class NearAttention(nn.Module):
    """Heads that see the neighbourhood of their cell, and know in which direction each cell lies.

    The direction has learned vectors of its own, one added to the key and one to the value.
    """

    is_outside: Tensor

    def __init__(self, config: GramConfig, num_heads: int) -> None:
        super().__init__()
        self.rows, self.columns = config.rows, config.columns
        shape = (len(OFFSETS), num_heads, config.head_dim)
        self.key_direction = nn.Parameter(torch.randn(shape) * config.head_dim**-0.5)
        self.value_direction = nn.Parameter(torch.randn(shape) * config.head_dim**-0.5)
        outside = ~neighbourhood_mask(config.rows, config.columns)
        self.register_buffer("is_outside", outside[..., None], persistent=False)

    def forward(self, qkv: Tensor) -> Tensor:
        """Map (batch, cells, 3, heads, head_dim) to (batch, cells, heads, head_dim)."""
        batch, cells, _, num_heads, head_dim = qkv.shape
        board = qkv.view(batch, self.rows, self.columns, 3, num_heads, head_dim)
        q, k, v = board.unbind(3)  # (batch, rows, columns, heads, head_dim)
        keys = [part + self.key_direction[place] for place, part in enumerate(shifted(k))]
        # One score for each of the five cells: (batch, rows, columns, 5, heads).
        scores = torch.stack([(q * key).sum(dim=-1) for key in keys], dim=3)
        scores = (scores.float() * head_dim**-0.5).masked_fill(self.is_outside, float("-inf"))
        weights = torch.softmax(scores, dim=3).to(v.dtype)[..., None]
        mixed = torch.zeros_like(v)
        for place, part in enumerate(shifted(v)):
            mixed = mixed + weights[:, :, :, place] * (part + self.value_direction[place])
        return mixed.view(batch, cells, num_heads, head_dim)


def shifted(board: Tensor) -> list[Tensor]:
    """Return, for each of ``OFFSETS``, the board on which every cell holds what lies there.

    Args:
        board: (batch, rows, columns, heads, head_dim); beyond the border lie zeros.
    """
    rows, columns = board.shape[1:3]
    padded = functional.pad(board, (0, 0, 0, 0, 1, 1, 1, 1))
    return [
        padded[:, 1 + down : 1 + down + rows, 1 + right : 1 + right + columns]
        for down, right in OFFSETS
    ]
