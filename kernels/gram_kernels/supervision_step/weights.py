"""The tensors that a supervision step reads and writes: weights, and the rows of a batch."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from gram_kernels.supervision_step.heads import HeadTables
from gram_kernels.tokens import NUM_FACTS


class StackWeights(NamedTuple):
    """The blocks of f_L or f_H."""

    qkv: Tensor
    """(blocks, 3 dim, dim): queries, keys and values of all heads."""
    out: Tensor
    """(blocks, dim, dim)."""
    gate_up: Tensor
    """(blocks, 2 ffn_dim, dim)."""
    down: Tensor
    """(blocks, dim, ffn_dim)."""
    directions: Tensor
    """(blocks, 2, places, near heads, head_dim): what neighbourhood heads add to a key and to a
    value from each place; most models have no such heads."""

    @property
    def num_near(self) -> int:
        return self.directions.shape[3]

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "StackWeights":
        return StackWeights(*(weight.to(device, dtype) for weight in self))


class TokenStackWeights(NamedTuple):
    """The blocks of f_L or f_H that mix cells by a SwiGLU over the tokens, without attention."""

    token_gate_up: Tensor
    """(blocks, 2 token_ffn_dim, tokens)."""
    token_down: Tensor
    """(blocks, tokens, token_ffn_dim)."""
    gate_up: Tensor
    """(blocks, 2 ffn_dim, dim)."""
    down: Tensor
    """(blocks, dim, ffn_dim)."""

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "TokenStackWeights":
        return TokenStackWeights(*(weight.to(device, dtype) for weight in self))


Stack = StackWeights | TokenStackWeights


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidanceWeights:
    """The guidance heads, two SwiGLUs over u: the mean, and the logit of the deviation."""

    gate_up: Tensor
    """(4 hidden, dim): gate of the mean, of the deviation, up of the mean, of the deviation."""
    down: Tensor
    """(2, dim, hidden): mean, deviation."""
    sigma_min: float
    sigma_span: float
    sigma_offset: float
    """sigma = sigma_min + sigma_span * sigmoid(deviation(u) + sigma_offset)."""
    has_noise: bool = True
    """Without noise h is u + mu(u)."""

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "GuidanceWeights":
        return replace(
            self, gate_up=self.gate_up.to(device, dtype), down=self.down.to(device, dtype)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWeights:
    """Everything of a model that a supervision step needs."""

    low: Stack
    high: Stack | None
    """None where h alone passes through the low blocks (a looped transformer)."""
    guidance: GuidanceWeights | None
    heads: HeadTables
    embedding: Tensor
    """(vocabulary, dim) float32: the input embedding of each token."""
    decoder: Tensor
    """(vocabulary, dim)."""
    readout: Tensor
    """(2, dim) float32: halt head, value head."""
    readout_bias: Tensor
    """(2,) float32."""
    num_heads: int
    num_inner_steps: int
    num_transitions: int
    reads_first: bool
    """Whether halt and value heads read the first token, or the mean over all."""
    epsilon: float
    """Of the RMS norms."""
    norms_tokens: bool = False
    """Whether the norm after a SwiGLU over the tokens runs along them, or along the channels."""
    is_outside: Tensor | None = None
    """(rows, columns, places) bool: which places of a cell's neighbourhood are beyond the border;
    None without neighbourhood heads."""
    first_near: int = 0
    """First of the neighbourhood heads, which are contiguous."""
    positions: Tensor | None = None
    """(tokens, dim) float32 that the input embedding of each token includes, whatever it holds."""
    num_prefix: int = 0
    """Tokens before the cells; ``positions`` are their whole input embedding."""
    has_input_noise: bool = False
    """Whether every unknown cell holds standard normals in place of a one-hot value."""
    is_pre_norm: bool = False
    """Whether blocks add to an unnormed stream, the embedding joins h once, and h is normed after
    the last pass; needs ``high`` None and attention."""
    norms_queries: bool = False
    """Whether queries and keys of every head are RMS-normed."""

    @property
    def dim(self) -> int:
        return self.embedding.shape[1]

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "StepWeights":
        """Move all tensors to a device, and those that multiply activations to a dtype."""
        return replace(
            self,
            low=self.low.to(device, dtype),
            high=self.high.to(device, dtype) if self.high else None,
            guidance=self.guidance.to(device, dtype) if self.guidance else None,
            heads=self.heads.to(device),
            embedding=self.embedding.to(device),
            decoder=self.decoder.to(device, dtype),
            readout=self.readout.to(device),
            readout_bias=self.readout_bias.to(device),
            is_outside=None if self.is_outside is None else self.is_outside.to(device),
            positions=None if self.positions is None else self.positions.to(device),
        )


class StepRows(NamedTuple):
    """The rows of a batch; a step works on the first of them, in place."""

    high: Tensor
    """(rows, tokens, dim) float32."""
    low: Tensor
    """(rows, tokens, dim) float32."""
    givens: Tensor
    """(rows, cells) int32."""
    keys: Tensor
    """(3, rows) int64: seed, trajectory, steps taken."""
    adjacency: Tensor | None
    """(rows, cells, cells) bool."""
    facts: Tensor
    """(rows, NUM_FACTS + cells) int32: the step's facts (see ``NUM_FACTS``) and its answer."""
    num_live: Tensor
    """(1,) int32: the step leaves later rows unchanged."""

    @classmethod
    def allocate(
        cls, num_rows: int, tokens: int, dim: int, *, has_adjacency: bool, device: str
    ) -> "StepRows":
        graph = (num_rows, tokens, tokens)
        return cls(
            high=torch.zeros(num_rows, tokens, dim, device=device),
            low=torch.zeros(num_rows, tokens, dim, device=device),
            givens=torch.zeros(num_rows, tokens, dtype=torch.int32, device=device),
            keys=torch.zeros(3, num_rows, dtype=torch.int64, device=device),
            adjacency=torch.zeros(graph, dtype=torch.bool, device=device)
            if has_adjacency
            else None,
            facts=torch.zeros(num_rows, NUM_FACTS + tokens, dtype=torch.int32, device=device),
            num_live=torch.zeros(1, dtype=torch.int32, device=device),
        )
