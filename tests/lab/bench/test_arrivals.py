import numpy as np
import pytest

from gram_lab.bench.arrivals import arrival_moments
from gram_lab.bench.load import LoadOptions
from gram_server.errors import ConfigError


def gaps(burstiness: float = 1.0) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    moments = arrival_moments(rate=50.0, duration_s=200.0, burstiness=burstiness)
    return np.diff([0.0, *moments])


@pytest.mark.parametrize("burstiness", [0.25, 1.0, 4.0])
def test_gaps_have_the_mean_of_the_rate_and_the_variation_asked_for(burstiness: float) -> None:
    drawn = gaps(burstiness)
    assert drawn.mean() == pytest.approx(1 / 50, rel=0.06)
    assert drawn.var() / drawn.mean() ** 2 == pytest.approx(burstiness, rel=0.15)


def test_poisson_gaps_follow_the_exponential_distribution_and_even_ones_are_even() -> None:
    drawn = np.sort(gaps()) * 50
    expected = 1 - np.exp(-drawn)
    observed = np.arange(1, len(drawn) + 1) / len(drawn)
    # The Kolmogorov-Smirnov distance of ten thousand draws.
    assert np.abs(expected - observed).max() < 1.63 / np.sqrt(len(drawn))
    assert gaps(0.0) == pytest.approx(1 / 50)


def test_a_ramp_reaches_the_rate_at_its_end_with_half_the_arrivals() -> None:
    moments = np.array(arrival_moments(rate=100.0, duration_s=40.0, ramp_s=20.0, burstiness=0.0))
    assert np.sum(moments < 20.0) == pytest.approx(1000, abs=2)
    assert np.sum(moments < 10.0) == pytest.approx(250, abs=2)
    assert np.sum((moments >= 20.0) & (moments < 30.0)) == pytest.approx(1000, abs=2)


def test_the_same_seed_repeats_a_load_and_another_does_not() -> None:
    first, again, other = (
        arrival_moments(rate=5.0, duration_s=10.0, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize("name", ["rate", "duration_s", "burstiness", "slo_ms", "slo_share"])
def test_a_load_that_cannot_be_offered_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        LoadOptions(**{name: -1.0})  # type: ignore[arg-type]  # all numbers
    with pytest.raises(ConfigError, match="ramp_s"):
        LoadOptions(ramp_s=9.0, duration_s=5.0)
