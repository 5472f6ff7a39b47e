"""A model's rows as preallocated tensors: the ``Runner`` that does the arithmetic.

The latent state never leaves the device; one packed table of answers and flags does, once a tick.
Knows rows, not jobs.
"""

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gram_core.checkpoint import LoadedModel
from gram_core.model import answer
from gram_core.puzzles import BLANK
from gram_core.solve import unit_tables
from gram_core.state import LatentState, StepOutput
from gram_kernels.tokens import NUM_FACTS
from gram_kernels.verify import verify
from gram_server.engine.row_tables import RowTables
from gram_server.engine.runner import StepReport
from gram_server.engine.slots import Arrangement, Move, Placement

CPU_ROWS_PER_CALL = 8
"""Rows of one call in fixed-shape mode on a CPU, where small calls cost no more per row."""


class TorchRunner:
    """Rows of latent state on one device.

    In fixed-shape mode every call of the model has the same number of rows, so a row's bits do not
    depend on how many others are live. Otherwise a call has the least power of two that fits.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        num_slots: int,
        num_spares: int | None = None,
        fixed_shape: bool = True,
        rows_per_call: int | None = None,
    ) -> None:
        """Allocate everything a tick needs, on the model's device.

        Args:
            loaded: the model.
            num_slots: rows that run.
            num_spares: rows that keep paused trajectories; as many as slots by default.
            fixed_shape: see the class.
            rows_per_call: rows of a call in fixed-shape mode; by default 8 on a CPU, else all.
        """
        self.num_slots = num_slots
        self.num_spares = num_slots if num_spares is None else num_spares
        self._model = loaded.model
        self._device = next(loaded.model.parameters()).device
        self.lag = 0
        self.runs_ahead = self._device.type == "cuda"
        self._fixed_rows = rows_per_call or _default_rows(num_slots, self._device)
        self._is_fixed = fixed_shape
        task = loaded.task
        self._allows_blank = task.allows_blank
        self._units = unit_tables(task).to(self._device)
        # A call may reach beyond the slots; what it computes there is thrown away.
        self._num_rows = max(
            num_slots + self.num_spares, num_slots + self._fixed_rows, _bucket(num_slots)
        )
        self._tables = RowTables(task, num_rows=self._num_rows, device=self._device)
        self._allocate(task.length)
        self._num_live = 0
        self._num_computed = 0
        self._started_s: float | None = None

    @property
    def rows_per_call(self) -> int:
        """Rows of every call in fixed-shape mode: ``solve(batch=...)`` gives the same bits."""
        return self._fixed_rows

    @torch.inference_mode()
    def _allocate(self, length: int) -> None:
        config = self._model.config
        shape = (self._num_rows, config.num_tokens, config.dim)
        self._high = torch.zeros(shape, device=self._device)
        self._low = torch.zeros(shape, device=self._device)
        self._scratch = torch.zeros(shape, device=self._device)
        self._embedding = torch.zeros(shape, device=self._device)
        packed = (self._num_rows, NUM_FACTS + length)
        self._packed = torch.zeros(packed, dtype=torch.int32, device=self._device)
        is_cuda = self._device.type == "cuda"
        self._packed_host = torch.zeros(packed, dtype=torch.int32, pin_memory=is_cuda)

    def warm_up(self) -> None:
        """Run a call of every size there is, on rows that hold nothing yet."""
        sizes = [1]
        if not self._is_fixed:
            sizes += [2**power for power in range(1, self.num_slots.bit_length())]
            sizes.append(self.num_slots)
        for size in sizes:
            self.step(size)
            self.read()

    @torch.inference_mode()
    def arrange(self, arrangement: Arrangement) -> None:
        """Copy rows as the moves say, then start new trajectories in theirs."""
        self._started_s = time.perf_counter()
        if arrangement.moves:
            self._move(arrangement.moves)
        for placement in arrangement.starts:
            self._tables.start(placement)
        self._tables.upload()
        if arrangement.starts:
            self._initialise(arrangement.starts)
        self._encode(arrangement)

    @torch.inference_mode()
    def step(self, num_live: int) -> None:
        """Advance the live rows and decode, verify and pack what they answer."""
        if self._started_s is None:
            self._started_s = time.perf_counter()
        self._num_live = num_live
        calls = self._calls(num_live)
        self._num_computed = calls[-1].stop
        self._tables.upload()
        for rows in calls:
            live = slice(rows.start, min(rows.stop, num_live))
            output = self._advance(rows)
            self._keep(output.state, live)
            self._pack(output, rows)
        self._tables.count_step(num_live)
        self._packed_host.copy_(self._packed, non_blocking=True)

    def read(self) -> StepReport:
        """Wait for the step and bring its results to the host: the one sync of a tick."""
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()
        packed = self._packed_host.numpy()[: self._num_live]
        assert self._started_s is not None
        duration_s, self._started_s = time.perf_counter() - self._started_s, None
        return StepReport(
            answers=packed[:, NUM_FACTS:].astype(np.uint8),
            is_valid=(packed[:, 0] != 0).tolist(),
            wants_halt=(packed[:, 1] != 0).tolist(),
            is_finite=(packed[:, 2] != 0).tolist(),
            num_violations=packed[:, 3].tolist(),
            value=np.ascontiguousarray(packed[:, 4]).view(np.float32).tolist(),
            num_rows=self._num_computed,
            duration_s=duration_s,
        )

    def _calls(self, num_rows: int) -> list[slice]:
        """Return the rows of each call that together cover the first ``num_rows``."""
        size = self._fixed_rows if self._is_fixed else _bucket(num_rows)
        return [slice(start, start + size) for start in range(0, num_rows, size)]

    def _move(self, moves: Sequence[Move]) -> None:
        sources = torch.tensor([move.source for move in moves]).to(self._device)
        targets = torch.tensor([move.target for move in moves]).to(self._device)
        scratch = self._scratch[: len(moves)]
        for table in (self._high, self._low):
            torch.index_select(table, 0, sources, out=scratch)
            table.index_copy_(0, targets, scratch)
        self._tables.move(moves)

    def _encode(self, arrangement: Arrangement) -> None:
        """Embed the givens again in every call with a row that changed."""
        changed = [move.target for move in arrangement.moves]
        changed += [placement.row for placement in arrangement.starts]
        for rows in self._calls(self.num_slots):
            if any(rows.start <= row < rows.stop for row in changed):
                self._embedding[rows] = self._model.encode(self._tables.tokens[rows])

    def _initialise(self, starts: Sequence[Placement]) -> None:
        """Write z_0 for rows that start, in calls of one size: the last row fills them up."""
        rows = [placement.row for placement in starts]
        rows += rows[-1:] * (-len(rows) % self._fixed_rows)
        index = torch.tensor(rows).to(self._device)
        for part in index.split(self._fixed_rows):
            noise = self._tables.noise(part)
            state = self._model.initial_state(noise.seed, noise.trajectory)
            self._high.index_copy_(0, part, state.high)
            self._low.index_copy_(0, part, state.low)

    def _advance(self, rows: slice) -> StepOutput:
        adjacency = self._tables.adjacency
        return self._model.supervision_step(
            LatentState(self._high[rows], self._low[rows]),
            self._embedding[rows],
            self._tables.noise(rows),
            None if adjacency is None else adjacency[rows],
            self._tables.tokens[rows] == BLANK,
        )

    def _keep(self, state: LatentState, live: slice) -> None:
        """Write the new state of live rows; padding may be another trajectory's spare row."""
        num_live = live.stop - live.start
        self._high[live] = state.high[:num_live]
        self._low[live] = state.low[:num_live]

    def _pack(self, output: StepOutput, rows: slice) -> None:
        givens = self._tables.tokens[rows]
        answers = answer(output.logits, givens, allows_blank=self._allows_blank)
        adjacency = self._tables.adjacency
        verification = verify(
            answers,
            givens,
            self._units,
            adjacency=None if adjacency is None else adjacency[rows],
        )
        packed = self._packed[rows]
        packed[:, 0] = verification.is_valid
        packed[:, 1] = output.halt > 0
        packed[:, 2] = _is_finite(output)
        packed[:, 3] = verification.num_violations
        packed[:, 4] = output.value.float().contiguous().view(torch.int32)
        packed[:, NUM_FACTS:] = answers


def _default_rows(num_slots: int, device: torch.device) -> int:
    return min(CPU_ROWS_PER_CALL, num_slots) if device.type == "cpu" else num_slots


def _bucket(num_rows: int) -> int:
    """Return the least power of two that is not below ``num_rows``."""
    return 1 << max(0, num_rows - 1).bit_length()


def _is_finite(output: StepOutput) -> Tensor:
    heads = output.logits.isfinite().all(dim=2).all(dim=1)
    return heads & output.halt.isfinite() & output.value.isfinite()
