"""Intervals against known values and against repeated experiments."""

import numpy as np
import pytest

from gram_lab.intervals import bootstrap, figure, wilson


@pytest.mark.parametrize(
    ("successes", "number", "low", "high"),
    # Newcombe 1998, table I, method 3: the score interval without continuity correction.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(
    successes: int, number: int, low: float, high: float
) -> None:
    found = wilson(successes / number, number)
    assert found.value == successes / number
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_a_perfect_share_has_an_interval_that_ends_in_it() -> None:
    assert wilson(1.0, 50).high == 1.0
    assert 0.9 < wilson(1.0, 50).low < 1.0


def test_the_bootstrap_agrees_with_the_normal_interval_and_is_repeatable() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, size=400)
    found = bootstrap(values)
    half = 1.96 * values.std() / 20
    assert (found.low, found.high) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.03
    )
    assert bootstrap(values) == found


def test_totals_are_sums_over_puzzles() -> None:
    values = np.array([0.0, 1.0, 5.0, 2.0])
    assert figure(values, "total").value == pytest.approx(8.0)
    assert figure(values, "mean").value == pytest.approx(2.0)
    assert figure(np.array([0.0, 1.0]), "share") == wilson(0.5, 2)
