"""A whole supervision step in two Triton kernels for each transition.

The first runs the blocks, the second samples and reads out; one kernel for both would spill
registers. With noise in the input a kernel before them makes it. Activations stay in the program's
own scratch, small enough for the caches; weights stream from L2. Phases that mix tokens take one
trajectory at a time, the others the rows of all, with barriers between phases.
"""

import torch
import triton
import triton.language as tl

from gram_kernels.launch import OPTIONS, capability, num_multiprocessors, padded
from gram_kernels.philox.kernel import normal_of
from gram_kernels.philox.reference import INPUT_STREAM, purpose_word
from gram_kernels.supervision_step.block.kernel import (
    attend_head,
    enter_context,
    enter_stack,
    finish_block,
    leave,
    project_heads,
)
from gram_kernels.supervision_step.packing import pack
from gram_kernels.supervision_step.readout.kernel import decode, guide
from gram_kernels.supervision_step.tiles import StepTile, step_tile
from gram_kernels.supervision_step.weights import StepRows, StepWeights
from gram_kernels.tokens import BLANK, FIRST_VALUE, NUM_FACTS
from gram_kernels.verify import UnitTables
from gram_kernels.verify.kernel import count_violations

FACTS = tl.constexpr(NUM_FACTS)
OPEN = tl.constexpr(BLANK)
FIRST = tl.constexpr(FIRST_VALUE)
PROGRAMS_PER_MULTIPROCESSOR = 2


