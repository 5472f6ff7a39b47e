"""The gated hidden layer against float64."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gram_kernels.swiglu import reference, swiglu

Guard = Callable[[Tensor], Tensor]
Close = Callable[[Tensor, Tensor], None]
DTYPES = (torch.float32, torch.float16)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("shape", "hidden"), [((1, 16), 1), ((3, 9, 20), 33), ((130, 64), 128), ((2, 100), 40)], ids=str
)
def test_the_kernel_agrees_with_the_reference_in_float64(
    shape: tuple[int, ...],
    hidden: int,
    dtype: torch.dtype,
    guarded: Guard,
    close: Close,
    rng: torch.Generator,
) -> None:
    x = torch.randn(shape, generator=rng).to(dtype)
    weight = (torch.randn(2 * hidden, shape[-1], generator=rng) * shape[-1] ** -0.5).to(dtype)
    made = swiglu(guarded(x), guarded(weight), backend="triton")
    expected = reference.swiglu(x.double(), weight.double())
    close(made, expected)


def test_a_row_does_not_depend_on_how_many_there_are(
    device: str, rng: torch.Generator, same: Callable[[Tensor, Tensor], None]
) -> None:
    x = torch.randn(150, 48, generator=rng).to(device)
    weight = torch.randn(64, 48, generator=rng).to(device)
    whole = swiglu(x, weight, backend="triton")
    same(whole[149:], swiglu(x[149:], weight, backend="triton"))


def test_no_rows_are_no_work(device: str) -> None:
    x = torch.empty(0, 16, device=device)
    assert swiglu(x, torch.ones(8, 16, device=device), backend="triton").shape == (0, 4)
