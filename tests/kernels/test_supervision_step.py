"""The fused steps, in Triton and in C, against the model itself in float64."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gram_core import puzzles
from gram_core.config import GramConfig, preset
from gram_core.model import Gram
from gram_core.model_step import ModelStep
from gram_core.solve import unit_tables
from gram_core.step_weights import step_weights
from gram_kernels import philox
from gram_kernels.supervision_step import Step, StepRows, bind, can_fuse
from gram_kernels.supervision_step.native import NativeStep, normals, product_kind
from gram_kernels.tokens import NUM_FACTS
from tests.kernels.conftest import chosen_rows, copied

Guard = Callable[[Tensor], Tensor]
NUM_ROWS = 3
NOISE_IN_THE_INPUT = {
    "guidance": "input",
    "recursion": "flat",
    "block_norm": "pre",
    "positions": "units",
    "normed_queries": True,
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "sudoku": ("sudoku-4x4", {}),
    "odd sizes": ("sudoku-6x6", {"dim": 48, "ffn_dim": 40, "guidance_dim": 20}),
    "two blocks, two transitions": (
        "sudoku-4x4",
        {"num_low_blocks": 2, "num_high_blocks": 2, "num_transitions": 2},
    ),
    "queens": ("nqueens-5", {"dim": 64}),
    "edges": ("graph-coloring-7-4", {}),
    "one vertex": ("graph-coloring-1", {}),
    "near cells": ("maze-5x7", {"head_kinds": ("near",) * 4}),
    "near cells, narrow heads": (
        "maze-4x4",
        {"head_kinds": ("any", "near", "any", "near"), "dim": 80, "rotary": "none"},
    ),
    "rows and near cells": (
        "maze-6x5",
        {"head_kinds": ("near", "row", "column", "near"), "rotary": "none"},
    ),
    "attention": ("sudoku-4x4", {"mixer": "attention", "head_kinds": (), "rotary": "1d"}),
    "token mixing": ("sudoku-4x4", {"mixer": "token", "head_kinds": (), "token_ffn_dim": 20}),
    "token mixing, norm along the tokens": (
        "sudoku-6x6",
        {"mixer": "token", "head_kinds": (), "mixer_norm": "tokens", "dim": 48},
    ),
    "prefix, token mixing": (
        "sudoku-6x6",
        {"mixer": "token", "head_kinds": (), "num_prefix_tokens": 5, "readout": "first"},
    ),
    "prefix, attention": (
        "sudoku-4x4",
        {"mixer": "attention", "head_kinds": (), "rotary": "1d", "num_prefix_tokens": 3},
    ),
    "flat": ("sudoku-4x4", {"recursion": "flat", "num_low_blocks": 2}),
    "no guidance": ("sudoku-4x4", {"guidance": "none"}),
    "mean only": ("sudoku-4x4", {"guidance": "mean"}),
    "noise only": ("sudoku-4x4", {"guidance": "noise"}),
    "first token": ("nqueens-5", {"readout": "first"}),
    "noise in the input": ("sudoku-4x4", NOISE_IN_THE_INPUT),
    "noise in the input, two blocks": (
        "sudoku-6x6",
        {**NOISE_IN_THE_INPUT, "num_low_blocks": 2, "num_transitions": 2, "dim": 48},
    ),
    "noise in the input, edges": (
        "graph-coloring-7-4",
        {**NOISE_IN_THE_INPUT, "positions": "none"},
    ),
    "positions of units, normed queries": (
        "sudoku-4x4",
        {"positions": "units", "normed_queries": True},
    ),
}


NOT_FUSED = ("near", "token mixing", "positions of units", "prefix")
FUSED = tuple(name for name in VARIANTS if not any(word in name for word in NOT_FUSED))


def random_model(name: str) -> tuple[Gram, puzzles.Task]:
    task_name, changes = VARIANTS[name]
    task = puzzles.task(task_name)
    config: GramConfig = replace(preset("tiny", task), sigma_init=0.4, **changes)
    torch.manual_seed(5)
    model = Gram(config, task.units).eval().requires_grad_(False)
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.2)
    return model, task


def random_rows(model: Gram, task: puzzles.Task, guard: Guard) -> StepRows:
    """Return rows in the middle of their way, on real instances, surrounded by poison."""
    config, rng = model.config, np.random.default_rng(3)
    family = puzzles.family(task.family)
    encoded = [
        family.encode(family.generate(task, rng, num_solutions=None)) for _ in range(NUM_ROWS)
    ]
    givens = np.stack([each.tokens for each in encoded]).astype(np.int32)
    graphs = [each.adjacency for each in encoded if each.adjacency is not None]
    shape = (NUM_ROWS, config.num_tokens, config.dim)
    keys = [[2**40 + 5, -3, 2**63 - 1], [0, 5, 2**40 + 7], [0, 2, 2**33 + 15]]
    rows = StepRows(
        high=torch.randn(shape),
        low=torch.randn(shape),
        givens=torch.from_numpy(givens),
        keys=torch.tensor(keys),
        adjacency=torch.from_numpy(np.stack(graphs)) if graphs else None,
        facts=torch.full((NUM_ROWS, NUM_FACTS + task.length), -9, dtype=torch.int32),
        num_live=torch.tensor([NUM_ROWS], dtype=torch.int32),
    )
    return copied(rows, guard)


def rounded_to_bfloat16(model: Gram) -> Gram:
    """Return the model with weights that the matrix unit can take as they are."""
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16().float()
    return model


def value_of(rows: StepRows) -> Tensor:
    return rows.facts[:, 4].contiguous().view(torch.float32)


def advance_plainly(rows: StepRows, model: Gram, task: puzzles.Task) -> None:
    """Advance rows by the model's own operations, in float64."""
    ModelStep(rows, deepcopy(model).double(), task)(NUM_ROWS)


