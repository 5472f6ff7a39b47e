"""The verifier and the solution hash in Triton: integers, so equal to the reference."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from gram_core import puzzles
from gram_core.puzzles.base import BLANK
from gram_core.solve import unit_tables
from gram_kernels.verify import solution_hash, verify

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
    assert solution_hash(none, backend="triton").shape == (0,)


def plain_hash(tokens: list[int]) -> int:
    """The hash on Python integers, as its docstring has it."""
    mask, total = 2**64 - 1, 0
    for cell, token in enumerate(tokens):
        x = (256 * cell + token + 0x9E3779B97F4A7C15) & mask
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
        total += x ^ (x >> 31)
    total &= mask
    return total - 2**64 if total >= 2**63 else total


@pytest.mark.parametrize("backend", ["reference", "triton"])
@pytest.mark.parametrize("length", [1, 16, 81, 100])
def test_the_hash_is_the_documented_sum(
    length: int, backend: str, guarded: Guard, rng: torch.Generator
) -> None:
    answers = torch.randint(0, 12, (5, length), generator=rng)
    hashed = solution_hash(guarded(answers), backend=backend)  # type: ignore[arg-type]  # literals
    assert hashed.tolist() == [plain_hash(row) for row in answers.tolist()]


def test_answers_that_differ_in_one_cell_have_different_hashes(device: str) -> None:
    answers = torch.full((81 + 1, 81), BLANK + 1, device=device)
    for row in range(81):
        answers[row, row] = 3 + row % 9
    assert len(set(solution_hash(answers, backend="triton").tolist())) == len(answers)
