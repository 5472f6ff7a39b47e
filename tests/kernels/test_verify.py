from functools import lru_cache

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from gram_core import puzzles
from gram_core.puzzles import AnyFamily, Task, Tokens
from gram_core.solve import unit_tables
from gram_kernels.verify import verify

TASKS = (
    "sudoku-4x4",
    "sudoku-6x6",
    "sudoku-9x9",
    "nqueens-1",
    "nqueens-5",
    "nqueens-8",
    "graph-coloring-1",
    "graph-coloring-8",
    "graph-coloring-7-4",
)


@lru_cache(maxsize=256)
def _solved(name: str, seed: int) -> tuple[AnyFamily, Task, object, Tokens]:
    """Return a random instance of a task with one of its solutions."""
    task = puzzles.task(name)
    family = puzzles.family(task.family)
    instance = family.generate(task, np.random.default_rng(seed), num_solutions=None)
    return family, task, instance, next(iter(family.enumerate(instance, limit=1)))


def _verify(
    name: str, answers: Tokens, givens: Tokens, adjacency: np.ndarray | None
) -> tuple[list[bool], list[int]]:
    task = puzzles.task(name)
    shape = (len(answers), task.length)
    result = verify(
        torch.from_numpy(answers.astype(np.int64)),
        torch.from_numpy(np.broadcast_to(givens, shape).astype(np.int64)),
        unit_tables(task),
        adjacency=None if adjacency is None else torch.from_numpy(adjacency).expand(*shape, -1),
    )
    return result.is_valid.tolist(), result.num_violations.tolist()


def _corrupt(answer: Tokens, vocabulary: int, rng: np.random.Generator, count: int) -> Tokens:
    answer = answer.copy()
    cells = rng.integers(0, len(answer), size=count)
    answer[cells] = rng.integers(0, vocabulary + 1, size=count)
    return answer


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
@given(seed=st.integers(0, 15), noise=st.integers(0, 2**32), rows=st.integers(0, 9))
@example(seed=0, noise=0, rows=0)
@example(seed=0, noise=0, rows=1)
def test_the_verifier_agrees_with_the_plain_check(
    name: str, seed: int, noise: int, rows: int
) -> None:
    family, task, instance, solution = _solved(name, seed)
    rng = np.random.default_rng(noise)
    answers = np.stack(
        [solution, *(_corrupt(solution, task.vocabulary, rng, 1 + row) for row in range(rows))]
    )
    encoded = family.encode(instance)
    valid, violations = _verify(name, answers, encoded.tokens, encoded.adjacency)
    assert valid == [family.check(instance, answer) for answer in answers]
    assert valid == [count == 0 for count in violations]
    assert valid[0]


@pytest.mark.parametrize("name", TASKS)
def test_two_cells_exchanged_are_judged_as_the_plain_check_does(name: str) -> None:
    """Exchanges keep the count of every value: only the units can tell."""
    family, task, instance, solution = _solved(name, 3)
    encoded = family.encode(instance)
    answers = []
    for one in range(task.length):
        for other in range(one, task.length):
            answer = solution.copy()
            answer[[one, other]] = answer[[other, one]]
            answers.append(answer)
    valid, _ = _verify(name, np.stack(answers), encoded.tokens, encoded.adjacency)
    assert valid == [family.check(instance, answer) for answer in answers]


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
@given(seed=st.integers(0, 15), noise=st.integers(0, 2**32))
def test_a_symmetry_view_changes_neither_validity_nor_the_number_of_violations(
    name: str, seed: int, noise: int
) -> None:
    family, task, instance, solution = _solved(name, seed)
    rng = np.random.default_rng(noise)
    answers = np.stack([solution, _corrupt(solution, task.vocabulary - 1, rng, 3)])
    encoded = family.encode(instance)
    view = family.symmetry(task, rng)
    adjacency = encoded.adjacency
    viewed = None if adjacency is None else view.apply_adjacency(adjacency)
    plain = _verify(name, answers, encoded.tokens, adjacency)
    assert _verify(name, view.apply(answers), view.apply(encoded.tokens), viewed) == plain


def test_a_changed_given_is_a_violation_even_in_a_perfect_board() -> None:
    family, _, instance, solution = _solved("sudoku-4x4", 1)
    givens = family.encode(instance).tokens
    renamed = solution.copy()
    renamed[solution == 2], renamed[solution == 3] = 3, 2
    valid, violations = _verify("sudoku-4x4", renamed[None], givens, None)
    changed = int(np.isin(givens, (2, 3)).sum())
    assert changed > 0
    assert (valid, violations) == ([False], [changed])


def test_the_diagonal_of_the_adjacency_is_no_edge() -> None:
    adjacency = np.eye(8, dtype=np.bool_)
    answers = np.full((1, 8), 2)
    assert _verify("graph-coloring-8", answers, np.ones(8, np.uint8), adjacency) == ([True], [0])


def test_padded_and_illegal_tokens_are_never_valid() -> None:
    for token in (0, 1, 5, 255):
        answers = np.full((1, 8), token)
        givens, adjacency = np.ones(8, np.uint8), np.zeros((8, 8), np.bool_)
        valid, _ = _verify("graph-coloring-8", answers, givens, adjacency)
        assert valid == [False]