def assert_near(
    made: StepRows, expected: StepRows, tolerance: float, *, has_same_answers: bool = True
) -> None:
    for table, truth in (
        (made.high, expected.high),
        (made.low, expected.low),
        (value_of(made), value_of(expected)),
    ):
        torch.testing.assert_close(table.cpu(), truth, atol=tolerance, rtol=tolerance)
    assert torch.equal(made.keys.cpu(), expected.keys)
    if has_same_answers:
        assert torch.equal(made.facts[:, :4], expected.facts[:, :4])
        assert torch.equal(made.facts[:, NUM_FACTS:], expected.facts[:, NUM_FACTS:])


HALF = [(name, torch.float16) for name in ("odd sizes", "edges")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "dtype"), [*((name, torch.float32) for name in FUSED), *HALF])
def test_the_fused_kernel_agrees_with_the_model(
    name: str, dtype: torch.dtype, guarded: Guard
) -> None:
    model, task = random_model(name)
    expected = random_rows(model, task, torch.clone)
    made = copied(expected, guarded)
    units, weights = unit_tables(task), step_weights(model, task.units)
    advance_plainly(expected, model, task)
    is_half = made.high.is_cuda or dtype == torch.float16
    dtype, tolerance = (torch.float16, 3e-2) if is_half else (dtype, 3e-5)
    bind(made, weights, units, dtype=dtype, backend="triton")(NUM_ROWS)
    assert_near(made, expected, tolerance, has_same_answers=not is_half)


def test_triton_says_which_models_it_has_a_step_of() -> None:
    for name in VARIANTS:
        model, task = random_model(name)
        assert can_fuse(step_weights(model, task.units)) == (name in FUSED)


