"""A supervision step as a sequence of the other ops.

With reference ops it is what the fused kernel is tested against; with Triton ops, and torch for
the large products, it runs models that are too wide to fuse. No value goes to the host, so a CUDA
graph can capture it.
"""

import torch
from torch import Tensor
from torch.nn import functional

from gram_kernels.add_rms_norm import add_rms_norm
from gram_kernels.backend import Backend
from gram_kernels.philox import NoiseKey
from gram_kernels.relational_attention import relational_attention
from gram_kernels.relational_attention.neighbourhood import neighbourhood_attention
from gram_kernels.stochastic_update import stochastic_update
from gram_kernels.supervision_step.weights import (
    Stack,
    StepRows,
    StepWeights,
    TokenStackWeights,
)
from gram_kernels.swiglu import swiglu
from gram_kernels.tokens import BLANK, FIRST_VALUE, NUM_FACTS
from gram_kernels.verify import UnitTables, Verification, verify


def supervision_step(
    rows: StepRows,
    weights: StepWeights,
    units: UnitTables,
    *,
    num_rows: int,
    backend: Backend = "reference",
) -> None:
    """Advance live rows in place by T transitions, decode, verify and count the step.

    Computes the first ``num_rows`` in the dtype of ``weights``; results of rows that are not live
    are discarded.
    """
    high, low = rows.high[:num_rows], rows.low[:num_rows]
    adjacency = None if rows.adjacency is None else rows.adjacency[:num_rows]
    keys = NoiseKey(*rows.keys[:, :num_rows])
    embedding = weights.embedding[rows.givens[:num_rows].long()]
    for transition in range(weights.num_transitions):
        u, low = _transition(high, low, embedding, weights, adjacency, backend)
        high = u
        if weights.guidance is not None:
            high = stochastic_update(
                u, weights.guidance, keys, transition=transition, backend=backend
            )
    facts = _readout(high, rows.givens[:num_rows], weights, units, adjacency, backend)
    write_live(rows, slice(0, num_rows), high=high, low=low, facts=facts)


def write_live(rows: StepRows, span: slice, *, high: Tensor, low: Tensor, facts: Tensor) -> None:
    """Write a step's results for a span of rows into the live ones, and count the step."""
    is_live = torch.arange(span.start, span.stop, device=high.device) < rows.num_live
    for table, value in ((rows.high, high), (rows.low, low), (rows.facts, facts)):
        mask = is_live.view(-1, *[1] * (table.ndim - 1))
        table[span] = torch.where(mask, value.to(table.dtype), table[span])
    rows.keys[2, span] += is_live


def _transition(
    high: Tensor,
    low: Tensor,
    embedding: Tensor,
    weights: StepWeights,
    adjacency: Tensor | None,
    backend: Backend,
) -> tuple[Tensor, Tensor]:
    """Return u in the dtype of the weights, and l."""
    dtype = weights.decoder.dtype
    if weights.high is None:
        x = high.to(dtype)
        for _ in range(weights.num_inner_steps + 1):
            x = _stack((x + embedding).to(dtype), weights.low, weights, adjacency, backend)
        return x, low
    context = high + embedding
    for _ in range(weights.num_inner_steps):
        low = _stack((low + context).to(dtype), weights.low, weights, adjacency, backend)
    return _stack((high + low).to(dtype), weights.high, weights, adjacency, backend), low


def _stack(
    x: Tensor,
    stack: Stack,
    weights: StepWeights,
    adjacency: Tensor | None,
    backend: Backend,
) -> Tensor:
    """Apply blocks to (batch, tokens, dim)."""
    for block in range(len(stack.down)):
        if isinstance(stack, TokenStackWeights):
            x = _mix_tokens(
                x, stack.token_gate_up[block], stack.token_down[block], weights, backend
            )
        else:
            qkv = functional.linear(x, stack.qkv[block]).unflatten(2, (3, weights.num_heads, -1))
            mixed = _attend(qkv, stack.directions[block], weights, adjacency, backend)
            x = _added(x, functional.linear(mixed, stack.out[block]), weights, backend)
        hidden = swiglu(x, stack.gate_up[block], backend=backend)
        x = _added(x, functional.linear(hidden, stack.down[block]), weights, backend)
    return x


