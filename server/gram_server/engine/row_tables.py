"""What the model must know of each row besides its latent state: givens, graph, noise key.

Kept on the host, where it is decided, and copied whole to the device: a few kilobytes a tick.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gram_core.puzzles import Task
from gram_kernels.philox import NoiseKey
from gram_server.engine.slots import Move, Placement


class RowTables:
    """Host tables and their copies on the device; on a CPU they are the same memory."""

    def __init__(self, task: Task, *, num_rows: int, device: torch.device) -> None:
        length = task.length
        self._tokens = _host_table((num_rows, length), torch.int64, device)
        # Columns: seed, trajectory, steps taken.
        self._keys = _host_table((3, num_rows), torch.int64, device)
        self._tables = [self._tokens, self._keys]
        self.adjacency: Tensor | None = None
        if task.has_adjacency:
            host = _host_table((num_rows, length, length), torch.bool, device)
            self._adjacency = host
            self._tables.append(host)
            self.adjacency = host.to(device)
        self.tokens = self._tokens.to(device)
        self.keys = self._keys.to(device)
        self._copies = [self.tokens, self.keys]
        if self.adjacency is not None:
            self._copies.append(self.adjacency)

    def noise(self, rows: slice | Tensor) -> NoiseKey:
        """Return the noise keys of rows, on the device."""
        seed, trajectory, step = self.keys[:, rows]
        return NoiseKey(seed, trajectory, step)

    def move(self, moves: Sequence[Move]) -> None:
        """Copy rows, all sources read before any target is written."""
        sources = [move.source for move in moves]
        targets = [move.target for move in moves]
        self._tokens[targets] = self._tokens[sources]
        self._keys[:, targets] = self._keys[:, sources]
        if self.adjacency is not None:
            self._adjacency[targets] = self._adjacency[sources]

    def start(self, placement: Placement) -> None:
        """Write a new trajectory's row, in its own view."""
        row, trajectory = placement
        job, view = trajectory.job, trajectory.view
        tokens = job.tokens if view is None else view.apply(job.tokens)
        self._tokens[row] = torch.from_numpy(tokens.astype(np.int64))
        self._keys[:, row] = torch.tensor([job.seed, trajectory.index, 0])
        if self.adjacency is not None:
            assert job.adjacency is not None
            adjacency = job.adjacency if view is None else view.apply_adjacency(job.adjacency)
            self._adjacency[row] = torch.from_numpy(adjacency)

    def count_step(self, num_live: int) -> None:
        """Note that the first rows took a step; uploaded with the next ``upload``."""
        self._keys[2, :num_live] += 1

    def upload(self) -> None:
        """Start copying the tables to the device; nothing to do where they are the same memory."""
        for host, copy in zip(self._tables, self._copies, strict=True):
            if copy is not host:
                copy.copy_(host, non_blocking=True)


def _host_table(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.zeros(shape, dtype=dtype, pin_memory=device.type == "cuda")
