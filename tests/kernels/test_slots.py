"""Moves and starts of rows: copies, so equal to the reference, and the noise near it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from gram_kernels.slots import Starts, bind
from gram_kernels.supervision_step import StepRows
from gram_kernels.supervision_step.native import latents, refusal
from tests.kernels.conftest import copied, drawn_rows

Guard = Callable[[Tensor], Tensor]
NUM_ROWS = 7
SHAPES = [(1, 4), (9, 20), (16, 64)]


def random_rows(tokens: int, dim: int, rng: torch.Generator, *, has_edges: bool) -> StepRows:
    return drawn_rows(NUM_ROWS, tokens, dim, rng, most=8, has_edges=has_edges)


def assert_equal(made: StepRows, expected: StepRows) -> None:
    for table, truth in zip(made, expected, strict=True):
        if table is not None and truth is not None:
            assert torch.equal(table.cpu(), truth)


@pytest.mark.parametrize("has_edges", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_moves_happen_all_at_once(
    shape: tuple[int, int], has_edges: bool, guarded: Guard, rng: torch.Generator
) -> None:
    expected = random_rows(*shape, rng, has_edges=has_edges)
    before, made = copied(expected), copied(expected, guarded)
    # A chain and an exchange: in any order of single copies something would be lost.
    sources, targets = torch.tensor([5, 0, 1, 3, 4]), torch.tensor([0, 1, 6, 4, 3])
    bind(expected, None, backend="reference").compact(sources, targets)
    bind(made, None, backend="triton").compact(guarded(sources), guarded(targets))
    assert torch.equal(expected.high[targets], before.high[sources])
    assert torch.equal(expected.keys[:, targets], before.keys[:, sources])
    assert_equal(made, expected)


@pytest.mark.parametrize("by", [{"backend": "triton"}, {"draw": latents}], ids=["triton", "native"])
@pytest.mark.parametrize("is_random", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_starts_write_their_rows_and_no_others(
    shape: tuple[int, int],
    is_random: bool,
    by: dict[str, Any],
    guarded: Guard,
    rng: torch.Generator,
) -> None:
    if "draw" in by and (refusal() or torch.cuda.is_available()):
        pytest.skip(refusal() or "native code works in the memory of the host")
    tokens, dim = shape
    expected = random_rows(tokens, dim, rng, has_edges=True)
    made = copied(expected, guarded)
    starts = Starts(
        rows=torch.tensor([4, 0, 6]),
        givens=torch.randint(1, 9, (3, tokens), generator=rng).int(),
        seeds=torch.tensor([2**63 - 1, -5, 0]),
        trajectories=torch.tensor([0, 63, 2**20]),
        adjacency=torch.rand(3, tokens, tokens, generator=rng) < 0.5,
    )
    initial = None if is_random else torch.randn(2, dim, generator=rng)
    bind(expected, initial, backend="reference").admit(starts)
    parts: Any = [None if part is None else guarded(part) for part in starts]
    bind(made, None if initial is None else guarded(initial), **by).admit(Starts(*parts))
    for table, truth in ((made.high, expected.high), (made.low, expected.low)):
        torch.testing.assert_close(table.cpu(), truth, atol=2e-6, rtol=2e-6)
    tables = [copy._replace(high=expected.high, low=expected.low) for copy in (made, expected)]
    assert_equal(*tables)
    assert made.keys[2, starts.rows].tolist() == [0, 0, 0]


def test_nothing_to_do_changes_nothing(guarded: Guard, rng: torch.Generator) -> None:
    expected = random_rows(9, 20, rng, has_edges=True)
    made = copied(expected, guarded)
    none = guarded(torch.zeros(0, dtype=torch.int64))
    empty = (guarded(torch.zeros(0, 9, dtype=torch.int32)), none, none, None)
    for backend in ("reference", "triton"):
        moves = bind(made, None, backend=backend)
        moves.compact(none, none)
        moves.admit(Starts(none, *empty))
    assert_equal(made, expected)
