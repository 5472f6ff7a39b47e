"""The supervision step of fixed rows on a processor: one call into C, also for several steps."""

import time
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from gram_kernels.supervision_step.heads import neighbour_cells
from gram_kernels.supervision_step.native import packing, structures
from gram_kernels.supervision_step.native.library import library
from gram_kernels.supervision_step.native.structures import Block, Keeper, Model, Rows, Weight
from gram_kernels.supervision_step.weights import StepRows, StepWeights, TokenStackWeights
from gram_kernels.tokens import BLANK, FIRST_VALUE
from gram_kernels.verify import UnitTables

ROWS_PER_PASS: Final = 3
"""Trajectories that share one pass over the weights: three of 81 tokens fill 15 tiles of 16."""
MAX_SHARED_TOKENS: Final = 128
"""Longer sequences are computed one by one: several would not stay in the cache."""
MIN_SHARED_TOKENS: Final = 32
"""For shorter sequences threads wait for each other as long as they save."""
MIN_MULTIPLE: Final = 8
MAX_MULTIPLE: Final = 64
MAX_PAUSE_S: Final = 5.0
"""Bounds of how long threads share nothing, in times of what they lost by it before."""
MAX_BURST_NS: Final = 2_000_000
"""After which no further step is begun in the same call: so long a deadline may have to wait."""


