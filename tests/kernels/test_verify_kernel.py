"""The verifier in Triton: integers, so equal to the reference."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from gram_core import puzzles
from gram_core.solve import unit_tables
from gram_kernels.verify import verify

Guard = Callable[[Tensor], Tensor]
TASKS = ("sudoku-4x4", "sudoku-9x9", "nqueens-1", "nqueens-5", "nqueens-8", "graph-coloring-7-4")
NUM_ROWS = 24


def random_rows(name: str, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return answers from perfect to random, their givens, and their graphs."""
    task = puzzles.task(name)
    family = puzzles.family(task.family)
    answers, givens, graphs = [], [], []
    for row in range(NUM_ROWS):
        instance = family.generate(task, rng, num_solutions=None)
        encoded = family.encode(instance)
        answer = next(iter(family.enumerate(instance, limit=1))).copy()
        cells = rng.integers(0, task.length, size=row // 3)
        answer[cells] = rng.integers(0, task.vocabulary + 1, size=len(cells))
        answers.append(answer)
        givens.append(encoded.tokens)
        if encoded.adjacency is not None:
            graphs.append(encoded.adjacency)
    return (
        torch.from_numpy(np.stack(answers).astype(np.int64)),
        torch.from_numpy(np.stack(givens).astype(np.int64)),
        torch.from_numpy(np.stack(graphs)) if graphs else None,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_every_row_is_judged_as_by_the_reference(name: str, guarded: Guard) -> None:
    answers, givens, adjacency = random_rows(name, np.random.default_rng(7))
    tables = unit_tables(puzzles.task(name))
    expected = verify(answers, givens, tables, adjacency=adjacency, backend="reference")
    judged = verify(
        guarded(answers),
        guarded(givens),
        tables.to(guarded(answers).device),
        adjacency=None if adjacency is None else guarded(adjacency),
        backend="triton",
    )
    assert judged.is_valid.tolist() == expected.is_valid.tolist()
    assert judged.num_violations.tolist() == expected.num_violations.tolist()
    # Perfect and broken answers both occurred.
    assert 0 < int(expected.is_valid.sum()) < NUM_ROWS or name == "nqueens-1"


def test_no_rows_are_no_work(device: str) -> None:
    none = torch.zeros(0, 16, dtype=torch.int64, device=device)
    tables = unit_tables(puzzles.task("sudoku-4x4")).to(device)
    assert verify(none, none, tables, backend="triton").is_valid.shape == (0,)
