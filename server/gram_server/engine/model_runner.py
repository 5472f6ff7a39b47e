"""A model's rows on one device: the ``Runner`` that does the arithmetic.

Moves and starts of rows stay on the device, and the host waits in ``read`` only. On CUDA a step
is one replay of a captured graph.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gram_core.bound_step import StepOptions, bind_step
from gram_core.checkpoint import LoadedModel
from gram_kernels.supervision_step import Step
from gram_kernels.tokens import NUM_FACTS
from gram_server.engine.runner import StepReport
from gram_server.engine.slots import BatchUpdate, Move
from gram_server.engine.staging import Staging

WARM_UP_CALLS = 2
"""Calls before a capture: the first ones compile kernels and set up libraries."""
logger = logging.getLogger(__name__)


class InFlightStep(NamedTuple):
    """A step whose results are on their way to the host."""

    facts: NDArray[np.int32]
    """(live, facts and answer) in host memory."""
    arrived: torch.cuda.Event | None
    num_rows: int


class ModelRunner:
    """Static rows on one device, and a prepared call for each bucket of live rows."""

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        num_slots: int,
        num_parking: int | None = None,
        pipeline_depth: int | None = None,
        captures: bool = True,
        **step: Unpack[StepOptions],
    ) -> None:
        """Allocate everything a tick needs, on the model's device.

        Args:
            loaded: the model; it must have step weights unless its own operations run, and those
                that ``can_fuse`` accepts for Triton.
            num_slots: rows that run.
            num_parking: rows that keep preempted trajectories; as many as slots by default.
            pipeline_depth: steps in flight when the next is launched, 0 or 1; by default 1 on CUDA.
            captures: whether a step on CUDA runs as a captured graph.
        """
        self._device = loaded.model.z0_high.device
        self._is_cuda = self.rows_are_free = self._device.type == "cuda"
        self.num_slots = num_slots
        self.num_parking = num_slots if num_parking is None else num_parking
        self.pipeline_depth = int(self._is_cuda) if pipeline_depth is None else pipeline_depth
        self.capture_s: dict[int, float] = {}
        self.backend = step.get("backend", "model")
        self._name = loaded.info.id
        num_rows = num_slots + self.num_parking
        self._bound = bind_step(
            loaded.model, loaded.task, num_slots=num_slots, num_rows=num_rows, **step
        )
        self._captures = captures and self._bound.can_capture
        self._rows = self._bound.rows
        self._staging = Staging(loaded.task, num_rows=num_rows, device=self._device)
        self._calls: dict[int, Callable[[], None]] = {}
        self._has_copies = self._is_cuda or self.pipeline_depth > 0
        self._host_facts = self._allocate_facts()
        self._facts = self._host_facts.numpy()
        self._num_steps = 0
        self._in_flight: deque[InFlightStep] = deque()
        self._updated_s: float | None = None
        self._launched_s: float | None = None

    def _allocate_facts(self) -> Tensor:
        """Return (steps in flight, slots, facts) in host memory, the rows' own on a processor."""
        facts = self._rows.facts[: self.num_slots]
        if not self._has_copies:
            return facts[None]
        shape = (self.pipeline_depth + 1, *facts.shape)
        return torch.zeros(shape, dtype=torch.int32, pin_memory=self._is_cuda)

    @torch.inference_mode()
    def warm_up(self) -> None:
        """Prepare a call of every bucket, on rows that hold nothing yet; ``capture_s`` says how
        long each took."""
        for num_rows in self._bound.buckets:
            started_s = time.perf_counter()
            self._calls[num_rows] = self._prepared(num_rows)
            self.capture_s[num_rows] = time.perf_counter() - started_s
        # Moves of rows would else compile their kernels in the middle of traffic.
        self._bound.moves.compact(*self._staging.moves([Move(0, 0)]))

    def _prepared(self, num_rows: int) -> Callable[[], None]:
        """Return a call that advances the first rows: the replay of a graph on CUDA."""
        if self._captures:
            # Live rows must not change: a capture may come while rows are in use.
            self._rows.num_live.zero_()
            try:
                return captured(self._bound.advance, num_rows, self._device)
            except RuntimeError as error:
                self._captures = False
                logger.warning(
                    "model %s: a step cannot be captured as a graph, so its kernels are started "
                    "one by one, which is slower: %s",
                    self._name,
                    error,
                )
        return partial(self._bound.advance, num_rows)

    @torch.inference_mode()
    def update_rows(self, update: BatchUpdate) -> None:
        self._updated_s = time.perf_counter()
        if update.moves:
            self._bound.moves.compact(*self._staging.moves(update.moves))
        if update.starts:
            self._bound.moves.admit(self._staging.starts(update.starts))

    @torch.inference_mode()
    def step(self, num_live: int) -> None:
        self._launched_s = self._updated_s or time.perf_counter()
        self._updated_s = None
        num_rows = next(size for size in self._bound.buckets if size >= num_live)
        if num_rows not in self._calls:
            self._calls[num_rows] = self._prepared(num_rows)
        self._rows.num_live.fill_(num_live)
        self._calls[num_rows]()
        place = self._num_steps % len(self._facts)
        if self._has_copies:
            copied = self._host_facts[place, :num_live]
            copied.copy_(self._rows.facts[:num_live], non_blocking=True)
        facts = self._facts[place, :num_live]
        self._num_steps += 1
        arrived = None
        if self._is_cuda:
            arrived = torch.cuda.Event()
            arrived.record(torch.cuda.current_stream(self._device))
        num_computed = num_live if self._bound.computes_live_only else num_rows
        self._in_flight.append(InFlightStep(facts, arrived, num_computed))
        self._staging.next_tick()

    def read(self) -> StepReport:
        started_s, self._launched_s = self._launched_s or time.perf_counter(), None
        oldest = self._in_flight.popleft()
        if oldest.arrived is not None:
            oldest.arrived.synchronize()
        facts = oldest.facts
        is_valid, wants_halt, is_finite = facts[:, :3].T != 0
        return StepReport(
            answers=facts[:, NUM_FACTS:].astype(np.uint8),
            is_valid=is_valid,
            wants_halt=wants_halt,
            is_finite=is_finite,
            num_violations=facts[:, 3].copy(),
            value=facts[:, 4].copy().view(np.float32),
            num_rows=oldest.num_rows,
            duration_s=time.perf_counter() - started_s,
        )


def captured(step: Step, num_rows: int, device: torch.device) -> Callable[[], None]:
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(WARM_UP_CALLS):
            step(num_rows)
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(num_rows)
    return graph.replay
