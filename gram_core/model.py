"""GRAM: a recursive latent-state model whose high-level updates are sampled.

e_x = f_enc(x) is computed once. One transition is K inner steps l <- f_L(l; h + e_x), then
u = f_H(h; l), then h = u + eps with eps ~ N(mu(u), sigma(u)^2). T transitions make a supervision
step, which ends in a decode y = argmax f_dec(h). arXiv 2605.19376, section 3. Inputs are injected
by sum, e_x does not enter f_H, and noise enters h only. Knows no loop over steps: see ``solve``.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from gram_core.config import GramConfig
from gram_core.guidance import Gaussian, GuidanceHead
from gram_core.layers import Stack, linear, rms_norm
from gram_core.puzzles import BLANK, FIRST_VALUE, Unit
from gram_core.relations import cell_groups
from gram_kernels import philox
from gram_kernels.philox import NoiseKey

MAX_DIGITS = 18
"""That an int64 has room for."""
HALT_BIAS = -5.0
"""Initial halt logit: no trajectory halts before the head has learned."""


class LatentState(NamedTuple):
    """The latent state (h, l), each (batch, tokens, dim)."""

    high: Tensor
    low: Tensor

    def detach(self) -> "LatentState":
        """Return the same values, detached from the autograd graph."""
        return LatentState(self.high.detach(), self.low.detach())


class StepOutput(NamedTuple):
    """Output of one supervision step."""

    state: LatentState
    logits: Tensor
    """(batch, num_cells, vocabulary)."""
    halt: Tensor
    """(batch,) logit of halting (ACT)."""
    value: Tensor
    """(batch,) expected accuracy of the trajectory's final answer (LPRM)."""


