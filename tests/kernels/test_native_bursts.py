"""Several steps in one call of the native step: those of single calls, until one has news."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from gram_kernels.supervision_step import StepRows
from gram_kernels.supervision_step.native import NativeStep
from gram_kernels.tokens import NUM_FACTS
from tests.kernels.conftest import SetThreads, copied
from tests.kernels.test_native_threads import many_rows, native_step
from tests.kernels.test_supervision_step import random_model

NUM_STEPS = 30
FOREVER_NS = 2**62


def patient_step(name: str, rows: StepRows) -> NativeStep:
    step = native_step(name, rows)
    step._burst.max_ns = FOREVER_NS
    return step


def with_news(history: list[Tensor]) -> list[int]:
    """Return after which steps a row might end that had other flags or another answer before."""
    found = [1] if bool(marked(history[0]).any()) else []
    for number, (before, after) in enumerate(pairwise(history), start=2):
        told = [column for column in range(after.shape[1]) if column < 3 or column >= NUM_FACTS]
        is_other = (before != after)[:, told].any(dim=1)
        if bool((marked(after) & is_other).any()):
            found.append(number)
    return found


def marked(facts: Tensor) -> Tensor:
    return (facts[:, 0] != 0) | (facts[:, 1] != 0) | (facts[:, 2] == 0)


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("num_threads", [1, 2, 3])
@pytest.mark.parametrize(("name", "num_rows"), [("edges", 2), ("edges", 5), ("edges", 11)])
def test_a_call_ends_with_the_first_step_that_has_news(
    name: str, num_rows: int, num_threads: int, set_threads: SetThreads
) -> None:
    set_threads(num_threads)
    one_by_one = many_rows(*random_model(name), num_rows)
    rows = copied(one_by_one, torch.clone)
    single, history = native_step(name, one_by_one), list[Tensor]()
    for _ in range(NUM_STEPS):
        single(num_rows)
        history.append(one_by_one.facts.clone())
    expected = with_news(history)
    assert 0 < len(expected) < NUM_STEPS
    step, ends, is_fresh = patient_step(name, rows), [0], True
    while ends[-1] < NUM_STEPS:
        taken = step.advance(num_rows, NUM_STEPS - ends[-1], is_fresh=is_fresh)
        ends.append(ends[-1] + taken)
        is_fresh = False
        assert torch.equal(rows.facts, history[ends[-1] - 1])
    assert ends == [0, *expected, *[NUM_STEPS] * (expected[-1] != NUM_STEPS)]
    assert not torch.equal(history[-1], history[0])
    for made, truth in zip(rows, one_by_one, strict=True):
        assert made is None or truth is None or torch.equal(made, truth)


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("num_threads", [1, 2])
def test_a_call_ends_where_it_has_to(num_threads: int, set_threads: SetThreads) -> None:
    set_threads(num_threads)
    rows = many_rows(*random_model("sudoku"), 1)
    # Never finite, which is news once.
    rows.high.fill_(float("nan"))
    step = patient_step("sudoku", rows)
    assert step.advance(1, 9) == 1
    assert step.advance(1, 9, is_fresh=False) == 9
    assert step.advance(1, 9, is_fresh=True) == 1
    assert step.advance(1, 0, is_fresh=False) == 1
    step._burst.max_ns = 0
    assert step.advance(1, 9, is_fresh=False) == 1
    assert step.advance(0, 9) == 0
