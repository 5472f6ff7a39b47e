"""Solves one instance in a plain loop: the reference that the engine is tested against.

Runs every trajectory to the full depth in batches of one fixed shape, so that each row's
arithmetic is the same wherever else that shape is used.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gram_core import puzzles
from gram_core.checkpoint import LoadedModel
from gram_core.model import Gram, StepOutput, answer
from gram_core.puzzles import BLANK, Encoded, Task, Tokens
from gram_kernels.philox import NoiseKey
from gram_kernels.verify import UnitTables, verify


class TrajectoryResult(NamedTuple):
    """Outcome of one trajectory."""

    tokens: Tokens
    """(length,) its first valid answer, else its last, in the posted instance's coordinates."""
    solved_at: int | None
    """Supervision step, counted from 1, of the first valid answer."""
    value: float
    """Value head at that step."""


def solve(
    loaded: LoadedModel,
    instance: object,
    *,
    width: int,
    depth: int,
    seed: int,
    augment: bool = True,
    batch: int = 64,
) -> tuple[TrajectoryResult, ...]:
    """Return the results of trajectories 0 .. width - 1 of an instance, ``depth`` steps each.

    ``seed`` determines all noise and views; with ``augment`` every trajectory but the first has
    its own symmetry view. Computes ``batch`` rows at once; the last batch is filled up.
    """
    family = puzzles.family(loaded.task.family)
    encoded, view = family.encode(instance), family.views(loaded.task, seed)
    results: list[TrajectoryResult] = []
    for first in range(0, width, batch):
        indices = list(range(first, first + batch))
        views = [view(index) if augment else None for index in indices]
        seen = [encoded.through(symmetry) for symmetry in views]
        found = _solve_views(loaded, seen, indices, seed=seed, depth=depth)
        results += [
            each if symmetry is None else each._replace(tokens=symmetry.invert(each.tokens))
            for symmetry, each in zip(views, found, strict=True)
        ]
    return tuple(results[:width])


def unit_tables(task: Task) -> UnitTables:
    """Return the tables of the units that all instances of a task share."""
    return UnitTables.build(
        task.units,
        length=task.length,
        num_values=task.num_values,
        allows_blank=task.allows_blank,
    )


def rollout(
    model: Gram,
    givens: Tensor,
    seed: Tensor,
    trajectory: Tensor,
    *,
    depth: int,
    adjacency: Tensor | None = None,
) -> Iterator[StepOutput]:
    """Yield the output of each of ``depth`` supervision steps of prior-guided trajectories.

    The model is in evaluation mode; givens (batch, length), seed (batch,) and trajectory (batch,)
    are int64, adjacency of graph tasks (batch, length, length) bool.
    """
    embedding = model.encode(givens)
    state = model.initial_state(seed, trajectory)
    for step in range(depth):
        key = NoiseKey(seed, trajectory, torch.full_like(seed, step))
        output = model.supervision_step(state, embedding, key, adjacency, givens == BLANK)
        state = output.state
        yield output


@torch.inference_mode()
def _solve_views(
    loaded: LoadedModel, seen: list[Encoded], indices: list[int], *, seed: int, depth: int
) -> list[TrajectoryResult]:
    """Return results in the coordinates of the views."""
    device, task = loaded.model.z0_high.device, loaded.task
    givens = torch.as_tensor(np.stack([each.tokens for each in seen]), device=device).long()
    graphs = [each.adjacency for each in seen if each.adjacency is not None]
    adjacency = torch.as_tensor(np.stack(graphs), device=device) if graphs else None
    trajectories = torch.tensor(indices, device=device)
    # The int64 with the bits of the 64-bit seed.
    seeds = torch.full_like(trajectories, (seed + 2**63) % 2**64 - 2**63)
    tables = unit_tables(task).to(device)
    answers, solved_at = torch.zeros_like(givens), torch.zeros_like(trajectories)
    values = torch.zeros(len(indices), device=device)
    family = puzzles.family(task.family)
    instances = [family.instance_of(task, each) for each in seen if task.has_other_rules]
    steps = rollout(loaded.model, givens, seeds, trajectories, depth=depth, adjacency=adjacency)
    for step, output in enumerate(steps, start=1):
        is_open = solved_at == 0
        current = answer(output.logits, givens, allows_blank=task.allows_blank)
        answers = torch.where(is_open[:, None], current, answers)
        values = torch.where(is_open, output.value, values)
        is_valid = verify(current, givens, tables, adjacency=adjacency).is_valid
        if task.has_other_rules:
            for row in (is_valid & is_open).nonzero()[:, 0].tolist():
                tokens = current[row].cpu().numpy().astype(np.uint8)
                is_valid[row] = family.check(instances[row], tokens)
        solved_at = torch.where(is_open & is_valid, step, solved_at)
    found = answers.cpu().numpy().astype(np.uint8)
    rows = zip(found, solved_at.tolist(), values.tolist(), strict=True)
    return [TrajectoryResult(row, step or None, value) for row, step, value in rows]