class Gram(nn.Module):
    """The model and, by configuration, its deterministic relatives.

    Rows of a batch are independent. All tensors are float32; tokens are int64.
    """

    z0_high: Tensor
    z0_low: Tensor
    groups: Tensor
    known: Tensor

    def __init__(self, config: GramConfig, units: Sequence[Unit] = ()) -> None:
        """Build with fresh weights; ``units`` are the task's, for relational heads."""
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.dim)
        nn.init.trunc_normal_(self.embedding.weight, std=1.0 / math.sqrt(config.dim))
        self.prefix = nn.Parameter(torch.randn(config.num_prefix_tokens, config.dim))
        if config.num_known:
            self.register_buffer("known", torch.zeros(config.num_known, config.dim))
        self.low = Stack(config, config.num_low_blocks, units)
        if config.recursion == "hierarchical":
            self.high = Stack(config, config.num_high_blocks, units)
        if config.positions == "units":
            groups = cell_groups(config, units)  # (length, kinds)
            self.register_buffer("groups", groups, persistent=False)
            self.position = nn.Parameter(0.1 * torch.randn(int(groups.max()) + 1, config.dim))
        if config.has_guidance_heads:
            self.prior = GuidanceHead(config)
            # Reads u + e_y; only training uses it.
            self.posterior = GuidanceHead(config)
        self.decoder = linear(config.dim, config.vocabulary)
        self.halt = nn.Linear(config.dim, 2)
        self.value = nn.Linear(config.dim, 1)
        nn.init.zeros_(self.halt.weight)
        nn.init.constant_(self.halt.bias, HALT_BIAS)
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)
        # z_0 is drawn once and stored, never trained; with noise in the input it is zero.
        draw = torch.zeros if config.guidance == "input" else torch.randn
        self.register_buffer("z0_high", draw(config.dim))
        self.register_buffer("z0_low", draw(config.dim))
        if config.guidance == "input":
            with torch.no_grad():
                # Noise in every value then has variance 1 in every channel.
                self.embedding.weight.div_(math.sqrt(config.vocabulary - FIRST_VALUE))

    def encode(self, tokens: Tensor) -> Tensor:
        """Return the input embedding e_x, (batch, tokens, dim), of (batch, num_cells) tokens."""
        cells = tokens[:, : self.config.length]
        embedded: Tensor = self.embedding(cells) * math.sqrt(self.config.dim)
        if self.config.positions == "units":
            embedded = embedded + self.position[self.groups].sum(dim=1)
        if not self.config.num_prefix_tokens:
            return embedded
        prefix = self.prefix.expand(len(tokens), -1, -1)
        if self.config.num_known:
            # Rows that hold nothing yet have no number.
            numbers = _numbers(tokens[:, 2 * self.config.length :])
            known = self.known[numbers.clamp(0, self.config.num_known - 1)]
            prefix = torch.cat((prefix[:, :1] + known[:, None], prefix[:, 1:]), dim=1)
        return torch.cat((prefix, embedded), dim=1)

    def inject(self, embedding: Tensor, values: Tensor, is_unknown: Tensor) -> Tensor:
        """Return e_x with the embedding of ``values`` added in every unknown cell.

        ``values``, (batch, length, values), are noise, a one-hot answer or a mixture of both;
        ``is_unknown`` is (batch, length) bool.
        """
        weights = self.embedding.weight[FIRST_VALUE:] * math.sqrt(self.config.dim)
        return embedding + (values * is_unknown[..., None]).to(weights.dtype) @ weights

    def initial_state(self, seed: Tensor, trajectory: Tensor) -> LatentState:
        """Return z_0 for each row; seed and trajectory are (batch,) int64."""
        shape = (len(seed), self.config.num_tokens, self.config.dim)
        if self.config.initial_state == "fixed":
            return LatentState(self.z0_high.expand(shape), self.z0_low.expand(shape))
        draws = philox.normals(
            seed,
            trajectory,
            torch.zeros_like(seed),
            transition=0,
            stream=philox.LATENT_STREAM,
            count=2 * shape[1] * shape[2],
        ).view(len(seed), 2, shape[1], shape[2])
        return LatentState(draws[:, 0], draws[:, 1])

    def transition(
        self, state: LatentState, embedding: Tensor, adjacency: Tensor | None = None
    ) -> LatentState:
        """Return (u, l): K inner steps and the high-level update, before any noise."""
        high, low = state
        context = high + embedding
        if self.config.block_norm == "pre":
            for _ in range(self.config.num_inner_steps + 1):
                context = self.low(context, adjacency)
            return LatentState(rms_norm(context), low)
        if self.config.recursion == "flat":
            for _ in range(self.config.num_inner_steps + 1):
                high = self.low(high + embedding, adjacency)
            return LatentState(high, low)
        for _ in range(self.config.num_inner_steps):
            low = self._damped(low, self.low(low + context, adjacency))
        return LatentState(self._damped(high, self.high(high + low, adjacency)), low)

    def _damped(self, before: Tensor, after: Tensor) -> Tensor:
        share = self.config.damping
        return torch.lerp(after, before, share) if share else after

    def sample(self, u: Tensor, noise: NoiseKey, transition: int) -> Tensor:
        """Return h = u + eps, eps from the prior; u where there is none."""
        if not self.config.has_guidance_heads:
            return u
        prior: Gaussian = self.prior(u)
        if self.config.guidance == "mean":
            return u + prior.mean
        draw = philox.normals(
            *noise, transition=transition, stream=philox.GUIDANCE_STREAM, count=u[0].numel()
        )
        return u + prior.mean + prior.deviation * draw.view(u.shape)

    def _shaken(self, state: LatentState, noise: NoiseKey) -> LatentState:
        """Return the state with noise in h or l, of guidance ``step-h`` and ``step-l``."""
        part = state.high if self.config.guidance == "step-h" else state.low
        draw = philox.normals(
            *noise, transition=0, stream=philox.GUIDANCE_STREAM, count=part[0].numel()
        )
        shaken = part + self.config.sigma_init * draw.view(part.shape)
        name = "high" if part is state.high else "low"
        return state._replace(**{name: shaken})

    def readout(self, state: LatentState) -> StepOutput:
        """Decode h and read the halt and value heads."""
        high = state.high
        summary = high[:, 0] if self.config.readout == "first" else high.mean(dim=1)
        logits = self.decoder(high[:, self.config.num_prefix_tokens :])
        if self.config.num_known:
            # Of the cells of the answer; all others are given.
            logits = pad(logits, (0, 0, self.config.length, self.config.columns))
        return StepOutput(
            state=state,
            logits=logits,
            halt=self.halt(summary)[:, 0],
            value=torch.sigmoid(self.value(summary)[:, 0]),
        )

    def supervision_step(
        self,
        state: LatentState,
        embedding: Tensor,
        noise: NoiseKey,
        adjacency: Tensor | None = None,
        is_unknown: Tensor | None = None,
    ) -> StepOutput:
        """Advance every row by T transitions and decode.

        Args:
            state: latent state, each part (batch, tokens, dim).
            embedding: e_x from ``encode``.
            noise: keys of the rows' noise.
            adjacency: (batch, length, length) bool; for graph tasks.
            is_unknown: (batch, length) bool cells without a given value; for guidance ``input``.
        """
        if self.config.guidance in ("step-l", "step-h"):
            state = self._shaken(state, noise)
        for transition in range(self.config.num_transitions):
            context = embedding
            if self.config.guidance == "input":
                assert is_unknown is not None
                length, num_values = self.config.length, self.config.vocabulary - FIRST_VALUE
                draw = philox.normals(
                    *noise,
                    transition=transition,
                    stream=philox.INPUT_STREAM,
                    count=length * num_values,
                )
                context = self.inject(embedding, draw.view(-1, length, num_values), is_unknown)
            u, low = self.transition(state, context, adjacency)
            state = LatentState(self.sample(u, noise, transition), low)
        return self.readout(state)


def _numbers(cells: Tensor) -> Tensor:
    """Return the number, (batch,), that the last cells of a row, (batch, cells), have as digits."""
    digits = cells[:, -MAX_DIGITS:] - FIRST_VALUE
    places = 10 ** torch.arange(digits.shape[1], device=cells.device).flip(0)
    return (digits * places).sum(dim=1)


def answer(logits: Tensor, givens: Tensor, *, allows_blank: bool) -> Tensor:
    """Return the most likely legal answer, (batch, length) int64 tokens.

    ``logits`` are (batch, length, vocabulary), givens (batch, length) tokens. Given cells keep
    their value: the training loss excludes them, so their logits mean nothing.
    """
    first = BLANK if allows_blank else FIRST_VALUE
    likely = logits[..., first:].argmax(dim=-1) + first
    return torch.where(givens == BLANK, likely, givens)