class Sharing:
    """Whether threads may share a trajectory: not a small one, nor while processors are taken.

    A step that waited for processors is followed by a time without, which is a multiple of what was
    lost; the multiple doubles where that happens again soon.
    """

    def __init__(self, num_tokens: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._is_worth = num_tokens >= MIN_SHARED_TOKENS
        self._now_s = now_s
        self._multiple = MIN_MULTIPLE
        self._pause_s, self._end_s = 0.0, 0.0

    def is_on(self) -> bool:
        return self._is_worth and self._now_s() >= self._end_s

    def note(self, lost_s: float) -> None:
        """Take account of the seconds that a step has just lost."""
        if lost_s == 0:
            return
        now_s = self._now_s()
        is_soon = now_s - lost_s < self._end_s + self._pause_s
        self._multiple = min(2 * self._multiple, MAX_MULTIPLE) if is_soon else MIN_MULTIPLE
        self._pause_s = min(self._multiple * lost_s, MAX_PAUSE_S)
        self._end_s = now_s + self._pause_s


class NativeStep:
    """Advances the live rows; a row's bits depend on neither the others nor the threads.

    Products are float32 sums of float32 factors; where the processor has matrix units and the
    weights are bfloat16 numbers, an activation is split into two bfloat16 numbers that hold 16 bits
    of it, or, if products are asked for in bfloat16, into one. In int8, where ``has_integers``,
    both factors are rounded to 8 bits, but for those of the decoder.
    """

    def __init__(
        self,
        rows: StepRows,
        weights: StepWeights,
        units: UnitTables,
        *,
        dtype: torch.dtype = torch.float32,
        may_use_matrix_unit: bool = True,
    ) -> None:
        loaded = library()
        assert loaded.functions is not None, loaded.refusal
        self._run = loaded.functions.gram_steps
        self._count_bytes = loaded.functions.gram_memory
        self._keeper = Keeper()
        self._tensors = rows
        self._form: packing.Form = "wide"
        if dtype == torch.int8:
            assert loaded.has_integers
            self._form = "integers"
        elif (
            may_use_matrix_unit and loaded.has_matrix_unit and packing.is_exact_in_bfloat16(weights)
        ):
            self._form = "narrow"
        self._model = self._fill(weights, units)
        self._model.num_parts = 1 if dtype == torch.bfloat16 else 2
        self._rows, self._burst = _rows(rows), structures.Burst(max_ns=MAX_BURST_NS)
        self._memory = torch.zeros(0, dtype=torch.uint8)
        self._start, self._plan = 0, (0, 0, False)
        """What the memory at ``_start`` suffices for."""
        self._sharing = Sharing(self._model.tokens)

    def __call__(self, num_rows: int) -> None:
        """Advance the live rows among the first ``num_rows`` by one step."""
        self.advance(min(num_rows, int(self._tensors.num_live)))

    def advance(self, num_live: int, max_steps: int = 1, *, is_fresh: bool = True) -> int:
        """Take steps until one has a valid answer, a halt or numbers that are not finite.

        What a row had in the step before does not count, also in that of the last call unless rows
        have moved or started since, ``is_fresh``. Returns how many steps were taken.
        """
        if num_live == 0:
            return 0
        plan = (num_live, torch.get_num_threads(), self._sharing.is_on())
        if plan != self._plan:
            self._make_room(plan)
        burst = self._burst
        burst.max_steps, burst.is_fresh = max_steps, is_fresh
        self._run(self._model, self._rows, burst, *plan, self._start)
        self._sharing.note(burst.lost_ns / 1e9)
        return int(burst.num_steps)

    def _make_room(self, plan: tuple[int, int, bool]) -> None:
        num_bytes = int(self._count_bytes(self._model, *plan)) + 64
        if len(self._memory) < num_bytes:
            self._memory = torch.zeros(num_bytes, dtype=torch.uint8)
        start = self._memory.data_ptr()
        self._plan, self._start = plan, start + -start % 64

    def _fill(self, weights: StepWeights, units: UnitTables) -> Model:
        model = Model()
        tokens = weights.heads.groups.shape[1]
        model.tokens, model.dim = tokens, weights.dim
        model.num_heads, model.head_dim = weights.num_heads, weights.dim // weights.num_heads
        model.vocabulary = len(weights.embedding)
        model.num_inner_steps = weights.num_inner_steps
        model.num_transitions = weights.num_transitions
        model.reads_first = weights.reads_first
        model.lowest_token = BLANK if units.allows_blank else FIRST_VALUE
        model.num_values = units.num_values
        model.epsilon = weights.epsilon
        model.max_rows = ROWS_PER_PASS if tokens <= MAX_SHARED_TOKENS else 1
        for name in ("is_pre_norm", "norms_queries", "has_input_noise", "num_prefix"):
            setattr(model, name, getattr(weights, name))
        if weights.positions is not None:
            model.positions = self._keeper.address(weights.positions, torch.float32)
        self._fill_blocks(model, weights)
        self._fill_guidance(model, weights)
        # Rounding the logits' factors would save nothing.
        form: packing.Form = "narrow" if self._form == "narrow" else "wide"
        model.decoder = packing.pack(weights.decoder, self._keeper, form)
        for name in ("embedding", "readout", "readout_bias"):
            setattr(model, name, self._keeper.address(getattr(weights, name), torch.float32))
        self._fill_heads(model, weights)
        model.num_units, model.unit_size = units.cells.shape
        model.unit_cells = self._keeper.address(units.cells, torch.int64)
        model.unit_constraints = self._keeper.address(units.constraints, torch.int64)
        return model

    def _fill_blocks(self, model: Model, weights: StepWeights) -> None:
        stacks = [weights.low] if weights.high is None else [weights.low, weights.high]
        model.num_low = len(weights.low.down)
        model.num_high = 0 if weights.high is None else len(weights.high.down)
        model.mixes_tokens = isinstance(weights.low, TokenStackWeights)
        model.norms_tokens = weights.norms_tokens
        blocks = [self._block(*tensors) for stack in stacks for tensors in zip(*stack, strict=True)]
        self._blocks = (Block * len(blocks))(*blocks)
        model.blocks = self._blocks

    def _block(
        self,
        mixer_in: Tensor,
        mixer_out: Tensor,
        gate_up: Tensor,
        down: Tensor,
        directions: Tensor | None = None,
    ) -> Block:
        block = Block()
        if directions is None:
            block.token_gate_up = self._packed(packing.interleaved(*mixer_in.chunk(2)))
            block.token_down = self._packed(mixer_out)
        else:
            block.qkv, block.out = self._packed(mixer_in), self._packed(mixer_out)
            block.directions = self._keeper.address(directions, torch.float32)
        block.gate_up = self._packed(packing.interleaved(*gate_up.chunk(2)))
        block.down = self._packed(down)
        return block

    def _fill_guidance(self, model: Model, weights: StepWeights) -> None:
        guidance = weights.guidance
        if guidance is None:
            return
        model.has_guidance, model.has_noise = 1, guidance.has_noise
        model.guidance_dim = guidance.down.shape[2]
        mean_gate, deviation_gate, mean_up, deviation_up = guidance.gate_up.chunk(4)
        halves = (
            packing.interleaved(mean_gate, mean_up),
            packing.interleaved(deviation_gate, deviation_up),
        )
        model.guidance_gate_up = self._packed(torch.cat(halves))
        model.mean_down = self._packed(guidance.down[0])
        model.deviation_down = self._packed(guidance.down[1])
        model.sigma_min, model.sigma_span = guidance.sigma_min, guidance.sigma_span
        model.sigma_offset = guidance.sigma_offset

    def _fill_heads(self, model: Model, weights: StepWeights) -> None:
        names = ("group_heads", "group_starts", "group_is_masked", "members")
        lists = packing.group_lists(weights.heads)
        model.num_groups = len(lists[0])
        for name, numbers in zip(names, lists, strict=True):
            setattr(model, name, self._keeper.address(numbers, torch.int32))
        if weights.is_outside is not None:
            assert not isinstance(weights.low, TokenStackWeights)
            neighbours = neighbour_cells(weights.is_outside)
            model.num_places = len(neighbours)
            model.first_near, model.num_near = weights.first_near, weights.low.num_near
            model.neighbours = self._keeper.address(neighbours, torch.int32)
        model.first_rotary_head = weights.heads.first_rotary_head
        cosines, sines = weights.heads.rotary[1]
        model.cosines = self._keeper.address(cosines, torch.float32)
        model.sines = self._keeper.address(sines, torch.float32)

    def _packed(self, weight: Tensor) -> Weight:
        return packing.pack(weight, self._keeper, self._form)


def _rows(rows: StepRows) -> Rows:
    """Return the addresses of rows, which must be contiguous and on the CPU."""
    for tensor in (rows.high, rows.low, rows.givens, rows.keys, rows.facts):
        assert tensor.is_contiguous()
        assert not tensor.is_cuda
    return Rows(
        rows.high.data_ptr(),
        rows.low.data_ptr(),
        rows.givens.data_ptr(),
        rows.keys.data_ptr(),
        None if rows.adjacency is None else rows.adjacency.data_ptr(),
        rows.facts.data_ptr(),
        len(rows.high),
    )
