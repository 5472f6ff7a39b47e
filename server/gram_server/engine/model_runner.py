"""A model's rows on one device: the ``Runner`` that does the arithmetic.

Moves and starts of rows stay on the device, and the host waits in ``read`` only. On CUDA a step
is one replay of a captured graph.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gram_core.bound_step import StepOptions, bind_step
from gram_core.checkpoint import LoadedModel
from gram_core.puzzles import Task, Tokens, Views
from gram_kernels.slots import Starts
from gram_kernels.supervision_step import Step
from gram_server.engine.slots import BatchUpdate, Move, SlotAssignment, StepReport
from gram_server.engine.trajectory import EngineJob

WARM_UP_CALLS = 2
"""Calls before a capture: the first ones compile kernels and set up libraries."""
NUM_SETS = 2
"""Sets of host tables alternate, so that a copy still in flight is never overwritten: the results
of a step are read before its set is filled again."""

logger = logging.getLogger(__name__)


class InFlightStep(NamedTuple):
    """A step whose results are on their way to the host."""

    facts: NDArray[np.int32]
    """(live, facts and answer) in host memory."""
    arrived: torch.cuda.Event | None
    num_rows: int
    num_steps: int


class ModelRunner:
    """Static rows on one device, and a prepared call for each bucket of live rows."""

    _num_steps = 0
    _num_live = _num_rows = 0
    """What the device knows, and how many rows it computes for them."""
    _has_updates = True
    _updated_s: float | None = None
    _launched_s: float | None = None

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

        A model that does not run by its own operations must have step weights, and for Triton those
        that ``can_fuse`` accepts. By default there are as many rows that keep preempted
        trajectories, ``num_parking``, as slots; ``pipeline_depth``, 0 or 1, is 1 on CUDA, where a
        step that ``captures`` runs as a graph.
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
        self._in_flight: deque[InFlightStep] = deque()

    def _allocate_facts(self) -> Tensor:
        """Return (steps in flight, slots, facts) in host memory, the rows' own on a processor."""
        facts = self._rows.facts[: self.num_slots]
        if not self._has_copies:
            return facts[None]
        shape = (self.pipeline_depth + 1, *facts.shape)
        return torch.zeros(shape, dtype=torch.int32, pin_memory=self._is_cuda)

    @torch.inference_mode()
    def warm_up(self) -> None:
        """Prepare a call of every bucket, on rows that hold nothing yet, and note how long."""
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
            self._num_live = 0
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
        self._updated_s, self._has_updates = time.perf_counter(), True
        if update.moves:
            self._bound.moves.compact(*self._staging.moves(update.moves))
        if update.starts:
            self._bound.moves.admit(self._staging.starts(update.starts))

    def step(self, num_live: int, max_steps: int = 1) -> None:
        self._launched_s = self._updated_s or time.perf_counter()
        self._updated_s = None
        if num_live != self._num_live:
            num_rows = next(size for size in self._bound.buckets if size >= num_live)
            if num_rows not in self._calls:
                with torch.inference_mode():
                    self._calls[num_rows] = self._prepared(num_rows)
            self._rows.num_live.fill_(num_live)
            self._num_live, self._num_rows = num_live, num_rows
        native, num_steps = self._bound.native, 1
        if native is None:
            self._calls[self._num_rows]()
        else:
            num_steps = native.advance(num_live, max_steps, is_fresh=self._has_updates)
            self._has_updates = False
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
        num_computed = num_live if native is not None else self._num_rows
        self._in_flight.append(InFlightStep(facts, arrived, num_computed, num_steps))
        self._staging.next_tick()

    def read(self) -> StepReport:
        started_s, self._launched_s = self._launched_s or time.perf_counter(), None
        oldest = self._in_flight.popleft()
        if oldest.arrived is not None:
            oldest.arrived.synchronize()
        return StepReport(
            facts=oldest.facts.copy(),
            num_rows=oldest.num_rows,
            num_steps=oldest.num_steps,
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


class _Table(NamedTuple):
    host: Tensor
    values: NDArray[Any]
    """The host's memory again."""
    device: Tensor

    def upload(self, count: int) -> Tensor:
        """Start copying the first entries; return them on the device."""
        if self.device is self.host:
            return self.host[:count]
        target = self.device[:count]
        target.copy_(self.host[:count], non_blocking=True)
        return target


class _Set(NamedTuple):
    moves: tuple[_Table, _Table]
    rows: _Table
    givens: _Table
    seeds: _Table
    trajectories: _Table
    adjacency: _Table | None


class Staging:
    """Tables for as many starts and moves as there are rows, on the host and the device."""

    def __init__(self, task: Task, *, num_rows: int, device: torch.device) -> None:
        self._sets = [_allocate(task, num_rows, device) for _ in range(NUM_SETS)]
        self._index = 0

    def next_tick(self) -> None:
        self._index = (self._index + 1) % NUM_SETS

    def moves(self, moves: Sequence[Move]) -> tuple[Tensor, Tensor]:
        """Return (moves,) sources and targets on the device."""
        tables = self._sets[self._index].moves
        for table, numbers in zip(tables, zip(*moves, strict=True), strict=True):
            table.values[: len(moves)] = numbers
        sources, targets = (table.upload(len(moves)) for table in tables)
        return sources, targets

    def starts(self, assignments: Sequence[SlotAssignment]) -> Starts:
        tables = self._sets[self._index]
        count = len(assignments)
        tables.rows.values[:count] = [row for row, _ in assignments]
        tables.trajectories.values[:count] = [trajectory.index for _, trajectory in assignments]
        first = 0
        for _, group in groupby([trajectory.job for _, trajectory in assignments], key=id):
            jobs = list(group)
            job, places = jobs[0], slice(first, first := first + len(jobs))
            tables.seeds.values[places] = job.seed
            numbers = tables.trajectories.values[places]
            tables.givens.values[places] = seen_tokens(job, numbers)
            if tables.adjacency is not None:
                assert job.adjacency is not None
                tables.adjacency.values[places] = [
                    job.adjacency if view is None else view.apply_adjacency(job.adjacency)
                    for view in map(job.view, numbers.tolist())
                ]
        return Starts(
            rows=tables.rows.upload(count),
            givens=tables.givens.upload(count),
            seeds=tables.seeds.upload(count),
            trajectories=tables.trajectories.upload(count),
            adjacency=None if tables.adjacency is None else tables.adjacency.upload(count),
        )


def seen_tokens(job: EngineJob, trajectories: NDArray[np.int64]) -> Tokens:
    """Return (trajectories, length): the job's tokens as each of its trajectories sees them."""
    if isinstance(job.view, Views):
        return job.view.seen(job.tokens, trajectories)
    views = map(job.view, trajectories.tolist())
    return np.stack([job.tokens if view is None else view.apply(job.tokens) for view in views])


def _allocate(task: Task, num_rows: int, device: torch.device) -> _Set:
    def table(dtype: torch.dtype, *shape: int) -> _Table:
        is_elsewhere = device.type != "cpu"
        host = torch.zeros(shape, dtype=dtype, pin_memory=device.type == "cuda")
        on_device = torch.zeros(shape, dtype=dtype, device=device) if is_elsewhere else host
        return _Table(host, host.numpy(), on_device)

    length = task.length
    graph = (num_rows, length, length)
    return _Set(
        moves=(table(torch.int64, num_rows), table(torch.int64, num_rows)),
        rows=table(torch.int64, num_rows),
        givens=table(torch.int32, num_rows, length),
        seeds=table(torch.int64, num_rows),
        trajectories=table(torch.int64, num_rows),
        adjacency=table(torch.bool, *graph) if task.has_adjacency else None,
    )
