"""The sampled update against float64 and against the model's own guidance."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gram_kernels.philox import NoiseKey
from gram_kernels.stochastic_update import (
    GuidanceWeights,
    reference,
    stochastic_update,
)

Guard = Callable[[Tensor], Tensor]
Close = Callable[[Tensor, Tensor], None]
DTYPES = (torch.float32, torch.float16)
CASES = [(1, 1, 4, 1), (3, 9, 32, 16), (2, 5, 100, 20), (1, 16, 128, 64)]


def random_weights(dim: int, hidden: int, rng: torch.Generator) -> GuidanceWeights:
    return GuidanceWeights(
        gate_up=torch.randn(4 * hidden, dim, generator=rng) * dim**-0.5,
        down=torch.randn(2, dim, hidden, generator=rng) * hidden**-0.5,
        sigma_min=0.01,
        sigma_span=0.6,
        sigma_offset=-0.7,
    )


def random_keys(batch: int, rng: torch.Generator) -> NoiseKey:
    return NoiseKey(
        torch.randint(-(2**62), 2**62, (batch,), generator=rng),
        torch.randint(0, 1000, (batch,), generator=rng),
        torch.randint(0, 128, (batch,), generator=rng),
    )


@pytest.mark.parametrize("has_noise", [True, False])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_kernel_agrees_with_the_reference_in_float64(
    case: tuple[int, int, int, int],
    dtype: torch.dtype,
    has_noise: bool,
    guarded: Guard,
    close: Close,
    rng: torch.Generator,
) -> None:
    batch, tokens, dim, hidden = case
    weights = replace(random_weights(dim, hidden, rng).to("cpu", dtype), has_noise=has_noise)
    keys = random_keys(batch, rng)
    u = torch.randn(batch, tokens, dim, generator=rng).to(dtype)
    expected = reference.stochastic_update(
        u.double(), weights.to("cpu", torch.float64), keys, transition=1
    )
    made = stochastic_update(
        guarded(u),
        replace(weights, gate_up=guarded(weights.gate_up), down=guarded(weights.down)),
        NoiseKey(*map(guarded, keys)),
        transition=1,
        backend="triton",
    )
    assert made.dtype == torch.float32
    close(made, expected)


def test_a_trajectory_keeps_its_noise_in_any_batch(
    device: str, rng: torch.Generator, same: Callable[[Tensor, Tensor], None]
) -> None:
    weights = random_weights(32, 16, rng).to(device, torch.float32)
    keys = NoiseKey(*(key.to(device) for key in random_keys(7, rng)))
    u = torch.randn(7, 9, 32, generator=rng).to(device)
    whole = stochastic_update(u, weights, keys, transition=0, backend="triton")
    order = torch.tensor([5, 0, 3], device=device)
    some = stochastic_update(
        u[order], weights, NoiseKey(*(key[order] for key in keys)), transition=0, backend="triton"
    )
    same(whole[order], some)