def _added(x: Tensor, change: Tensor, weights: StepWeights, backend: Backend) -> Tensor:
    return add_rms_norm(change, x, epsilon=weights.epsilon, backend=backend)


def _attend(
    qkv: Tensor,
    directions: Tensor,
    weights: StepWeights,
    adjacency: Tensor | None,
    backend: Backend,
) -> Tensor:
    """Return (batch, tokens, dim) of (batch, tokens, 3, heads, head_dim)."""
    if weights.is_outside is None:
        return relational_attention(qkv, weights.heads, adjacency=adjacency, backend=backend)
    near = slice(weights.first_near, weights.first_near + directions.shape[2])
    to_keys, to_values = directions
    mixed = neighbourhood_attention(qkv[:, :, :, near], to_keys, to_values, weights.is_outside)
    if directions.shape[2] == weights.num_heads:
        return mixed.flatten(2)
    others = relational_attention(qkv, weights.heads, adjacency=adjacency, backend=backend)
    heads = others.unflatten(2, (weights.num_heads, -1))
    whole = torch.cat((heads[:, :, : near.start], mixed, heads[:, :, near.stop :]), dim=2)
    return whole.flatten(2)


def _mix_tokens(
    x: Tensor, gate_up: Tensor, down: Tensor, weights: StepWeights, backend: Backend
) -> Tensor:
    """Return norm(x + SwiGLU over the tokens of x), with the same weights for each channel."""
    turned = x.transpose(1, 2).contiguous()  # (batch, dim, tokens)
    mixed = functional.linear(swiglu(turned, gate_up, backend=backend), down)
    if not weights.norms_tokens:
        mixed, turned = mixed.transpose(1, 2).contiguous(), x
    normed = add_rms_norm(mixed, turned, epsilon=weights.epsilon, backend=backend)
    return normed.transpose(1, 2).contiguous() if weights.norms_tokens else normed


def _readout(
    high: Tensor,
    givens: Tensor,
    weights: StepWeights,
    units: UnitTables,
    adjacency: Tensor | None,
    backend: Backend,
) -> Tensor:
    logits = functional.linear(high.to(weights.decoder.dtype), weights.decoder).float()
    lowest = BLANK if units.allows_blank else FIRST_VALUE
    likely = (logits[..., lowest:].argmax(dim=-1) + lowest).int()
    answers = torch.where(givens == BLANK, likely, givens)
    summary = high[:, 0] if weights.reads_first else high.mean(dim=1)
    halt, value = functional.linear(summary.float(), weights.readout, weights.readout_bias).T
    judged = verify(answers, givens, units, adjacency=adjacency, backend=backend)
    return pack_facts(logits, halt, torch.sigmoid(value), answers, judged)


def pack_facts(
    logits: Tensor, halt: Tensor, value: Tensor, answers: Tensor, judged: Verification
) -> Tensor:
    """Return (rows, NUM_FACTS + tokens) int32: the flags, the value's bits and the answer."""
    is_finite = logits.isfinite().flatten(1).all(dim=1) & halt.isfinite() & value.isfinite()
    shape = (len(answers), NUM_FACTS + answers.shape[1])
    facts = torch.empty(shape, dtype=torch.int32, device=answers.device)
    facts[:, 0] = judged.is_valid
    facts[:, 1] = halt > 0
    facts[:, 2] = is_finite
    facts[:, 3] = judged.num_violations
    facts[:, 4] = value.float().contiguous().view(torch.int32)
    facts[:, NUM_FACTS:] = answers
    return facts
