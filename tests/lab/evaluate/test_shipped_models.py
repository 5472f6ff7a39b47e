"""Every shipped model on a small fixed sample: a model that gets worse fails here.

Puzzles and seeds are the same each time; expensive models get fewer puzzles. When weights are
replaced, the message of a failure holds the values to write here.
"""

from typing import NamedTuple

import numpy as np
import pytest

from gram_core import puzzles
from gram_core.catalog import ModelInfo, shipped_models
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.flops import step_flops
from gram_core.puzzles import Task
from gram_lab.data.instances import Case, held_out_cases, is_listed
from gram_lab.evaluate.report import measure
from gram_lab.evaluate.tables import blank_case
from gram_lab.rollouts import Running

MAX_PUZZLES = 40
MIN_PUZZLES = 8
MAX_FLOP = 2e11
"""Of one model's sample: a few seconds on one core."""
WIDTH = 4
DEPTH = 16
"""For a maze the model's own: news of a far goal must come to the start and back."""
SEED = 11

MARGIN = 0.06
"""Below the measured shares: two or three puzzles of the sample, more than rounding can move."""
DISTINCT_MARGIN = 0.1
"""Share of the measured number of distinct solutions that may be missing."""


class Measured(NamedTuple):
    """What the shipped weights did on the sample when they were taken in."""

    single: float
    """Share of puzzles that the first trajectory solves."""
    solved: float
    """Share that any of the trajectories solves."""
    distinct: float = 0.0
    """Mean distinct solutions of a puzzle; not looked for where there is only one."""


MEASURED = {
    "futoshiki-5x5": Measured(single=1.0, solved=1.0),
    "graph-coloring-10": Measured(single=1.0, solved=1.0, distinct=2.7),
    "graph-coloring-8": Measured(single=0.95, solved=1.0, distinct=2.92),
    "jigsaw-6x6": Measured(single=0.9, solved=0.95),
    "light-up-10x10": Measured(single=0.875, solved=0.9),
    "maze-30x30": Measured(single=0.75, solved=0.875),
    "nqueens-10": Measured(single=0.95, solved=1.0, distinct=2.65),
    "nqueens-8": Measured(single=0.975, solved=1.0, distinct=2.58),
    "sudoku-4x4": Measured(single=1.0, solved=1.0),
    "sudoku-6x6": Measured(single=0.9, solved=1.0),
    "sudoku-9x9": Measured(single=0.867, solved=0.933),
    "sudoku-9x9-generate": Measured(single=0.933, solved=1.0, distinct=3.53),
}


OWN = [info for info in shipped_models() if not info.is_late]
FURTHER = [info for info in shipped_models() if info.is_late]


def depth_of(loaded: LoadedModel) -> int:
    return loaded.info.depth if loaded.task.family == "maze" else DEPTH


def sample(loaded: LoadedModel) -> list[Case]:
    """Puzzles that nobody has to store: made from a seed."""
    task, family = loaded.task, puzzles.family(loaded.task.family)
    per_puzzle = step_flops(loaded.model.config, task) * WIDTH * depth_of(loaded)
    number = min(MAX_PUZZLES, max(MIN_PUZZLES, int(MAX_FLOP / per_puzzle)))
    if loaded.info.purpose == "generate":
        return [blank_case(loaded)] * number
    if task.family == "graph-coloring" and is_listed(task):
        return held_out_cases(task, num_graphs=number)
    rng = np.random.default_rng(SEED)
    if task.family == "nqueens":
        return [Case(few_queens(task, rng), "all", None) for _ in range(number)]
    # A maze may have any number of shortest paths, a graph of colourings, and one is enough.
    wanted = None if task.family in ("maze", "graph-coloring") else 1
    return [
        Case(family.generate(task, rng, num_solutions=wanted), "all", None) for _ in range(number)
    ]


def few_queens(task: Task, rng: np.random.Generator) -> object:
    """One to three queens of a random solution: boards of the kind that models are trained for."""
    family = puzzles.family("nqueens")
    whole = family.generate(task, rng, num_solutions=1)
    (solution,) = family.enumerate(whole, limit=1)
    cells = rng.permutation(np.flatnonzero(solution == 2))[: rng.integers(1, 4)]
    queens = [list(divmod(int(cell), task.size)) for cell in cells]
    return family.parse({"n": task.size, "queens": queens})


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("info", OWN, ids=lambda info: info.name)
def test_a_shipped_model_is_as_good_as_when_it_was_taken_in(info: ModelInfo) -> None:
    loaded = load_model(info)
    has_many = info.purpose == "generate" or loaded.task.family in ("nqueens", "graph-coloring")
    report = measure(
        loaded,
        sample(loaded),
        width=WIDTH,
        depth=depth_of(loaded),
        seed=SEED,
        augment=info.purpose != "generate",
        is_complete=has_many,
        running=Running(num_rows=32),
    )[0]
    assert report.mismatches == 0
    distinct = report.distinct or 0.0
    found = Measured(round(report.single, 3), round(report.solved, 3), round(distinct, 2))
    assert info.name in MEASURED, f"measured {found}"
    expected = MEASURED[info.name]
    assert found.single >= expected.single - MARGIN, f"measured {found}"
    assert found.solved >= expected.solved - MARGIN, f"measured {found}"
    assert found.distinct >= expected.distinct * (1 - DISTINCT_MARGIN), f"measured {found}"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("info", FURTHER, ids=lambda info: info.name)
def test_weights_solve_puzzles_of_a_further_size(info: ModelInfo) -> None:
    loaded = load_model(info)
    report = measure(loaded, sample(loaded)[:8], width=16, depth=info.depth, seed=SEED)[0]
    assert (report.mismatches, report.solved) == (0, 1.0)


def test_the_table_names_no_model_that_is_not_shipped() -> None:
    assert set(MEASURED) <= {info.name for info in shipped_models()}
