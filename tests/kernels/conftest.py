"""What the kernels' tests share: the device, rows, how near a result must be, poisoned memory."""

import platform
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gram_kernels.supervision_step import StepRows
from gram_kernels.supervision_step.native import refusal
from gram_kernels.supervision_step.native.library import load
from gram_kernels.supervision_step.native.objects import Object, fitting
from gram_kernels.tokens import NUM_FACTS

SetThreads = Callable[[int], None]
NATIVE = "gram_kernels.supervision_step.native"
RUNNABLE = fitting(platform.system(), platform.machine(), torch.cpu.get_capabilities())
"""Objects of wheels that this processor can run."""

TOLERANCES = {
    torch.float32: (3e-6, 1e-5),
    torch.float16: (4e-3, 4e-3),
}
"""How far a kernel may be from its reference in float64, by the dtype it computes in:
absolute, relative.

Inputs are of unit size. A rounding is worth 6e-8 and 5e-4, and results are a few roundings deep."""

GUARD = 64
"""Poisoned elements before and after a guarded tensor."""


def drawn_rows(
    num_rows: int, tokens: int, dim: int, rng: torch.Generator, *, most: int, has_edges: bool
) -> StepRows:
    """Return rows in the middle of their way, on random givens up to ``most`` and graphs."""
    shape = (num_rows, tokens, dim)
    graph = torch.rand(num_rows, tokens, tokens, generator=rng) < 0.2
    return StepRows(
        high=torch.randn(shape, generator=rng),
        low=torch.randn(shape, generator=rng),
        givens=torch.randint(1, most + 1, shape[:2], generator=rng).int(),
        keys=torch.randint(0, 2**40, (3, num_rows), generator=rng),
        adjacency=(graph | graph.transpose(1, 2)) if has_edges else None,
        facts=torch.zeros(num_rows, NUM_FACTS + tokens, dtype=torch.int32),
        num_live=torch.tensor([num_rows], dtype=torch.int32),
    )


def copied(rows: StepRows, copy: Callable[[Tensor], Tensor] = torch.clone) -> StepRows:
    tables: Any = [None if table is None else copy(table) for table in rows]
    return StepRows(*tables)


def chosen_rows(rows: StepRows, chosen: Tensor) -> StepRows:
    """Return copies of some rows, all live."""
    return rows._replace(
        high=rows.high[chosen],
        low=rows.low[chosen],
        givens=rows.givens[chosen],
        keys=rows.keys[:, chosen].contiguous(),
        adjacency=None if rows.adjacency is None else rows.adjacency[chosen],
        facts=rows.facts[chosen],
        num_live=torch.full_like(rows.num_live, len(chosen)),
    )


@pytest.fixture(scope="session")
def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture
def close(dtype: torch.dtype) -> Callable[[Tensor, Tensor], None]:
    """Return the comparison of a result in ``dtype`` with the truth in float64."""

    def compare(made: Tensor, expected: Tensor) -> None:
        atol, rtol = TOLERANCES[dtype]
        torch.testing.assert_close(made.cpu().double(), expected.cpu(), atol=atol, rtol=rtol)

    return compare


@pytest.fixture
def same(device: str) -> Callable[[Tensor, Tensor], None]:
    """Return the comparison of a row with itself in another batch: its bits, on a GPU.

    The interpreter multiplies with numpy, whose BLAS rounds by a row's place on some processors.
    """

    def compare(one: Tensor, other: Tensor) -> None:
        rtol, atol = (0.0, 0.0) if device == "cuda" else (1e-5, 1e-5)
        torch.testing.assert_close(one, other, rtol=rtol, atol=atol)

    return compare


@pytest.fixture(autouse=True)
def poisoned_allocations() -> Iterator[None]:
    """Let every new tensor hold NaN until it is written."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def guarded(device: str) -> Callable[[Tensor], Tensor]:
    """Return a function that copies a tensor into memory with NaN right before and after it."""

    def guard(x: Tensor) -> Tensor:
        poison = float("nan") if x.is_floating_point() else 77
        memory = torch.full((x.numel() + 2 * GUARD,), poison, dtype=x.dtype, device=device)
        inside = memory[GUARD : GUARD + x.numel()].view(x.shape)
        inside.copy_(x)
        return inside

    return guard


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(20)


@pytest.fixture(scope="session")
def built_object(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Object], Path]:
    """Return a function that builds an object once, as a wheel's build does."""
    pytest.importorskip("hatchling", reason="wheels are built by hatchling, which is not here")
    folder = tmp_path_factory.mktemp("objects")
    make = runpy.run_path(str(Path(__file__).parents[2] / "kernels/hatch_build.py"))["make"]

    def built(each: Object) -> Path:
        path = folder / each.file_name
        if not path.exists() and not make(each, path):
            pytest.skip(f"nothing here builds an object for {each.name}")
        return path

    return built


@pytest.fixture(
    params=[None, *(pytest.param(each, marks=pytest.mark.slow) for each in RUNNABLE)],
    ids=["own", *(each.name for each in RUNNABLE)],
)
def native(
    request: pytest.FixtureRequest,
    built_object: Callable[[Object], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Run a test with what this machine builds for itself, and with every object it can run."""
    if request.param is not None:
        loaded = load(built_object(request.param), request.param.name)
        for place in ("library", "step"):
            monkeypatch.setattr(f"{NATIVE}.{place}.library", lambda: loaded)
    elif refusal():
        pytest.skip(refusal())


@pytest.fixture
def set_threads() -> Iterator[SetThreads]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
