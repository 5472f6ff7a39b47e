"""Intervals against known values and against repeated experiments."""

import numpy as np
import pytest

from gram_lab.intervals import bootstrap, figure, paired, wilson


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


def test_paired_shares_have_the_published_interval() -> None:
    """Agresti's approval ratings: 794 twice yes, 150 and 86 changed, 570 twice no."""
    first = np.repeat([1.0, 1.0, 0.0, 0.0], [794, 150, 86, 570])
    second = np.repeat([1.0, 0.0, 1.0, 0.0], [794, 150, 86, 570])
    found = paired(first, second, "share")
    assert found.value == pytest.approx(0.04)
    assert (found.low, found.high) == pytest.approx((0.021, 0.059), abs=1e-3)
    assert paired(second, first, "share").value == pytest.approx(-0.04)


def test_equal_answers_leave_doubt_and_pairing_is_worth_more_than_two_intervals() -> None:
    same = np.repeat([1.0, 0.0], [30, 10])
    found = paired(same, same, "share")
    assert found.value == 0.0
    assert -0.1 < found.low < 0.0 < found.high < 0.1
    other = same.copy()
    other[:3] = 0.0
    gain = paired(same, other, "share")
    apart = wilson(0.75, 40).high - wilson(0.75, 40).low
    assert gain.high - gain.low < apart / 1.4


def test_the_paired_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        cells = rng.choice(4, size=60, p=[0.5, 0.2, 0.1, 0.2])
        first, second = (np.isin(cells, each).astype(np.float64) for each in ((0, 1), (0, 2)))
        found = paired(first, second, "share")
        held += found.low <= 0.1 <= found.high
    assert 0.93 < held / 1000 < 0.97


def test_paired_totals_and_means_are_differences_of_them() -> None:
    first, second = np.array([0.0, 1.0, 5.0, 2.0]), np.array([1.0, 1.0, 2.0, 0.0])
    assert paired(first, second, "total").value == pytest.approx(4.0)
    assert paired(first, second, "mean").value == pytest.approx(1.0)
