"""Threads of the native step: rows get the same bits from any number of them, in teams or alone."""

import pytest
import torch

from gram_core import puzzles
from gram_core.model import Gram
from gram_core.solve import unit_tables
from gram_core.step_weights import step_weights
from gram_kernels.supervision_step import StepRows
from gram_kernels.supervision_step.native import NativeStep, product_kind
from gram_kernels.supervision_step.native.step import Sharing
from tests.kernels.conftest import SetThreads, chosen_rows, copied
from tests.kernels.test_supervision_step import (
    NATIVE_TOLERANCES,
    NUM_ROWS,
    VARIANTS,
    random_model,
    random_rows,
    rounded_to_bfloat16,
)

MAX_THREADS = 4


def many_rows(model: Gram, task: puzzles.Task, num_rows: int) -> StepRows:
    """Return rows with keys of their own, on givens of a few instances."""
    few = random_rows(model, task, torch.clone)
    copies = torch.arange(num_rows) % NUM_ROWS
    rng = torch.Generator().manual_seed(9)
    shape = (num_rows, *few.high.shape[1:])
    return few._replace(
        high=torch.randn(shape, generator=rng),
        low=torch.randn(shape, generator=rng),
        givens=few.givens[copies].contiguous(),
        keys=torch.randint(0, 2**40, (3, num_rows), generator=rng),
        adjacency=None if few.adjacency is None else few.adjacency[copies].contiguous(),
        facts=few.facts[copies].contiguous(),
        num_live=torch.tensor([num_rows], dtype=torch.int32),
    )


class AlwaysSharing(Sharing):
    """Lets threads share even small trajectories, and where other work has the processors."""

    def is_on(self) -> bool:
        return True


def native_step(name: str, rows: StepRows, unit: str = "vector") -> NativeStep:
    model, task = random_model(name)
    weights = step_weights(rounded_to_bfloat16(model), task.units)
    step = NativeStep(rows, weights, unit_tables(task), may_use_matrix_unit=unit == "matrix")
    step._sharing = AlwaysSharing(0)
    return step


def advance_twice(rows: StepRows, name: str, unit: str) -> StepRows:
    step = native_step(name, rows, unit)
    step(len(rows.high))
    step(len(rows.high))
    return rows


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("unit", NATIVE_TOLERANCES)
@pytest.mark.parametrize("name", VARIANTS)
def test_a_trajectory_gets_the_same_bits_in_any_batch_order_and_number_of_threads(
    name: str, unit: str, set_threads: SetThreads
) -> None:
    if unit == "matrix" and product_kind() != "matrix":
        pytest.skip("this processor has no matrix unit")
    start = many_rows(*random_model(name), 11)
    set_threads(1)
    expected = advance_twice(copied(start, torch.clone), name, unit)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(1))
    for chosen in (order, order[:1], order[1:3], order[3:6], order[6:]):
        for num_threads in range(1, MAX_THREADS + 1):
            set_threads(num_threads)
            rows = advance_twice(chosen_rows(start, chosen), name, unit)
            for made, truth in (
                (rows.high, expected.high),
                (rows.low, expected.low),
                (rows.facts, expected.facts),
            ):
                assert torch.equal(made, truth[chosen]), (len(chosen), num_threads)


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("num_threads", range(1, MAX_THREADS + 1))
@pytest.mark.parametrize("name", ["sudoku", "edges", "token mixing, norm along the tokens"])
def test_rows_that_are_not_live_or_not_finite_touch_no_other(
    name: str, num_threads: int, set_threads: SetThreads
) -> None:
    sound = many_rows(*random_model(name), 4)
    spoilt = copied(sound, torch.clone)
    spoilt.high[1] = float("nan")
    spoilt.num_live.fill_(3)
    before = copied(spoilt, torch.clone)
    set_threads(num_threads)
    for rows in (sound, spoilt):
        step = native_step(name, rows)
        step(4)
        step(4)
    assert spoilt.facts[:3, 2].tolist() == [1, 0, 1]
    for row in (0, 2):
        assert torch.equal(spoilt.high[row], sound.high[row])
        assert torch.equal(spoilt.facts[row], sound.facts[row])
    assert torch.equal(spoilt.high[3], before.high[3])
    assert torch.equal(spoilt.facts[3], before.facts[3])
    assert torch.equal(spoilt.keys[:, 3], before.keys[:, 3])


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("name", ["sudoku", "edges", "token mixing, norm along the tokens"])
def test_what_other_teams_left_in_their_memory_changes_nothing(
    name: str, set_threads: SetThreads
) -> None:
    rows = many_rows(*random_model(name), 11)
    rows.high[3:] = float("nan")
    expected = copied(rows, torch.clone)
    for batch, most in ((expected, 1), (rows, MAX_THREADS)):
        step = native_step(name, batch)
        for num_live, num_threads in ((11, 2), (1, 4), (3, 2), (2, 3), (11, 4), (2, 4), (3, 3)):
            set_threads(min(num_threads, most))
            batch.num_live.fill_(num_live)
            step(11)
    assert expected.facts[:3, 2].tolist() == [1, 1, 1]
    for table in ("high", "low", "facts", "keys"):
        made, truth = getattr(rows, table), getattr(expected, table)
        assert torch.equal(made.nan_to_num(7.0), truth.nan_to_num(7.0)), table


def num_used(step: NativeStep, num_live: int, num_threads: int, may_share: bool = True) -> int:
    """Return how many threads a step would use, by the memory that it wants for them."""
    wanted, of_one = (
        int(step._count_bytes(step._model, *plan))
        for plan in ((num_live, num_threads, may_share), (1, 1, False))
    )
    return wanted // of_one


def test_a_lone_trajectory_gets_threads_as_far_as_its_cells_go() -> None:
    name = "odd sizes"
    step = native_step(name, many_rows(*random_model(name), 1))
    # 36 cells, of which no thread should have fewer than about 8.
    assert [num_used(step, 1, threads) for threads in (1, 2, 4, 64)] == [1, 2, 4, 5]
    assert num_used(native_step("one vertex", many_rows(*random_model("one vertex"), 1)), 1, 8) == 1


def test_no_step_uses_more_threads_than_it_may() -> None:
    name = "odd sizes"
    step = native_step(name, many_rows(*random_model(name), 1))
    for num_threads in range(1, 20):
        for num_live in range(1, 40):
            used = num_used(step, num_live, num_threads)
            assert min(num_live, num_threads) // 2 < used <= num_threads
            alone = num_used(step, num_live, num_threads, may_share=False)
            assert min(num_live, num_threads) // 2 < alone <= min(num_live, num_threads)


def test_threads_share_nothing_for_a_time_after_they_had_to_wait() -> None:
    time_s = 100.0
    sharing = Sharing(81, lambda: time_s)
    assert sharing.is_on()

    def pause_s(lost_s: float) -> float:
        nonlocal time_s
        time_s += lost_s
        sharing.note(lost_s)
        start_s = time_s
        while not sharing.is_on():
            time_s += 0.0625
        return time_s - start_s

    assert [pause_s(1 / 64) for _ in range(5)] == [0.125, 0.25, 0.5, 1.0, 1.0]
    sharing.note(0.0)
    assert sharing.is_on()
    # As long after the last time as that took: it was another load.
    time_s += 1.1
    assert pause_s(1 / 64) == 0.125
    # Such as when the process was stopped.
    assert pause_s(100.0) == 5.0
    assert not Sharing(16).is_on()