# Arguments are grouped by line: tensors of the rows, weights and tables, numbers, sizes.
# fmt: off
@triton.jit
def apply_block(
    x, heads, mixed, graph,
    qkv, out, gate_up, down, groups, rotary,
    rows, first_rotary_head, epsilon,
    TOKENS: tl.constexpr, DIM: tl.constexpr, HEADS: tl.constexpr, HEAD_DIM: tl.constexpr,
    SCALE: tl.constexpr, IS_PRE_NORM: tl.constexpr, NORMS_QUERIES: tl.constexpr,
    HAS_EDGES: tl.constexpr, M: tl.constexpr, N: tl.constexpr, Q: tl.constexpr, S: tl.constexpr,
    D: tl.constexpr, H: tl.constexpr, F: tl.constexpr,
):
    """Apply one block to the rows of all trajectories of a program, in place in x."""
    project_heads(
        x, heads, qkv, rotary, rows, first_rotary_head, epsilon,
        TOKENS, DIM, SCALE, HEADS, HEAD_DIM, IS_PRE_NORM, NORMS_QUERIES, M, D, H,
    )
    tl.debug_barrier()
    for task in range(rows // TOKENS * HEADS):
        head, place = task % HEADS, task // HEADS
        attend_head(
            heads + place * (TOKENS * 3 * HEADS * H) + head * H,
            mixed + place * (TOKENS * HEADS * H) + head * H,
            groups + head * TOKENS, graph + place * (TOKENS * TOKENS),
            TOKENS, HAS_EDGES, HEADS, S, Q, H,
        )
    tl.debug_barrier()
    finish_block(
        x, mixed, out, gate_up, down, rows, epsilon, DIM, HEADS, IS_PRE_NORM, M, N, D, H, F
    )
    tl.debug_barrier()


@triton.jit(do_not_specialize=["purpose"])
def context_kernel(
    context, high, givens, keys, num_live, embedding, positions, key_stride, purpose,
    TOKENS: tl.constexpr, DIM: tl.constexpr, NUM_VALUES: tl.constexpr, HAS_POSITIONS: tl.constexpr,
    HAS_INPUT_NOISE: tl.constexpr, M: tl.constexpr, D: tl.constexpr,
):
    """Write h + e of M tokens, with noise in place of the value of unknown cells."""
    row = tl.program_id(0).to(tl.int64)
    if row < tl.load(num_live):
        tokens, channels = tl.program_id(1) * M + tl.arange(0, M), tl.arange(0, D)
        is_token = tokens < TOKENS
        is_inside = is_token[:, None] & (channels < DIM)[None, :]
        token = tl.load(givens + row * TOKENS + tokens, mask=is_token, other=0)
        places = row * (TOKENS * DIM) + tokens[:, None] * DIM + channels[None, :]
        total = tl.load(high + places, mask=is_inside, other=0.0)
        total += tl.load(embedding + token[:, None] * D + channels[None, :])
        if HAS_POSITIONS:
            offsets = tokens[:, None] * D + channels[None, :]
            total += tl.load(positions + offsets, mask=is_inside, other=0.0)
        if HAS_INPUT_NOISE:
            seed, trajectory = tl.load(keys + row), tl.load(keys + key_stride + row)
            step = tl.load(keys + 2 * key_stride + row)
            for value in range(NUM_VALUES):
                draw = normal_of(tokens * NUM_VALUES + value, step, purpose, trajectory, seed)
                weight = tl.load(embedding + (FIRST + value) * D + channels)
                total += tl.where(token == OPEN, draw, 0.0)[:, None] * weight[None, :]
        tl.store(context + places, total, mask=is_inside)


@triton.jit(do_not_specialize=["num_rows"])
def transition_kernel(
    high, low, givens, adjacency, num_live, context, x, heads, mixed,
    qkv, out, gate_up, down, embedding, groups, rotary,
    num_rows, first_rotary_head, epsilon,
    TOKENS: tl.constexpr, DIM: tl.constexpr, HEADS: tl.constexpr, HEAD_DIM: tl.constexpr,
    SCALE: tl.constexpr, IS_PRE_NORM: tl.constexpr, NORMS_QUERIES: tl.constexpr,
    NUM_LOW: tl.constexpr, NUM_LOW_BLOCKS: tl.constexpr, NUM_HIGH: tl.constexpr,
    FLAT: tl.constexpr, HAS_EDGES: tl.constexpr,
    P: tl.constexpr, R: tl.constexpr, M: tl.constexpr, N: tl.constexpr, Q: tl.constexpr,
    S: tl.constexpr, D: tl.constexpr, H: tl.constexpr, F: tl.constexpr,
):
    """Write u over h, and the new l, for P trajectories at a time.

    ``NUM_LOW_BLOCKS`` counts the applications of low blocks in one transition. With norms before
    the mixers ``context`` holds the input of the first.
    """
    x += tl.program_id(0).to(tl.int64) * (R * D)
    heads += tl.program_id(0).to(tl.int64) * (R * 3 * HEADS * H)
    mixed += tl.program_id(0).to(tl.int64) * (R * HEADS * H)
    end = tl.minimum(tl.load(num_live), num_rows)
    for first in range(tl.program_id(0) * P, end, tl.num_programs(0) * P):
        row = tl.cast(first, tl.int64)
        rows = tl.minimum(P, end - first) * TOKENS
        above, below = high + row * (TOKENS * DIM), low + row * (TOKENS * DIM)
        given, graph = givens + row * TOKENS, adjacency + row * (TOKENS * TOKENS)
        for block in range(NUM_LOW_BLOCKS + NUM_HIGH):
            is_low = block < NUM_LOW_BLOCKS
            is_high = block == NUM_LOW_BLOCKS
            weight = tl.where(is_low, block % NUM_LOW, block - NUM_LOW_BLOCKS + NUM_LOW)
            if IS_PRE_NORM:
                if block == 0:
                    enter_context(x, context + row * (TOKENS * DIM), rows, DIM, M, D)
                    tl.debug_barrier()
            elif is_high | (is_low & (weight == 0)):
                enter_stack(
                    x, above, below, given, embedding,
                    rows, tl.where(block == 0, rows, 0), tl.where(is_high, rows, 0),
                    DIM, FLAT, M, D,
                )
                tl.debug_barrier()
            apply_block(
                x, heads, mixed, graph,
                qkv + weight * (3 * HEADS * H * D), out + weight * (HEADS * D * H),
                gate_up + weight * (2 * F * D), down + weight * (D * F), groups, rotary,
                rows, first_rotary_head, epsilon,
                TOKENS, DIM, HEADS, HEAD_DIM, SCALE, IS_PRE_NORM, NORMS_QUERIES, HAS_EDGES,
                M, N, Q, S, D, H, F,
            )
        leave(x, above, rows, epsilon, DIM, IS_PRE_NORM, M, D)
        tl.debug_barrier()


@triton.jit(do_not_specialize=["transition"])
def conclusion_kernel(
    high, givens, keys, adjacency, facts, num_live,
    guidance_gate_up, guidance_down, decoder, readout, readout_bias, unit_cells, constraints,
    key_stride, num_units, transition, sigma_min, sigma_span, sigma_offset,
    TOKENS: tl.constexpr, DIM: tl.constexpr, VOCABULARY: tl.constexpr, LOWEST: tl.constexpr,
    UNIT_SIZE: tl.constexpr, HAS_GUIDANCE: tl.constexpr, HAS_NOISE: tl.constexpr,
    HAS_EDGES: tl.constexpr, READS_FIRST: tl.constexpr, IS_LAST: tl.constexpr,
    M: tl.constexpr, N: tl.constexpr, S: tl.constexpr, D: tl.constexpr, G: tl.constexpr,
    V: tl.constexpr, U: tl.constexpr, C: tl.constexpr,
):
    """Sample h from u in one trajectory; after the last transition decode, verify and count."""
    row = tl.program_id(0).to(tl.int64)
    if row < tl.load(num_live):
        high += row * (TOKENS * DIM)
        guide(
            high, keys + row, guidance_gate_up, guidance_down,
            key_stride, transition, sigma_min, sigma_span, sigma_offset,
            TOKENS, DIM, HAS_GUIDANCE, HAS_NOISE, M, N, D, G,
        )
        if IS_LAST:
            tl.debug_barrier()
            givens += row * TOKENS
            facts += row * (FACTS + TOKENS)
            decode(
                high, givens, facts, decoder, readout, readout_bias,
                TOKENS, DIM, VOCABULARY, LOWEST, READS_FIRST, M, D, V,
            )
            tl.debug_barrier()
            total = count_violations(
                facts + FACTS, givens, unit_cells, constraints,
                adjacency + row * (TOKENS * TOKENS), num_units,
                TOKENS, VOCABULARY - 2, LOWEST, UNIT_SIZE, HAS_EDGES, S, U, C,
            )
            tl.store(facts, (total == 0).to(tl.int32))
            tl.store(facts + 3, total)
            steps = keys + 2 * key_stride + row
            tl.store(steps, tl.load(steps) + 1)
# fmt: on


class FusedStep:
    """Both kernels bound to rows, packed weights and their scratch."""

    def __init__(self, rows: StepRows, weights: StepWeights, units: UnitTables) -> None:
        device = rows.high.device
        tokens, dim = rows.high.shape[1:]
        self._tile = step_tile(capability(device))
        self._num_transitions = weights.num_transitions
        self._max_programs = PROGRAMS_PER_MULTIPROCESSOR * num_multiprocessors(device)
        packed = pack(weights)
        adjacency = rows.keys if rows.adjacency is None else rows.adjacency
        width = packed.out.shape[1] * packed.out.shape[3]
        shape = self._max_programs, _scratch_rows(self._tile, tokens)
        # Without norms in the blocks, x grows beyond what a narrow type holds well.
        stream = torch.float32 if weights.is_pre_norm else packed.out.dtype
        context = torch.empty_like(rows.high) if weights.is_pre_norm else rows.high
        positions = packed.embedding if packed.positions is None else packed.positions
        self._context = (
            *(context, rows.high, rows.givens, rows.keys, rows.num_live),
            *(packed.embedding, positions, rows.keys.shape[1]),
        )
        self._transition = (
            *(rows.high, rows.low, rows.givens, adjacency, rows.num_live, context),
            packed.out.new_empty(*shape, padded(dim), dtype=stream),
            *(packed.out.new_empty(*shape, columns) for columns in (3 * width, width)),
            *(packed.qkv, packed.out, packed.gate_up, packed.down),
            *(packed.embedding, packed.groups, packed.rotary),
        )
        self._conclusion = (
            *(rows.high, rows.givens, rows.keys, adjacency, rows.facts, rows.num_live),
            *(packed.guidance_gate_up, packed.guidance_down),
            *(packed.decoder, packed.readout, packed.readout_bias),
            *(units.cells, units.constraints, rows.keys.shape[1], len(units.cells)),
        )
        self._rotary = (weights.heads.first_rotary_head, weights.epsilon)
        self._sigma = _sigma(weights)
        shared = _shared_sizes(rows)
        self._context_sizes = _context_sizes(weights, self._tile)
        self._transition_sizes = shared | _transition_sizes(weights, self._tile)
        self._conclusion_sizes = shared | _conclusion_sizes(weights, units, self._tile)

    def __call__(self, num_rows: int) -> None:
        num_programs = triton.cdiv(num_rows, self._tile.trajectories)
        for transition in range(self._num_transitions):
            if self._context_sizes:
                num_tiles = triton.cdiv(self._context_sizes["TOKENS"], self._tile.readout_rows)
                context_kernel[(num_rows, num_tiles)](
                    *self._context, purpose_word(transition, INPUT_STREAM), **self._context_sizes
                )
            transition_kernel[(min(num_programs, self._max_programs),)](
                *self._transition, num_rows, *self._rotary, **self._transition_sizes
            )
            is_last = transition == self._num_transitions - 1
            conclusion_kernel[(num_rows,)](
                *self._conclusion,
                transition,
                *self._sigma,
                IS_LAST=is_last,
                **self._conclusion_sizes,
            )


def _scratch_rows(tile: StepTile, tokens: int) -> int:
    """Return the rows of a program's scratch: those of its trajectories, in full tiles."""
    num_tiles: int = triton.cdiv(tile.trajectories * tokens, tile.rows)
    return num_tiles * tile.rows


def _shared_sizes(rows: StepRows) -> dict[str, int | float | bool]:
    """Return the compile-time arguments of both kernels of a transition."""
    tokens, dim = rows.high.shape[1:]
    return {
        "TOKENS": tokens,
        "DIM": dim,
        "HAS_EDGES": rows.adjacency is not None,
        "S": padded(tokens),
        "D": padded(dim),
        **OPTIONS,
    }


def _sigma(weights: StepWeights) -> tuple[float, float, float]:
    guidance = weights.guidance
    if guidance is None:
        return 0.0, 0.0, 0.0
    return guidance.sigma_min, guidance.sigma_span, guidance.sigma_offset


def _context_sizes(weights: StepWeights, tile: StepTile) -> dict[str, int]:
    """Return the compile-time arguments of ``context_kernel``; none where nothing calls it."""
    if not weights.is_pre_norm:
        return {}
    return {
        "TOKENS": weights.heads.groups.shape[1],
        "DIM": weights.dim,
        "NUM_VALUES": len(weights.embedding) - FIRST_VALUE,
        "HAS_POSITIONS": weights.positions is not None,
        "HAS_INPUT_NOISE": weights.has_input_noise,
        "M": tile.readout_rows,
        "D": padded(weights.dim),
        "num_warps": tile.readout_warps,
        **OPTIONS,
    }


def _transition_sizes(weights: StepWeights, tile: StepTile) -> dict[str, int | float | bool]:
    """Return the compile-time arguments of ``transition_kernel``."""
    head_dim = weights.dim // weights.num_heads
    is_flat = weights.high is None
    num_low = len(weights.low.down)
    tokens = weights.heads.groups.shape[1]
    ffn_dim = padded(weights.low.down.shape[2])
    return {
        "HEADS": weights.num_heads,
        "HEAD_DIM": head_dim,
        "IS_PRE_NORM": weights.is_pre_norm,
        "NORMS_QUERIES": weights.norms_queries,
        "SCALE": head_dim**-0.5,
        "NUM_LOW": num_low,
        "NUM_LOW_BLOCKS": num_low * (weights.num_inner_steps + is_flat),
        "NUM_HIGH": 0 if weights.high is None else len(weights.high.down),
        "FLAT": is_flat,
        "P": tile.trajectories,
        "R": _scratch_rows(tile, tokens),
        "M": tile.rows,
        "N": min(tile.hidden, ffn_dim),
        "Q": min(tile.queries, padded(tokens)),
        "H": padded(head_dim),
        "F": ffn_dim,
        "num_warps": tile.num_warps,
        "num_stages": tile.num_stages,
    }


def _conclusion_sizes(
    weights: StepWeights, units: UnitTables, tile: StepTile
) -> dict[str, int | float | bool]:
    """Return the compile-time arguments of ``conclusion_kernel``."""
    guidance = weights.guidance
    guidance_dim = padded(guidance.down.shape[2] if guidance else 1)
    return {
        "VOCABULARY": len(weights.decoder),
        "LOWEST": BLANK if units.allows_blank else FIRST_VALUE,
        "UNIT_SIZE": units.cells.shape[1],
        "HAS_GUIDANCE": guidance is not None,
        "HAS_NOISE": guidance is not None and guidance.has_noise,
        "READS_FIRST": weights.reads_first,
        "M": tile.readout_rows,
        "N": min(tile.hidden, guidance_dim),
        "G": guidance_dim,
        "V": padded(len(weights.decoder)),
        "U": padded(len(units.cells), least=1),
        "C": padded(units.cells.shape[1], least=1),
        "num_warps": tile.readout_warps,
        "num_stages": 1,
    }
