"""A supervision step by the model's own torch operations.

For models that no fused step knows, and for hosts that cannot build one. It is the arithmetic of
``gram_core.solve``: calls of as many rows give the same bits.
"""

import torch
from torch import Tensor

from gram_core.checkpoint import LoadedModel
from gram_core.model import answer
from gram_core.puzzles import BLANK
from gram_core.solve import unit_tables
from gram_core.state import LatentState
from gram_kernels.philox import NoiseKey
from gram_kernels.slots import drawn
from gram_kernels.supervision_step import StepRows
from gram_kernels.supervision_step.reference import pack_facts, write_live
from gram_kernels.verify import verify


class ModelStep:
    """Advances rows in calls of one size, so that no row's bits depend on how many are live."""

    def __init__(self, rows: StepRows, loaded: LoadedModel, *, rows_per_call: int | None) -> None:
        """Without ``rows_per_call`` one call computes all rows that it is given."""
        self._rows = rows
        self._model = loaded.model
        self._allows_blank = loaded.task.allows_blank
        self._units = unit_tables(loaded.task).to(rows.high.device)
        self._rows_per_call = rows_per_call

    @torch.inference_mode()
    def __call__(self, num_rows: int) -> None:
        """Advance the live rows among the first ``num_rows``."""
        size = self._rows_per_call or num_rows
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
        facts = pack_facts(output.logits, output.halt, output.value, answers, judged)
        write_live(rows, span, high=output.state.high, low=output.state.low, facts=facts)
