"""A model's weights as the plain tensors that ``gram_kernels.supervision_step`` takes.

Models with damping, another gate, noise between steps, or a mixture of norms and noise that no
recipe uses have no such form: they run ``Gram.supervision_step``.
"""

import math

import torch
from torch import Tensor

from gram_core.attention import rotary_table
from gram_core.config import ADJACENCY, NEAR, UNRESTRICTED, GramConfig
from gram_core.guidance import GuidanceHead
from gram_core.layers import NORM_EPSILON, Attention, Block, Stack, TokenMixing
from gram_core.model import Gram
from gram_core.puzzles import Unit
from gram_core.relations import group_tables, grouped_kinds, row_and_column_units
from gram_kernels.supervision_step import (
    GuidanceWeights,
    HeadTables,
    StackWeights,
    StepWeights,
    TokenStackWeights,
)
from gram_kernels.supervision_step.heads import EDGE_GROUP, NEAR_GROUP, outside_cells


def has_step_weights(config: GramConfig, units: tuple[Unit, ...]) -> bool:
    """Return whether ``step_weights`` supports this architecture with these units."""
    # Row and column heads of the layout use rotary positions, which the kernels lack for groups.
    has_ordered_groups = (
        bool(grouped_kinds(config.head_kinds)) and not units and config.rotary != "none"
    )
    return (
        config.gate == "silu"
        and config.damping == 0.0
        and not config.num_known
        and config.guidance not in ("step-l", "step-h")
        and not has_ordered_groups
        # Noise in the input and norms before the mixer come together, and with attention.
        and (config.block_norm == "pre") == (config.guidance == "input")
        and (config.block_norm == "post" or config.mixer != "token")
        and (config.guidance != "input" or not config.num_prefix_tokens)
    )


def step_weights(model: Gram, units: tuple[Unit, ...]) -> StepWeights:
    """Return copies of the weights of a model for the task of these units, in float32."""
    config = model.config
    kinds = config.head_kinds
    return StepWeights(
        low=_stack(model.low),
        high=_stack(model.high) if config.recursion == "hierarchical" else None,
        guidance=_guidance(model.prior) if config.has_guidance_heads else None,
        heads=head_tables(config, units),
        embedding=(model.embedding.weight * math.sqrt(config.dim)).detach().clone(),
        decoder=model.decoder.weight.detach().clone(),
        readout=torch.cat((model.halt.weight[:1], model.value.weight)).detach(),
        readout_bias=torch.cat((model.halt.bias[:1], model.value.bias)).detach(),
        num_heads=config.num_heads,
        num_inner_steps=config.num_inner_steps,
        num_transitions=config.num_transitions,
        reads_first=config.readout == "first",
        epsilon=NORM_EPSILON,
        norms_tokens=config.mixer_norm == "tokens",
        is_outside=outside_cells(config.rows, config.columns) if NEAR in kinds else None,
        first_near=len(grouped_kinds(kinds)),
        positions=_positions(model),
        num_prefix=config.num_prefix_tokens,
        has_input_noise=config.guidance == "input",
        is_pre_norm=config.block_norm == "pre",
        norms_queries=config.normed_queries,
    )


def _positions(model: Gram) -> Tensor | None:
    """Return (tokens, dim): what e_x includes whatever the cells hold; None for nothing."""
    if model.config.positions == "units":
        # Which needs heads that no prefix token has a place in.
        return model.position[model.groups].sum(dim=1).detach()
    if not model.config.num_prefix_tokens:
        return None
    cells = model.prefix.new_zeros(model.config.length, model.config.dim)
    return torch.cat((model.prefix.detach(), cells))


def head_tables(config: GramConfig, units: tuple[Unit, ...]) -> HeadTables:
    """Return the relation of each head, and the rotary tables of those with positions."""
    kinds = config.head_kinds or (UNRESTRICTED,) * config.num_heads
    groups = torch.zeros(config.num_heads, config.num_tokens, dtype=torch.int32)
    if grouped_kinds(kinds):
        lined = units or row_and_column_units(config.rows, config.columns)
        tables = group_tables(kinds, lined, config.length)
        for group, head in enumerate(tables.heads.tolist()):
            groups[head, tables.members[group][tables.is_member[group]]] = group
    num_free = kinds.count(UNRESTRICTED)
    num_edge = kinds.count(ADJACENCY)
    num_grouped = len(grouped_kinds(kinds))
    groups[num_grouped : num_grouped + kinds.count(NEAR)] = NEAR_GROUP
    groups[config.num_heads - num_free - num_edge : config.num_heads - num_free] = EDGE_GROUP
    cos, sin = rotary_table(config)
    still = torch.stack((torch.ones_like(cos), torch.zeros_like(sin)))
    has_positions = config.rotary != "none"
    return HeadTables(
        groups=groups,
        rotary=torch.stack((still, torch.stack((cos, sin)))),
        first_rotary_head=config.num_heads - num_free if has_positions else config.num_heads,
    )


def _stack(stack: Stack) -> StackWeights | TokenStackWeights:
    blocks = [block for block in stack.blocks if isinstance(block, Block)]
    has_attention = isinstance(blocks[0].mixer, Attention)
    parts = [(*_mixer(block), block.mlp.gate_up.weight, block.mlp.down.weight) for block in blocks]
    first, last, gate_up, down = (
        torch.stack([weight.detach() for weight in part]) for part in zip(*parts, strict=True)
    )
    if not has_attention:
        return TokenStackWeights(first, last, gate_up, down)
    mixers = [block.mixer for block in blocks if isinstance(block.mixer, Attention)]
    directions = torch.stack(
        [
            torch.stack((mixer.near.key_direction, mixer.near.value_direction)).detach()
            if mixer.num_near
            else mixer.out.weight.new_zeros(2, 0, 0, mixer.head_dim)
            for mixer in mixers
        ]
    )
    return StackWeights(first, last, gate_up, down, directions)


def _mixer(block: Block) -> tuple[Tensor, Tensor]:
    """Return the first and the last weight of a mixer."""
    mixer = block.mixer
    if isinstance(mixer, TokenMixing):
        return mixer.mlp.gate_up.weight, mixer.mlp.down.weight
    assert isinstance(mixer, Attention)
    return mixer.qkv.weight, mixer.out.weight


def _guidance(head: GuidanceHead) -> GuidanceWeights:
    mean_gate, mean_up = head.mean.gate_up.weight.detach().chunk(2)
    deviation_gate, deviation_up = head.deviation.gate_up.weight.detach().chunk(2)
    mean_down = head.mean.down.weight.detach()
    if head.mode == "noise":
        mean_down = torch.zeros_like(mean_down)
    return GuidanceWeights(
        gate_up=torch.cat((mean_gate, deviation_gate, mean_up, deviation_up)),
        down=torch.stack((mean_down, head.deviation.down.weight.detach())),
        sigma_min=head.sigma_min,
        sigma_span=head.sigma_span,
        sigma_offset=head.sigma_offset,
        has_noise=head.mode != "mean",
    )
