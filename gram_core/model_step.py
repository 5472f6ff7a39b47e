"""A supervision step by the model's own torch operations.

For models that no fused step of the device knows, and for hosts that cannot build one. In float32
it is the arithmetic of ``gram_core.solve``: calls of as many rows give the same bits. No value goes
to the host, so that a CUDA graph can capture it.
"""

from contextlib import nullcontext

import torch
from torch import Tensor

from gram_core.model import Gram, LatentState, StepOutput, answer
from gram_core.puzzles import BLANK, Task
from gram_core.solve import unit_tables
from gram_kernels.philox import NoiseKey
from gram_kernels.slots import drawn
from gram_kernels.supervision_step import StepRows
from gram_kernels.tokens import NUM_FACTS
from gram_kernels.verify import Verification, verify


class ModelStep:
    """Advances rows in calls of one size, so that no row's bits depend on how many are live."""

    def __init__(
        self,
        rows: StepRows,
        model: Gram,
        task: Task,
        *,
        rows_per_call: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Without ``rows_per_call`` one call computes all rows that it is given.

        Products of a narrow ``dtype`` are autocast to it; float32 leaves the model as it is.
        """
        self._rows = rows
        self._model = model
        self._allows_blank = task.allows_blank
        self._units = unit_tables(task).to(rows.high.device)
        self._rows_per_call = rows_per_call
        is_narrow = dtype != torch.float32
        self._precision = (
            torch.autocast(rows.high.device.type, dtype) if is_narrow else nullcontext()
        )

    @torch.inference_mode()
    def __call__(self, num_rows: int) -> None:
        """Advance the live rows among the first ``num_rows``."""
        size = self._rows_per_call or num_rows
        with self._precision:
            for first in range(0, num_rows, size):
                self._advance(slice(first, first + size))

    def draw(self, seeds: Tensor, trajectories: Tensor, count: int) -> Tensor:
        """Return the normals of random initial states, (starts, count), in calls of one size."""
        num_starts = len(seeds)
        size = self._rows_per_call or num_starts
        padded = torch.arange(num_starts + -num_starts % size).clamp(max=num_starts - 1)
        parts = padded.to(seeds.device).split(size)
        draws = [drawn(seeds[part], trajectories[part], count) for part in parts]
        return torch.cat(draws)[:num_starts]

    def _advance(self, span: slice) -> None:
        rows = self._rows
        givens = rows.givens[span].long()
        adjacency = None if rows.adjacency is None else rows.adjacency[span]
        output = self._model.supervision_step(
            LatentState(rows.high[span], rows.low[span]),
            self._model.encode(givens),
            NoiseKey(*rows.keys[:, span]),
            adjacency,
            givens == BLANK,
        )
        answers = answer(output.logits, givens, allows_blank=self._allows_blank)
        judged = verify(answers, givens, self._units, adjacency=adjacency)
        facts = _facts(output, answers, judged)
        is_live = torch.arange(span.start, span.stop, device=givens.device) < rows.num_live
        for table, value in (
            (rows.high, output.state.high),
            (rows.low, output.state.low),
            (rows.facts, facts),
        ):
            mask = is_live.view(-1, *[1] * (table.ndim - 1))
            table[span] = torch.where(mask, value.to(table.dtype), table[span])
        rows.keys[2, span] += is_live


def _facts(output: StepOutput, answers: Tensor, judged: Verification) -> Tensor:
    """Return (rows, NUM_FACTS + tokens) int32: the flags, the value's bits and the answer."""
    is_finite = output.logits.isfinite().flatten(1).all(dim=1)
    is_finite &= output.halt.isfinite() & output.value.isfinite()
    shape = (len(answers), NUM_FACTS + answers.shape[1])
    facts = torch.empty(shape, dtype=torch.int32, device=answers.device)
    facts[:, 0] = judged.is_valid
    facts[:, 1] = output.halt > 0
    facts[:, 2] = is_finite
    facts[:, 3] = judged.num_violations
    facts[:, 4] = output.value.float().contiguous().view(torch.int32)
    facts[:, NUM_FACTS:] = answers
    return facts
