"""Prior rollouts on instances kept out of training: what a run is judged by while it goes."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gram_core.confirmation import confirmed, row_check
from gram_core.model import Gram, answer
from gram_core.puzzles.base import Task
from gram_core.solve import rollout, unit_tables
from gram_kernels.verify import verify
from gram_lab.data.examples import Examples


class ProbeResult(NamedTuple):
    """Rates over trajectories and instances."""

    valid: float
    """Share of single trajectories with a valid answer at any step."""
    solved: float
    """Share of instances with at least one."""
    distinct: float
    """Mean number of distinct valid answers per instance."""


@torch.inference_mode()
def probe(model: Gram, task: Task, examples: Examples, *, width: int, depth: int) -> ProbeResult:
    """Run ``width`` trajectories on every instance, without symmetry views.

    Args:
        model: weights to judge.
        task: what they are for.
        examples: the instances; targets are not looked at.
        width: trajectories per instance.
        depth: supervision steps.
    """
    device = model.z0_high.device
    count = len(examples.givens)
    givens = torch.as_tensor(examples.givens, device=device).long().repeat_interleave(width, 0)
    adjacency = examples.adjacency
    graphs = None if adjacency is None else torch.as_tensor(adjacency, device=device)
    if graphs is not None:
        graphs = graphs.repeat_interleave(width, 0)
    indices = torch.arange(len(givens), device=device)
    answers = torch.zeros_like(givens)
    is_solved = torch.zeros(len(givens), dtype=torch.bool, device=device)
    tables = unit_tables(task).to(device)
    rows = np.repeat(examples.givens, width, axis=0)
    check = row_check(task, rows) if task.has_other_rules else None
    steps = rollout(
        model, givens, torch.full_like(indices, 7), indices, depth=depth, adjacency=graphs
    )
    for output in steps:
        current = answer(output.logits, givens, allows_blank=task.allows_blank)
        is_valid = verify(current, givens, tables, adjacency=graphs).is_valid
        if check is not None:
            is_valid = confirmed(is_valid & ~is_solved, current, check)
        answers = torch.where((is_valid & ~is_solved)[:, None], current, answers)
        is_solved |= is_valid
    return _result(answers.view(count, width, -1), is_solved.view(count, width))


def _result(answers: Tensor, is_solved: Tensor) -> ProbeResult:
    found = [
        {row.tobytes() for row in rows[solved]}
        for rows, solved in zip(answers.cpu().numpy(), is_solved.cpu().numpy(), strict=True)
    ]
    return ProbeResult(
        valid=float(is_solved.float().mean()),
        solved=float(is_solved.any(dim=1).float().mean()),
        distinct=float(np.mean([len(each) for each in found])),
    )
