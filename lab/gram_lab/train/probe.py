"""Prior rollouts on instances kept out of training: what a run is judged by while it goes."""

from typing import NamedTuple

import numpy as np

from gram_core.model import Gram
from gram_core.puzzles import Encoded, Task
from gram_lab.data.examples import Examples
from gram_lab.rollouts import Recorder, Running

SEED = 7


class ProbeResult(NamedTuple):
    """Rates over trajectories and instances."""

    valid: float
    """Share of single trajectories with a valid answer at any step."""
    solved: float
    """Share of instances with at least one."""
    distinct: float
    """Mean number of distinct valid answers per instance."""


def probe(model: Gram, task: Task, examples: Examples, *, width: int, depth: int) -> ProbeResult:
    """Run ``width`` trajectories on every instance, without symmetry views.

    Args:
        model: weights to judge.
        task: what they are for.
        examples: the instances; targets are not looked at.
        width: trajectories per instance.
        depth: supervision steps.
    """
    graphs = examples.adjacency
    encoded = [
        Encoded(tokens=tokens, adjacency=None if graphs is None else graphs[index])
        for index, tokens in enumerate(examples.givens)
    ]
    recorder = Recorder(model, task, Running(num_rows=width * len(encoded)))
    found = recorder.run(
        encoded, width=width, depth=depth, seed=SEED, augment=False, stops="valid"
    ).first
    is_solved = found.at > 0
    distinct = [
        len({row.tobytes() for row in rows[solved]})
        for rows, solved in zip(found.tokens, is_solved, strict=True)
    ]
    return ProbeResult(
        valid=float(is_solved.mean()),
        solved=float(is_solved.any(axis=1).mean()),
        distinct=float(np.mean(distinct)),
    )
