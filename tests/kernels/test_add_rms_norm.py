"""Residual add and RMS norm against float64."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gram_kernels.add_rms_norm import add_rms_norm, reference

Guard = Callable[[Tensor], Tensor]
Close = Callable[[Tensor, Tensor], None]
DTYPES = (torch.float32, torch.float16)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (3, 7, 32), (5, 100), (2, 81, 128), (33, 512)], ids=str)
def test_the_kernel_agrees_with_the_reference_in_float64(
    shape: tuple[int, ...],
    dtype: torch.dtype,
    guarded: Guard,
    close: Close,
    rng: torch.Generator,
) -> None:
    x, residual = (torch.randn(shape, generator=rng).to(dtype) for _ in range(2))
    expected = reference.add_rms_norm(x.double(), residual.double(), epsilon=1e-5)
    drawn = add_rms_norm(guarded(x), guarded(residual), epsilon=1e-5, backend="triton")
    assert drawn.dtype == dtype
    close(drawn, expected)


def test_no_rows_are_no_work(device: str) -> None:
    x = torch.empty(0, 16, device=device)
    assert add_rms_norm(x, x, epsilon=1e-5, backend="triton").shape == (0, 16)


def test_a_row_of_zeros_stays_finite(device: str) -> None:
    x = torch.zeros(2, 16, device=device)
    assert not add_rms_norm(x, x, epsilon=1e-5, backend="triton").any()


def test_a_row_does_not_depend_on_the_others(device: str, rng: torch.Generator) -> None:
    x = torch.randn(70, 96, generator=rng).to(device)
    whole = add_rms_norm(x, x.flip(1), epsilon=1e-5, backend="triton")
    part = add_rms_norm(x[40:41], x[40:41].flip(1), epsilon=1e-5, backend="triton")
    assert torch.equal(whole[40:41], part)
