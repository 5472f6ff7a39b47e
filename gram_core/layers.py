"""The parts of a block: RMS norm, SwiGLU and the mixers.

Every mixer maps (batch, tokens, dim) to the same shape and treats rows independently. Knows no
recursion and no noise.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gram_core.attention import attend, gather_rows, rotary_table, rotate
from gram_core.config import ADJACENCY, NEAR, UNRESTRICTED, Gate, GramConfig
from gram_core.puzzles import Unit
from gram_core.relations import gather_tables, group_tables, grouped_kinds, row_and_column_units
from gram_kernels.supervision_step.heads import OFFSETS, outside_cells

NORM_EPSILON = 1e-5


def rms_norm(x: Tensor, *, axis: int = -1) -> Tensor:
    """Return x / rms(x) along an axis; no gain, as in the paper."""
    return x * torch.rsqrt(x.square().mean(dim=axis, keepdim=True) + NORM_EPSILON)


def linear(num_in: int, num_out: int) -> nn.Linear:
    """Return a bias-free layer with truncated-normal weights of deviation 1 / sqrt(fan_in)."""
    layer = nn.Linear(num_in, num_out, bias=False)
    deviation = 1.0 / math.sqrt(num_in)
    nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
    return layer


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x)) over the last dimension, or another ``GramConfig.gate``."""

    def __init__(
        self, dim: int, hidden_dim: int, *, out_dim: int | None = None, kind: Gate = "silu"
    ) -> None:
        super().__init__()
        self.kind = kind
        self.gate_up = linear(dim, 2 * hidden_dim)
        self.down = linear(hidden_dim, out_dim or dim)
        if kind == "conv":
            self.conv = nn.Conv1d(hidden_dim, hidden_dim, 2, padding=1, groups=hidden_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., dim) to (..., out_dim); of (batch, tokens, dim) for ``conv``."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        if self.kind == "norm":
            gated = torch.sigmoid(gate) * rms_norm(gate * up)
        else:
            gated = functional.silu(gate) * up
        if self.kind == "conv":
            # Padded on both sides: the last output, beyond the last token, is dropped.
            gated = functional.silu(self.conv(gated.transpose(1, 2))[..., :-1]).transpose(1, 2)
        result: Tensor = self.down(gated)
        return result


class TokenMixing(nn.Module):
    """A SwiGLU over the sequence axis (TRM's replacement for attention on Sudoku)."""

    def __init__(self, config: GramConfig) -> None:
        super().__init__()
        self.mlp = SwiGLU(config.num_tokens, config.token_ffn_dim or config.ffn_dim)

    def forward(self, x: Tensor, adjacency: Tensor | None = None) -> Tensor:
        """Mix (batch, tokens, dim) across tokens, with the same weights for every channel."""
        mixed: Tensor = self.mlp(x.transpose(1, 2)).transpose(1, 2)
        return mixed


