"""The noise against known answers and an independent implementation."""

from typing import Any

import numpy as np
import pytest
import torch

from gram_kernels import philox
from gram_kernels.supervision_step import native

MASK = 0xFFFFFFFF

KNOWN_ANSWERS = [
    ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([MASK] * 4, [MASK] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_words_equal_the_published_known_answers(
    counter: list[int], key: list[int], expected: list[int]
) -> None:
    c0, c1, c2, c3 = (torch.tensor([word]) for word in counter)
    words = philox.philox((c0, c1, c2, c3), (torch.tensor([key[0]]), torch.tensor([key[1]])))
    assert words.flatten().tolist() == expected


def plain_philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox 4x32-10 on Python integers, straight from the paper."""
    for _ in range(10):
        high_0, low_0 = divmod(0xD2511F53 * counter[0], 2**32)
        high_1, low_1 = divmod(0xCD9E8D57 * counter[2], 2**32)
        counter = [high_1 ^ counter[1] ^ key[0], low_1, high_0 ^ counter[3] ^ key[1], low_0]
        key = [(key[0] + 0x9E3779B9) & MASK, (key[1] + 0xBB67AE85) & MASK]
    return counter


def test_integers_are_the_documented_function_of_seed_trajectory_step_and_element() -> None:
    seeds = [0, 5, 2**40 + 3, -1, 7]
    trajectories, steps = [0, 1, 63, 2**32 - 1, 2**40 + 5], [0, 2, 15, 2**31, 3 * 2**32 + 1]
    drawn = philox.integers(
        torch.tensor(seeds),
        torch.tensor(trajectories),
        torch.tensor(steps),
        transition=2,
        stream=philox.LATENT_STREAM,
        count=10,
    )
    for row, (seed, trajectory, step) in enumerate(zip(seeds, trajectories, steps, strict=True)):
        key = [seed & MASK, (seed >> 32) & MASK]
        expected = [
            word
            for block in range(3)
            for word in plain_philox([block, step & MASK, (1 << 24) | 2, trajectory & MASK], key)
        ]
        assert drawn[row].tolist() == expected[:10]


def test_normals_are_box_muller_of_the_integers() -> None:
    rows = torch.arange(5)
    words = philox.integers(
        rows, rows, rows, transition=0, stream=philox.GUIDANCE_STREAM, count=12
    ).numpy()
    uniform = ((words >> 8) + 0.5) / 2.0**24
    radius = np.sqrt(-2 * np.log(uniform[:, 0::2]))
    angle = 2 * np.pi * uniform[:, 1::2]
    expected = np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=2).reshape(5, 12)
    drawn = philox.normals(rows, rows, rows, transition=0, stream=philox.GUIDANCE_STREAM, count=11)
    np.testing.assert_allclose(drawn.numpy(), expected[:, :11], atol=2e-5)


def test_normals_have_the_moments_of_a_standard_normal() -> None:
    rows = torch.arange(64)
    drawn = philox.normals(
        rows, rows * 0, rows * 0, transition=0, stream=philox.GUIDANCE_STREAM, count=4096
    ).double()
    # Standard errors at 262,144 draws: mean 0.002, variance 0.003, fourth moment 0.02.
    assert abs(float(drawn.mean())) < 0.01
    assert abs(float(drawn.var()) - 1.0) < 0.015
    assert abs(float((drawn**4).mean()) - 3.0) < 0.1


@pytest.mark.parametrize("part", ["seed", "trajectory", "step", "transition", "stream"])
def test_noise_differs_when_any_part_of_its_name_differs(part: str) -> None:
    names = {"seed": 3, "trajectory": 4, "step": 5, "transition": 0, "stream": 0}

    def draw(**values: int) -> torch.Tensor:
        return philox.normals(
            torch.tensor([values["seed"]]),
            torch.tensor([values["trajectory"]]),
            torch.tensor([values["step"]]),
            transition=values["transition"],
            stream=values["stream"],
            count=64,
        )

    changed = draw(**{**names, part: names[part] + 1})
    correlation = np.corrcoef(draw(**names).flatten(), changed.flatten())[0, 1]
    assert abs(correlation) < 0.5


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    seeds = torch.tensor([9, 8, 7, 6])
    steps = torch.tensor([1, 2, 3, 4])
    trajectories = torch.tensor([5, 6, 7, 8])
    order = torch.tensor([2, 0, 3, 1])
    together = philox.normals(seeds, trajectories, steps, transition=1, stream=0, count=33)
    shuffled = philox.normals(
        seeds[order], trajectories[order], steps[order], transition=1, stream=0, count=33
    )
    assert torch.equal(together[order], shuffled)


def test_trajectory_and_step_count_modulo_32_bits_in_every_implementation() -> None:
    """Keys up to 2**40, as tests of the kernels draw them."""
    seed = torch.tensor([3])
    named: Any = {"transition": 0, "stream": philox.LATENT_STREAM, "count": 12}

    def draw(trajectory: int, step: int, backend: Any) -> torch.Tensor:
        keys = (torch.tensor([trajectory]), torch.tensor([step]))
        return philox.normals(seed, *keys, **named, backend=backend)

    wide, narrow = (2**40 + 5, 2**35 + 1), (5, 1)
    assert torch.equal(draw(*wide, "reference"), draw(*narrow, "reference"))
    assert not torch.equal(draw(*narrow, "reference"), draw(6, 1, "reference"))
    if not native.refusal():
        drawn = native.latents(seed, torch.tensor([2**40 + 5]), 12)
        torch.testing.assert_close(drawn, draw(5, 0, "reference"), atol=2e-6, rtol=2e-6)
