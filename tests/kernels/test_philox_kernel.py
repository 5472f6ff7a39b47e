"""The noise in Triton: the same integers as the reference, and as Python's own arithmetic."""

from typing import Any

import pytest
import torch

from gram_kernels import philox
from gram_kernels.backend import triton_refusal

SEEDS = [0, 5, 2**40 + 3, -1, 2**63 - 1, -(2**63)]
TRAJECTORIES = [0, 1, 63, 7, 2**40 + 5, 2**32 - 1]
STEPS = [0, 2, 15, 2**31, 1023, 2**35 + 1]


def keys(device: str) -> tuple[torch.Tensor, ...]:
    return tuple(torch.tensor(part, device=device) for part in (SEEDS, TRAJECTORIES, STEPS))


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 4, 10, 1037, 81 * 128])
@pytest.mark.parametrize("stream", [philox.GUIDANCE_STREAM, philox.LATENT_STREAM])
def test_all_integers_equal_those_of_the_reference(stream: int, count: int, device: str) -> None:
    named: Any = {"transition": 2, "stream": stream, "count": count}
    drawn = philox.integers(*keys(device), **named, backend="triton")
    expected = philox.integers(*keys("cpu"), **named, backend="reference")
    assert torch.equal(drawn.cpu(), expected)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 10, 81 * 128])
def test_normals_are_within_a_few_ulps_of_the_reference(count: int, device: str) -> None:
    named: Any = {"transition": 0, "stream": philox.GUIDANCE_STREAM, "count": count}
    drawn = philox.normals(*keys(device), **named, backend="triton").cpu()
    expected = philox.normals(*keys("cpu"), **named, backend="reference")
    torch.testing.assert_close(drawn, expected, atol=2e-6, rtol=2e-6)


def test_no_rows_draw_nothing(device: str) -> None:
    none = torch.zeros(0, dtype=torch.int64, device=device)
    drawn = philox.normals(none, none, none, transition=0, stream=0, count=8, backend="triton")
    assert drawn.shape == (0, 8)


def test_a_machine_on_which_no_kernel_starts_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    triton_refusal.cache_clear()
    assert triton_refusal() == ""

    def fail(*args: object, **options: object) -> None:
        raise RuntimeError("Failed to find C compiler.\nSee the log")

    monkeypatch.setattr("gram_kernels.philox.kernel.integers", fail)
    triton_refusal.cache_clear()
    try:
        assert "(Failed to find C compiler.): it needs gcc" in triton_refusal()
    finally:
        triton_refusal.cache_clear()
