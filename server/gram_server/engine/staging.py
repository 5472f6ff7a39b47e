"""What goes to the device for one tick: starts and moves.

Two sets of pinned host tables alternate, so that a copy still in flight is never overwritten: the
results of a step are read before its set is filled again.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gram_core.puzzles import Symmetry, Task, Tokens
from gram_kernels.slots import Starts
from gram_server.engine.slots import Move, SlotAssignment

NUM_SETS = 2


class _Table(NamedTuple):
    host: Tensor
    values: NDArray[Any]
    """The host's memory again."""
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
        for _, group in groupby(assignments, key=lambda each: id(each.trajectory.job)):
            started = [trajectory for _, trajectory in group]
            job, views = started[0].job, [trajectory.view for trajectory in started]
            places = slice(first, first := first + len(views))
            tables.seeds.values[places] = job.seed
            tables.givens.values[places] = seen_tokens(job.tokens, views)
            if tables.adjacency is not None:
                assert job.adjacency is not None
                tables.adjacency.values[places] = [
                    job.adjacency if view is None else view.apply_adjacency(job.adjacency)
                    for view in views
                ]
        return Starts(
            rows=tables.rows.upload(count),
            givens=tables.givens.upload(count),
            seeds=tables.seeds.upload(count),
            trajectories=tables.trajectories.upload(count),
            adjacency=None if tables.adjacency is None else tables.adjacency.upload(count),
        )


def seen_tokens(tokens: Tokens, views: Sequence[Symmetry | None]) -> Tokens:
    """Return (views, length): the tokens as each view shows them; None shows them as they are."""
    seen = np.empty((len(views), len(tokens)), np.uint8)
    chosen = [place for place, view in enumerate(views) if view is not None]
    if len(chosen) < len(views):
        seen[:] = tokens
    if chosen:
        drawn = [view for view in views if view is not None]
        positions = np.stack([view.positions for view in drawn])
        values = np.stack([view.values for view in drawn])
        seen[chosen] = np.take_along_axis(values, tokens[positions], axis=1)
    return seen


def _allocate(task: Task, num_rows: int, device: torch.device) -> _Set:
    def table(dtype: torch.dtype, *shape: int) -> _Table:
        host = torch.zeros(shape, dtype=dtype, pin_memory=device.type == "cuda")
        return _Table(host, host.numpy(), torch.zeros(shape, dtype=dtype, device=device))

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