class Attention(nn.Module):
    """Multi-head self-attention in which each head attends within its own relation.

    A head's kind is a kind of unit, ``near`` (a cell and its four neighbours), ``edge`` (the
    instance's graph) or ``any``; plain attention has only ``any``. Heads are concatenated in that
    order, whatever the order of ``head_kinds``.
    """

    own_cell: Tensor
    cos: Tensor
    sin: Tensor
    rows_of_places: Tensor
    places_of_rows: Tensor
    places: Tensor
    cells_of_places: Tensor
    is_member: Tensor | None
    group_mask: Tensor | None

    def __init__(
        self, config: GramConfig, head_kinds: Sequence[str], units: Sequence[Unit]
    ) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.head_dim = config.head_dim
        self.num_grouped = len(grouped_kinds(head_kinds))
        self.num_near = head_kinds.count(NEAR) if head_kinds else 0
        self.num_adjacent = head_kinds.count(ADJACENCY) if head_kinds else 0
        self.num_unrestricted = head_kinds.count(UNRESTRICTED)
        self.qkv = linear(config.dim, 3 * config.dim)
        self.out = linear(config.dim, config.dim)
        if self.num_grouped:
            groups = units or row_and_column_units(config.rows, config.columns)
            tables = group_tables(head_kinds, groups, config.length)
            self.num_groups, self.group_size = tables.members.shape
            for name, table in gather_tables(tables).items():
                self.register_buffer(name, table, persistent=False)
        if self.num_near:
            self.near = NearAttention(config, self.num_near)
        self.register_buffer(
            "own_cell", torch.eye(config.num_tokens, dtype=torch.bool), persistent=False
        )
        cos, sin = rotary_table(config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.has_positions = config.rotary != "none"
        self.has_normed_queries = config.normed_queries
        # The cells of a unit have no order; those of a row or column of the layout do.
        self.has_ordered_groups = self.has_positions and not units

    def forward(self, x: Tensor, adjacency: Tensor | None = None) -> Tensor:
        """Map (batch, tokens, dim) to the same shape, each head within its relation.

        ``edge`` heads need ``adjacency``, (batch, tokens, tokens) bool; a cell always sees itself.
        """
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, self.num_heads, self.head_dim)
        if self.has_normed_queries:
            qkv = torch.cat((rms_norm(qkv[:, :, :2]), qkv[:, :, 2:]), dim=2)
        results = []
        if self.num_grouped:
            grouped = qkv[:, :, :, : self.num_grouped]
            results.append(
                self._attend_groups(self._rotate(grouped) if self.has_ordered_groups else grouped)
            )
        first = self.num_grouped
        if self.num_near:
            results.append(self.near(qkv[:, :, :, first : first + self.num_near]))
            first += self.num_near
        if self.num_adjacent:
            assert adjacency is not None
            heads = qkv[:, :, :, first : first + self.num_adjacent]
            results.append(self._attend(heads, mask=(adjacency | self.own_cell)[:, None]))
            first += self.num_adjacent
        if self.num_unrestricted:
            results.append(self._attend(self._rotate(qkv[:, :, :, first:])))
        mixed = results[0] if len(results) == 1 else torch.cat(results, dim=2)
        projected: Tensor = self.out(mixed.reshape(batch, tokens, dim))
        return projected

    def _attend_groups(self, qkv: Tensor) -> Tensor:
        """Attend inside every static group; returns (batch, tokens, grouped heads, head_dim)."""
        batch, tokens = qkv.shape[:2]
        rows = qkv.reshape(batch, -1, self.head_dim)
        gathered = gather_rows(rows, self.rows_of_places, self.places_of_rows, None)
        grouped = gathered.view(batch, 3, self.num_groups, self.group_size, self.head_dim)
        mixed = attend(*grouped.unbind(1), mask=self.group_mask)
        flat = mixed.reshape(batch, -1, self.head_dim)
        cells = gather_rows(flat, self.places, self.cells_of_places, self.is_member)
        return cells.view(batch, tokens, self.num_grouped, self.head_dim)

    def _attend(self, qkv: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend over all tokens; returns (batch, tokens, heads, head_dim)."""
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (batch, heads, tokens, head_dim)
        return attend(q, k, v, mask=mask).transpose(1, 2)

    def _rotate(self, qkv: Tensor) -> Tensor:
        if not self.has_positions:
            return qkv
        qk, v = qkv[:, :, :2], qkv[:, :, 2:]
        cos, sin = self.cos[:, None, None], self.sin[:, None, None]
        return torch.cat((rotate(qk, cos, sin).to(v.dtype), v), dim=2)


class NearAttention(nn.Module):
    """Heads that attend to a cell and its four neighbours (``OFFSETS``).

    Each direction has two learned vectors, one added to the key and one to the value.
    """

    is_outside: Tensor

    def __init__(self, config: GramConfig, num_heads: int) -> None:
        super().__init__()
        shape = (len(OFFSETS), num_heads, config.head_dim)
        self.key_direction = nn.Parameter(torch.randn(shape) * config.head_dim**-0.5)
        self.value_direction = nn.Parameter(torch.randn(shape) * config.head_dim**-0.5)
        is_outside = outside_cells(config.rows, config.columns)
        self.register_buffer("is_outside", is_outside, persistent=False)

    def forward(self, qkv: Tensor) -> Tensor:
        """Map (batch, cells, 3, heads, head_dim) to (batch, cells, heads, head_dim).

        Written as five shifted boards: no gather, so the backward is five shifts too.
        """
        batch, cells, _, num_heads, head_dim = qkv.shape
        board = qkv.view(batch, *self.is_outside.shape[:2], 3, num_heads, head_dim)
        q, k, v = board.unbind(3)  # (batch, rows, columns, heads, head_dim)
        keys = [part + self.key_direction[place] for place, part in enumerate(_shifted(k))]
        # One score for each of the five cells: (batch, rows, columns, 5, heads).
        scores = torch.stack([(q * key).sum(dim=-1) for key in keys], dim=3)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32)) * head_dim**-0.5
        scores = scores.masked_fill(self.is_outside[..., None], float("-inf"))
        weights = torch.softmax(scores, dim=3).to(v.dtype)[..., None]
        mixed = torch.zeros_like(v)
        for place, part in enumerate(_shifted(v)):
            mixed = mixed + weights[:, :, :, place] * (part + self.value_direction[place])
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


class Block(nn.Module):
    """Mixer, then SwiGLU, each added to its input.

    Post-norm: x = norm(x + mixer(x)), then x = norm(x + swiglu(x)). Pre-norm: x + mixer(norm(x)),
    then x + swiglu(norm(x)); both begin as the identity.
    """

    def __init__(self, config: GramConfig, units: Sequence[Unit]) -> None:
        super().__init__()
        kinds = config.head_kinds or (UNRESTRICTED,) * config.num_heads
        is_token = config.mixer == "token"
        self.mixer = TokenMixing(config) if is_token else Attention(config, kinds, units)
        self.mlp = SwiGLU(config.dim, config.ffn_dim, kind=config.gate)
        self.norm_axis = 1 if config.mixer_norm == "tokens" else 2
        self.is_pre_norm = config.block_norm == "pre"
        if self.is_pre_norm:
            mixer = self.mixer
            last = mixer.mlp.down if isinstance(mixer, TokenMixing) else mixer.out
            nn.init.zeros_(last.weight)
            nn.init.zeros_(self.mlp.down.weight)

    def forward(self, x: Tensor, adjacency: Tensor | None = None) -> Tensor:
        """Map (batch, tokens, dim) to the same shape."""
        if self.is_pre_norm:
            x = x + self.mixer(rms_norm(x, axis=self.norm_axis), adjacency)
            pre: Tensor = x + self.mlp(rms_norm(x))
            return pre
        x = rms_norm(x + self.mixer(x, adjacency), axis=self.norm_axis)
        return rms_norm(x + self.mlp(x))


class Stack(nn.Module):
    """Blocks in sequence: f_L or f_H."""

    def __init__(self, config: GramConfig, num_blocks: int, units: Sequence[Unit]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(config, units) for _ in range(num_blocks))

    def forward(self, x: Tensor, adjacency: Tensor | None = None) -> Tensor:
        """Map (batch, tokens, dim) to the same shape."""
        for block in self.blocks:
            x = block(x, adjacency)
        return x