@pytest.mark.slow
def test_rows_that_are_not_live_stay_as_they_are(guarded: Guard) -> None:
    model, task = random_model("sudoku")
    weights, units = step_weights(model, task.units), unit_tables(task)
    steps: tuple[Callable[[StepRows], Step], ...] = (
        lambda rows: ModelStep(rows, model.to(rows.high.device), task),
        lambda rows: bind(rows, weights, units, dtype=torch.float32, backend="triton"),
    )
    for bound in steps:
        rows = random_rows(model, task, guarded)
        rows.num_live.fill_(2)
        before = copied(rows)
        bound(rows)(3)
        for name in ("high", "low", "givens", "facts"):
            assert torch.equal(getattr(rows, name)[2:], getattr(before, name)[2:])
        assert torch.equal(rows.keys[:, 2:], before.keys[:, 2:])
        assert not torch.equal(rows.high[:2], before.high[:2])


@pytest.mark.slow
def test_a_trajectory_gets_the_same_bits_in_any_batch_and_order(guarded: Guard) -> None:
    model, task = random_model("sudoku")
    units, weights = unit_tables(task), step_weights(model, task.units)
    rows = random_rows(model, task, guarded)
    order = torch.tensor([2, 0, 1], device=rows.high.device)
    shuffled = copied(chosen_rows(rows, order), guarded)
    alone = copied(rows, guarded)
    alone.num_live.fill_(1)
    for batch, num_rows in ((rows, NUM_ROWS), (shuffled, NUM_ROWS), (alone, 1)):
        bind(batch, weights, units, dtype=torch.float16, backend="triton")(num_rows)
    assert torch.equal(rows.high[order], shuffled.high)
    assert torch.equal(rows.facts[order], shuffled.facts)
    assert torch.equal(rows.high[:1], alone.high[:1])
    assert torch.equal(rows.facts[:1], alone.facts[:1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:All-NaN slice:RuntimeWarning")
def test_numbers_that_are_not_finite_are_said_and_kept_to_their_row(guarded: Guard) -> None:
    model, task = random_model("sudoku")
    weights, units = step_weights(model, task.units), unit_tables(task)
    rows = random_rows(model, task, guarded)
    sound = copied(rows, guarded)
    rows.high[1] = float("nan")
    for batch in (rows, sound):
        bind(batch, weights, units, dtype=torch.float16, backend="triton")(NUM_ROWS)
    assert rows.facts[:, 2].tolist() == [1, 0, 1]
    kept = torch.tensor([0, 2], device=rows.high.device)
    assert torch.equal(rows.high[kept], sound.high[kept])


# An activation in two bfloat16 parts is right to 2^-17 of its size.
NATIVE_TOLERANCES = {"vector": 3e-5, "matrix": 2e-3}


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("unit", NATIVE_TOLERANCES)
@pytest.mark.parametrize("name", VARIANTS)
def test_native_code_agrees_with_the_model(name: str, unit: str, guarded: Guard) -> None:
    model, task = random_model(name)
    units, weights = unit_tables(task), step_weights(rounded_to_bfloat16(model), task.units)
    expected = random_rows(model, task, torch.clone)
    made = copied(expected, lambda x: guarded(x).cpu())
    advance_plainly(expected, model, task)
    if unit == "matrix" and product_kind() != "matrix":
        pytest.skip("this processor has no matrix unit")
    NativeStep(made, weights, units, may_use_matrix_unit=unit == "matrix")(NUM_ROWS)
    assert_near(made, expected, NATIVE_TOLERANCES[unit])


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("seed", [0, 1, -1, 2**63 - 1, 12345678901234567])
def test_native_noise_is_that_of_philox(seed: int) -> None:
    for count, trajectory, step in ((1, 0, 0), (255, 3, 7), (20001, 2**31, 2**32 - 1)):
        made = normals(count, seed=seed, trajectory=trajectory, step=step, transition=2, stream=1)
        expected = philox.normals(
            *(torch.tensor([number]) for number in (seed, trajectory, step)),
            transition=2,
            stream=1,
            count=count,
        )
        torch.testing.assert_close(made, expected[0], atol=4e-6, rtol=4e-6)
