"""What a run trains on, and the held-out instances that monitor it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from gram_core import puzzles
from gram_core.catalog import Purpose
from gram_core.errors import ConfigError
from gram_core.model import Gram
from gram_core.puzzles import Encoded, Task
from gram_lab.data.examples import Examples, Source
from gram_lab.data.mazes import Mazes
from gram_lab.data.pairs import PairsSource, find_pairs, read_pairs
from gram_lab.data.pools import PooledSource, QueensSource, make_pool
from gram_lab.data.sudoku_files import SudokuFiles
from gram_lab.rollouts import Recorder, Running
from gram_lab.train.empty_boards import EmptyBoards
from gram_lab.train.recipe import Recipe

NUM_EXAMPLES = 24
SEED = 7


def training_source(
    task: Task, data: Path | None, chosen: Recipe, *, purpose: Purpose = "solve"
) -> Source:
    """Return the source of a task; ``data`` is a folder or file of puzzles where it needs some."""
    if purpose == "generate":
        # Posterior rows are shown a board before they have an answer of their own.
        return EmptyBoards(task, follows=chosen.prior_share == 1.0)
    if task.family != "maze" and data is not None and not list(data.glob("train_*.npz")):
        pairs = find_pairs(data)
        if pairs is not None:
            return PairsSource(task, read_pairs(pairs, task))
    if data is None and not puzzles.family(task.family).has_verifier:
        raise ConfigError("data", None, f"{task.name} trains on files: pass --data NAME.npz")
    if task.name == "sudoku-9x9":
        if data is None:
            raise ConfigError("data", None, "sudoku-9x9 trains on files: pass --data FOLDER")
        return SudokuFiles(
            data,
            max_rating=chosen.max_rating,
            hard_share=chosen.hard_share,
            open_share=chosen.open_share,
        )
    if task.family == "maze":
        return Mazes(task, data)
    if task.family == "nqueens":
        return QueensSource(task)
    return PooledSource(task, make_pool(task, "train"))


def validation_examples(source: Source, *, purpose: Purpose = "solve") -> Examples:
    """Return a few instances to monitor a run: held-out ones where the run generates its own."""
    task, rng = source.task, np.random.default_rng(5)
    is_drawn = isinstance(source, PairsSource) and task.family != "sudoku"
    if is_drawn or task.name == "sudoku-9x9" or task.family == "maze" or purpose == "generate":
        return source.draw(NUM_EXAMPLES, 1.0, rng)
    pool = make_pool(task, "held_out")
    rows = rng.permutation(len(pool.givens))[:NUM_EXAMPLES]
    adjacency = None if pool.adjacency is None else pool.adjacency[rows]
    return Examples(pool.givens[rows], pool.targets[rows], adjacency)


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
