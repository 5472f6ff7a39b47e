"""Relational attention in plain PyTorch: masked softmax over all tokens.

Per head: q and k turned by their position, softmax(q k^T / sqrt(head_dim) + mask) v.
"""

import torch
from torch import Tensor

from gram_kernels.relational_attention.tables import EDGE_GROUP, HeadTables


def relational_attention(
    qkv: Tensor, tables: HeadTables, *, adjacency: Tensor | None = None
) -> Tensor:
    """Return (batch, tokens, heads * head_dim).

    Args:
        qkv: (batch, tokens, 3, heads, head_dim).
        tables: the relations.
        adjacency: (batch, tokens, tokens) bool; needed where a head follows edges.
    """
    q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (batch, heads, tokens, head_dim)
    is_turned = torch.arange(q.shape[1], device=q.device) >= tables.first_turned
    cos, sin = tables.turns.to(q.dtype)[is_turned.long()].unbind(1)  # (heads, tokens, head_dim)
    q, k = _turn(q, cos, sin), _turn(k, cos, sin)
    scores = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2))
    scores = scores.masked_fill(~_mask(tables, adjacency), float("-inf"))
    mixed = torch.matmul(torch.softmax(scores, dim=-1), v)
    return mixed.transpose(1, 2).flatten(2)


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def _mask(tables: HeadTables, adjacency: Tensor | None) -> Tensor:
    """Return (1 or batch, heads, tokens, tokens): what each token sees."""
    groups = tables.groups
    is_seen = (groups[:, :, None] == groups[:, None, :])[None]
    if adjacency is None:
        return is_seen
    own_cell = torch.eye(groups.shape[1], dtype=torch.bool, device=groups.device)
    follows_edges = (groups == EDGE_GROUP)[None, :, :, None]
    return torch.where(follows_edges, (adjacency | own_cell)[:, None], is_seen)
