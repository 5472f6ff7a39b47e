"""Prior rollouts on held-out instances, to monitor a run."""

from typing import NamedTuple

import numpy as np

from gram_core.catalog import Purpose
from gram_core.model import Gram
from gram_core.puzzles import Encoded, Task
from gram_lab.data.examples import Examples, Source
from gram_lab.data.pools import make_pool
from gram_lab.rollouts import Recorder, Running

NUM_EXAMPLES = 24
SEED = 7


def validation_examples(source: Source, *, purpose: Purpose = "solve") -> Examples:
    """Return a few instances to monitor a run: held-out ones where they are generated."""
    task = source.task
    if task.name == "sudoku-9x9" or task.family == "maze" or purpose == "generate":
        return source.draw(NUM_EXAMPLES, 1.0, np.random.default_rng(5))
    pool = make_pool(task, "held_out")
    rows = np.random.default_rng(5).permutation(len(pool.givens))[:NUM_EXAMPLES]
    return Examples(
        givens=pool.givens[rows],
        targets=pool.targets[rows],
        adjacency=None if pool.adjacency is None else pool.adjacency[rows],
    )


class Validity(NamedTuple):
    """Rates over trajectories and instances."""

    valid: float
    """Share of single trajectories with a valid answer at any step."""
    solved: float
    """Share of instances with at least one."""
    distinct: float
    """Mean number of distinct valid answers per instance."""


def validate(model: Gram, task: Task, examples: Examples, *, width: int, depth: int) -> Validity:
    """Run ``width`` trajectories on every instance, without symmetry views or targets."""
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
    return Validity(
        valid=float(is_solved.mean()),
        solved=float(is_solved.any(axis=1).mean()),
        distinct=float(np.mean(distinct)),
    )
