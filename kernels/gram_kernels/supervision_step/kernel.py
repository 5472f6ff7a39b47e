"""A whole supervision step in one Triton kernel: a program advances a few trajectories.

Activations live in a scratch area that only the program itself touches, small enough for the
caches; weights stream from L2. Phases that mix tokens go trajectory by trajectory, the others over
the rows of all of them, and a barrier stands between phases. See the README beside this file.
"""

import torch
import triton
import triton.language as tl

from gram_kernels.launch import OPTIONS, capability, num_multiprocessors, padded
from gram_kernels.supervision_step.block.kernel import (
    attend_head,
    enter_stack,
    finish_block,
    project_heads,
)
from gram_kernels.supervision_step.packing import pack
from gram_kernels.supervision_step.readout.kernel import decode, guide
from gram_kernels.supervision_step.tiles import StepTile, step_tile
from gram_kernels.supervision_step.weights import NUM_FACTS, StepRows, StepWeights
from gram_kernels.verify import UnitTables
from gram_kernels.verify.kernel import count_violations
from gram_kernels.verify.tables import BLANK, FIRST_VALUE

FACTS = tl.constexpr(NUM_FACTS)
PROGRAMS_PER_MULTIPROCESSOR = 2


# Arguments stand by kind, one kind a line: tensors of the rows, weights, tables, numbers, sizes.
# fmt: off
@triton.jit
def apply_block(
    x, heads, mixed, graph,
    qkv, out, gate_up, down, groups, turns,
    rows, first_turned, epsilon,
    TOKENS: tl.constexpr, DIM: tl.constexpr, HEADS: tl.constexpr, SCALE: tl.constexpr,
    HAS_EDGES: tl.constexpr, M: tl.constexpr, N: tl.constexpr, Q: tl.constexpr, S: tl.constexpr,
    D: tl.constexpr, H: tl.constexpr, F: tl.constexpr,
):
    """Apply one block to the rows of all trajectories of a program, in place in x."""
    project_heads(x, heads, qkv, turns, rows, first_turned, TOKENS, SCALE, HEADS, M, D, H)
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
        x, mixed, out, gate_up, down, rows, epsilon, DIM, HEADS, M, N, D, H, F
    )
    tl.debug_barrier()


@triton.jit
def conclude(
    high, givens, graph, facts, steps,
    decoder, readout, readout_bias, unit_cells, constraints,
    num_units,
    TOKENS: tl.constexpr, DIM: tl.constexpr, VOCABULARY: tl.constexpr, LOWEST: tl.constexpr,
    UNIT_SIZE: tl.constexpr, READS_FIRST: tl.constexpr, HAS_EDGES: tl.constexpr,
    M: tl.constexpr, S: tl.constexpr, D: tl.constexpr, V: tl.constexpr, U: tl.constexpr,
    C: tl.constexpr,
):
    """Decode, verify and count the step of one trajectory; all pointers are its own."""
    decode(
        high, givens, facts, decoder, readout, readout_bias,
        TOKENS, DIM, VOCABULARY, LOWEST, READS_FIRST, M, D, V,
    )
    tl.debug_barrier()
    total = count_violations(
        facts + FACTS, givens, unit_cells, constraints, graph, num_units,
        TOKENS, VOCABULARY - 2, LOWEST, UNIT_SIZE, HAS_EDGES, S, U, C,
    )
    tl.store(facts, (total == 0).to(tl.int32))
    tl.store(facts + 3, total)
    tl.store(steps, tl.load(steps) + 1)


