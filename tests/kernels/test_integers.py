"""Products of 8-bit integers in the native step: near the model, with the bits of no other row."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gram_core import puzzles
from gram_core.bound_step import native_precision
from gram_core.model import Gram
from gram_core.solve import unit_tables
from gram_core.step_weights import step_weights
from gram_kernels.supervision_step import StepRows
from gram_kernels.supervision_step.native import NativeStep, library, product_kind
from tests.kernels.conftest import NATIVE, chosen_rows, copied
from tests.kernels.test_supervision_step import (
    NUM_ROWS,
    VARIANTS,
    Guard,
    advance_plainly,
    random_model,
    random_rows,
)

needs_integers = pytest.mark.skipif(
    not library.library().has_integers, reason="this processor has no dot products of integers"
)
MAX_RATIO = 1.5
"""Of the distance to the model, to that of the model with rounded factors. The two part where a
factor lies between two steps, so neither is the other's truth."""


class RoundedLinear(nn.Linear):
    """A product of rows and columns that are rounded to 127 steps of their largest size."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(rounded(x), rounded(self.weight))


def rounded(rows: Tensor) -> Tensor:
    steps = rows.abs().amax(dim=-1, keepdim=True).clamp(min=1e-30) / 127
    return (rows / steps).round() * steps


def with_rounded_factors(model: Gram) -> Gram:
    """Return a copy whose products round both factors, but for those of the readouts."""
    changed = deepcopy(model)
    for name, layer in changed.named_modules():
        if isinstance(layer, nn.Linear) and name not in ("decoder", "halt", "value"):
            layer.__class__ = RoundedLinear
    return changed


def distance(made: Tensor, truth: Tensor) -> float:
    return float((made - truth).square().mean().sqrt() / truth.square().mean().sqrt())


def advance(rows: StepRows, model: Gram, task: puzzles.Task) -> None:
    weights = step_weights(model, task.units)
    NativeStep(rows, weights, unit_tables(task), dtype=torch.int8)(NUM_ROWS)


@needs_integers
@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("name", VARIANTS)
def test_products_of_integers_are_as_near_to_the_model_as_8_bits_are(
    name: str, guarded: Guard
) -> None:
    if not library.library().has_integers:
        pytest.skip("this object has none")
    model, task = random_model(name)
    truth = random_rows(model, task, torch.clone)
    rough = copied(truth)
    made = copied(truth, lambda x: guarded(x).cpu())
    advance(made, model, task)
    advance_plainly(rough, with_rounded_factors(model), task)
    advance_plainly(truth, model, task)
    for table in ("high", "low"):
        each = (getattr(rows, table) for rows in (made, rough))
        far, expected = (distance(state, getattr(truth, table)) for state in each)
        assert 0 <= far <= MAX_RATIO * expected < 0.05
    assert torch.equal(made.keys, truth.keys)


@needs_integers
@pytest.mark.parametrize("name", ["odd sizes", "edges"])
def test_with_integers_a_trajectory_gets_the_same_bits_in_any_batch_order_and_number_of_threads(
    name: str,
) -> None:
    model, task = random_model(name)
    rows, order = random_rows(model, task, torch.clone), torch.tensor([2, 0, 1])
    some = [(chosen_rows(rows, chosen), chosen) for chosen in (order, order[:1], order[:2])]
    threads = torch.get_num_threads()
    advance(rows, model, task)
    try:
        torch.set_num_threads(3)
        for batch, _ in some:
            advance(batch, model, task)
    finally:
        torch.set_num_threads(threads)
    for batch, chosen in some:
        assert torch.equal(batch.high, rows.high[chosen])
        assert torch.equal(batch.low, rows.low[chosen])
        assert torch.equal(batch.facts, rows.facts[chosen])


@needs_integers
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -float("inf")])
def test_with_integers_a_number_that_is_not_finite_is_said_and_kept_to_its_row(
    poison: float,
) -> None:
    model, task = random_model("sudoku")
    sound = random_rows(model, task, torch.clone)
    spoilt = copied(sound)
    spoilt.high[1, 3, 7] = poison
    for rows in (sound, spoilt):
        advance(rows, model, task)
        advance(rows, model, task)
    assert spoilt.facts[:, 2].tolist() == [1, 0, 1]
    for row in (0, 2):
        assert torch.equal(spoilt.high[row], sound.high[row])
        assert torch.equal(spoilt.facts[row], sound.facts[row])


@needs_integers
def test_a_row_and_a_weight_of_zeros_stay_zeros(guarded: Guard) -> None:
    model, task = random_model("no guidance")
    for parameter in model.parameters():
        parameter.data.zero_()
    rows = random_rows(model, task, guarded)
    rows.high.zero_()
    rows.low.zero_()
    advance(rows, model, task)
    assert not rows.high.any()
    assert not rows.low.any()


@needs_integers
def test_where_the_dot_products_are_masked_products_are_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert native_precision() == ("fp32" if product_kind() == "matrix" else "int8")
    vnni = ("avx512_vnni", "avx_vnni")
    masked = {**torch.cpu.get_capabilities(), **dict.fromkeys(vnni, False)}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: masked)
    loaded = library.library.__wrapped__()
    assert loaded.functions is not None
    assert not loaded.has_integers
    monkeypatch.setattr(f"{NATIVE}.library.library", lambda: loaded)
    assert native_precision() == "fp32"
