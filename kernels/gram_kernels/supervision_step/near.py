"""Attention of each cell to a few cells at fixed places around it, in plain PyTorch."""

import torch
from torch import Tensor


def near_attention(qkv: Tensor, directions: Tensor, neighbours: Tensor) -> Tensor:
    """Return (batch, tokens, heads, head_dim).

    Args:
        qkv: (batch, tokens, 3, heads, head_dim).
        directions: (2, places, heads, head_dim): what is added to a key and a value that come
            from a place, so that a cell knows where each lies.
        neighbours: (places, tokens) int64: the cell at each place, -1 where there is none.
    """
    q, k, v = qkv.unbind(2)
    to_keys, to_values = directions[:, :, None]  # (places, 1, heads, head_dim)
    cells = neighbours.clamp_min(0)
    keys = k[:, cells] + to_keys  # (batch, places, tokens, heads, head_dim)
    scores = (q[:, None] * keys).sum(dim=-1).to(torch.promote_types(q.dtype, torch.float32))
    scores = scores * q.shape[-1] ** -0.5
    scores = scores.masked_fill((neighbours < 0)[..., None], float("-inf"))
    weights = torch.softmax(scores, dim=1).to(v.dtype)
    mixed: Tensor = (weights[..., None] * (v[:, cells] + to_values)).sum(dim=1)
    return mixed