@triton.jit
def supervision_step_kernel(
    high, low, givens, keys, adjacency, facts, num_live, x, heads, mixed,
    qkv, out, gate_up, down, guidance_gate_up, guidance_down, decoder, readout, readout_bias,
    embedding, groups, turns, unit_cells, constraints,
    num_rows, key_stride, num_units, first_turned, epsilon, sigma_min, sigma_span, sigma_offset,
    TOKENS: tl.constexpr, DIM: tl.constexpr, HEADS: tl.constexpr, SCALE: tl.constexpr,
    VOCABULARY: tl.constexpr, LOWEST: tl.constexpr, UNIT_SIZE: tl.constexpr,
    NUM_LOW: tl.constexpr, NUM_LOW_BLOCKS: tl.constexpr, NUM_HIGH: tl.constexpr,
    NUM_TRANSITIONS: tl.constexpr, FLAT: tl.constexpr, HAS_GUIDANCE: tl.constexpr,
    HAS_NOISE: tl.constexpr, HAS_EDGES: tl.constexpr, READS_FIRST: tl.constexpr,
    P: tl.constexpr, R: tl.constexpr, M: tl.constexpr, N: tl.constexpr, NG: tl.constexpr,
    Q: tl.constexpr, S: tl.constexpr, D: tl.constexpr, H: tl.constexpr, F: tl.constexpr,
    G: tl.constexpr, V: tl.constexpr, U: tl.constexpr, C: tl.constexpr,
):
    """Advance P trajectories at a time until none of the first ``num_rows`` live ones is left.

    ``NUM_LOW_BLOCKS`` counts the applications of low blocks in one transition.
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
        for transition in range(NUM_TRANSITIONS):
            for block in range(NUM_LOW_BLOCKS + NUM_HIGH):
                is_low = block < NUM_LOW_BLOCKS
                is_high = block == NUM_LOW_BLOCKS
                weight = tl.where(is_low, block % NUM_LOW, block - NUM_LOW_BLOCKS + NUM_LOW)
                if is_high | (is_low & (weight == 0)):
                    enter_stack(
                        x, above, below, given, embedding,
                        rows, tl.where(block == 0, rows, 0), tl.where(is_high, rows, 0),
                        DIM, FLAT, M, D,
                    )
                    tl.debug_barrier()
                apply_block(
                    x, heads, mixed, graph,
                    qkv + weight * (3 * HEADS * H * D), out + weight * (HEADS * D * H),
                    gate_up + weight * (2 * F * D), down + weight * (D * F), groups, turns,
                    rows, first_turned, epsilon,
                    TOKENS, DIM, HEADS, SCALE, HAS_EDGES, M, N, Q, S, D, H, F,
                )
            guide(
                x, above, keys + row, guidance_gate_up, guidance_down,
                rows, key_stride, transition, sigma_min, sigma_span, sigma_offset,
                TOKENS, DIM, HAS_GUIDANCE, HAS_NOISE, M, NG, D, G,
            )
            tl.debug_barrier()
        for place in range(rows // TOKENS):
            conclude(
                above + place * (TOKENS * DIM), given + place * TOKENS,
                graph + place * (TOKENS * TOKENS), facts + (row + place) * (FACTS + TOKENS),
                keys + 2 * key_stride + row + place,
                decoder, readout, readout_bias, unit_cells, constraints,
                num_units,
                TOKENS, DIM, VOCABULARY, LOWEST, UNIT_SIZE, READS_FIRST, HAS_EDGES,
                M, S, D, V, U, C,
            )
        tl.debug_barrier()
# fmt: on


class FusedStep:
    """The kernel bound to rows, packed weights and its scratch."""

    def __init__(self, rows: StepRows, weights: StepWeights, units: UnitTables) -> None:
        """Pack the weights and allocate scratch for as many programs as run side by side."""
        device = rows.high.device
        tokens = rows.high.shape[1]
        self._rows = rows
        self._tile = step_tile(capability(device), tokens=tokens, dim=weights.dim)
        packed = pack(weights)
        self._max_programs = PROGRAMS_PER_MULTIPROCESSOR * num_multiprocessors(device)
        scratch_rows = triton.cdiv(self._tile.trajectories * tokens, self._tile.rows)
        scratch_rows *= self._tile.rows
        dtype = weights.decoder.dtype
        width = packed.out.shape[1] * packed.out.shape[3]
        shape = (self._max_programs, scratch_rows)
        self._arguments = (
            rows.high,
            rows.low,
            rows.givens,
            rows.keys,
            rows.keys if rows.adjacency is None else rows.adjacency,
            rows.facts,
            rows.num_live,
            torch.empty(*shape, packed.qkv.shape[-1], dtype=dtype, device=device),
            torch.empty(*shape, 3 * width, dtype=dtype, device=device),
            torch.empty(*shape, width, dtype=dtype, device=device),
            *packed,
            units.cells,
            units.constraints,
        )
        self._numbers = _numbers(rows, weights, units)
        self._sizes = _sizes(rows, weights, units, self._tile) | {"R": scratch_rows}

    def __call__(self, num_rows: int) -> None:
        """Advance the live ones of the first rows."""
        num_programs = triton.cdiv(num_rows, self._tile.trajectories)
        supervision_step_kernel[(min(num_programs, self._max_programs),)](
            *self._arguments,
            num_rows,
            *self._numbers,
            **self._sizes,
            num_warps=self._tile.num_warps,
            num_stages=self._tile.num_stages,
            **OPTIONS,
        )


def _numbers(
    rows: StepRows, weights: StepWeights, units: UnitTables
) -> tuple[int, int, int, float, float, float, float]:
    """Return the numbers that follow ``num_rows``."""
    guidance = weights.guidance
    sigma = (
        (guidance.sigma_min, guidance.sigma_span, guidance.sigma_offset) if guidance else (0.0,) * 3
    )
    return (
        rows.keys.shape[1],
        len(units.cells),
        weights.heads.first_turned,
        weights.epsilon,
        *sigma,
    )


def _sizes(
    rows: StepRows, weights: StepWeights, units: UnitTables, tile: StepTile
) -> dict[str, int | float | bool]:
    """Return what is known when the kernel is compiled."""
    tokens, dim = rows.high.shape[1:]
    head_dim = dim // weights.num_heads
    is_flat = weights.high is None
    num_low = len(weights.low.qkv)
    guidance = weights.guidance
    ffn_dim = padded(weights.low.down.shape[2])
    guidance_dim = padded(guidance.down.shape[2] if guidance else 1)
    return {
        "TOKENS": tokens,
        "DIM": dim,
        "HEADS": weights.num_heads,
        "SCALE": head_dim**-0.5,
        "VOCABULARY": len(weights.decoder),
        "LOWEST": BLANK if units.allows_blank else FIRST_VALUE,
        "UNIT_SIZE": units.cells.shape[1],
        "NUM_LOW": num_low,
        "NUM_LOW_BLOCKS": num_low * (weights.num_inner_steps + is_flat),
        "NUM_HIGH": 0 if weights.high is None else len(weights.high.qkv),
        "NUM_TRANSITIONS": weights.num_transitions,
        "FLAT": is_flat,
        "HAS_GUIDANCE": guidance is not None,
        "HAS_NOISE": guidance is not None and guidance.has_noise,
        "HAS_EDGES": rows.adjacency is not None,
        "READS_FIRST": weights.reads_first,
        "P": tile.trajectories,
        "M": tile.rows,
        "N": min(tile.hidden, ffn_dim),
        "NG": min(tile.hidden, guidance_dim),
        "Q": min(tile.queries, padded(tokens)),
        "S": padded(tokens),
        "D": padded(dim),
        "H": padded(head_dim),
        "F": ffn_dim,
        "G": guidance_dim,
        "V": padded(len(weights.decoder)),
        "U": padded(len(units.cells), least=1),
        "C": padded(units.cells.shape[1], least=1),
    }
