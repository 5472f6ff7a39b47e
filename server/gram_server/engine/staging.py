"""What goes to the device for one tick: starts, moves and the number of live rows.

Two sets of pinned host tables alternate, so that a copy still in flight is never overwritten: the
results of a step are read before its set is filled again.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gram_core.puzzles import Task
from gram_kernels.slots import Starts
from gram_server.engine.slots import Move, SlotAssignment

NUM_SETS = 2


class _Table(NamedTuple):
    host: Tensor
    device: Tensor

    def upload(self, count: int) -> Tensor:
        """Start copying the first entries; return them on the device."""
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
    num_live: _Table


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
            table.host[: len(moves)] = torch.tensor(numbers)
        sources, targets = (table.upload(len(moves)) for table in tables)
        return sources, targets

    def starts(self, assignments: Sequence[SlotAssignment]) -> Starts:
        tables = self._sets[self._index]
        for place, (row, trajectory) in enumerate(assignments):
            job, view = trajectory.job, trajectory.view
            tokens = job.tokens if view is None else view.apply(job.tokens)
            tables.rows.host[place] = row
            tables.givens.host[place] = torch.from_numpy(tokens.astype(np.int32))
            tables.seeds.host[place] = job.seed
            tables.trajectories.host[place] = trajectory.index
            if tables.adjacency is not None:
                assert job.adjacency is not None
                graph = job.adjacency if view is None else view.apply_adjacency(job.adjacency)
                tables.adjacency.host[place] = torch.from_numpy(graph)
        count = len(assignments)
        return Starts(
            rows=tables.rows.upload(count),
            givens=tables.givens.upload(count),
            seeds=tables.seeds.upload(count),
            trajectories=tables.trajectories.upload(count),
            adjacency=None if tables.adjacency is None else tables.adjacency.upload(count),
        )

    def num_live(self, num_live: int) -> Tensor:
        """Return the number of live rows, (1,) int32, on the device."""
        table = self._sets[self._index].num_live
        table.host[0] = num_live
        return table.upload(1)


def _allocate(task: Task, num_rows: int, device: torch.device) -> _Set:
    def table(dtype: torch.dtype, *shape: int) -> _Table:
        host = torch.zeros(shape, dtype=dtype, pin_memory=device.type == "cuda")
        return _Table(host, torch.zeros(shape, dtype=dtype, device=device))

    length = task.length
    graph = (num_rows, length, length)
    return _Set(
        moves=(table(torch.int64, num_rows), table(torch.int64, num_rows)),
        rows=table(torch.int64, num_rows),
        givens=table(torch.int32, num_rows, length),
        seeds=table(torch.int64, num_rows),
        trajectories=table(torch.int64, num_rows),
        adjacency=table(torch.bool, *graph) if task.has_adjacency else None,
        num_live=table(torch.int32, 1),
    )
