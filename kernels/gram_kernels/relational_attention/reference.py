"""Relational attention in plain PyTorch: masked softmax over all tokens.

Per head: q and k rotated by position, softmax(q k^T / sqrt(head_dim) + mask) v.
"""

import torch
from torch import Tensor

from gram_kernels.relational_attention.tables import EDGE_GROUP, HeadTables


def relational_attention(
    qkv: Tensor, tables: HeadTables, *, adjacency: Tensor | None = None
) -> Tensor:
    """Return (batch, tokens, heads * head_dim) of qkv (batch, tokens, 3, heads, head_dim).

    Heads that follow edges need ``adjacency``, (batch, tokens, tokens) bool.
    """
    q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (batch, heads, tokens, head_dim)
    is_rotary = torch.arange(q.shape[1], device=q.device) >= tables.first_rotary_head
    cos, sin = tables.rotary.to(q.dtype)[is_rotary.long()].unbind(1)  # (heads, tokens, head_dim)
    q, k = rotate(q, cos, sin), rotate(k, cos, sin)
    return attend(q, k, v, mask=_mask(tables, adjacency)).transpose(1, 2).flatten(2)


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


def _mask(tables: HeadTables, adjacency: Tensor | None) -> Tensor:
    """Return (1 or batch, heads, tokens, tokens): which tokens each token sees."""
    groups = tables.groups
    is_seen = (groups[:, :, None] == groups[:, None, :])[None]
    if adjacency is None:
        return is_seen
    own_cell = torch.eye(groups.shape[1], dtype=torch.bool, device=groups.device)
    follows_edges = (groups == EDGE_GROUP)[None, :, :, None]
    return torch.where(follows_edges, (adjacency | own_cell)[:, None], is_seen)
