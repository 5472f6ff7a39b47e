"""When requests are due, how a rate is searched, and what is summed up of a load."""

import math

import numpy as np
import pytest

from gram_lab.bench.client import Load, Record
from gram_lab.bench.load import (
    PRECISION,
    LoadOptions,
    Summary,
    arrival_moments,
    best_rate,
    quantiles,
    rates_to_try,
    summarise,
)
from gram_server.errors import ConfigError


def test_gaps_follow_the_exponential_distribution_of_the_rate() -> None:
    moments = arrival_moments(rate=50.0, duration_s=200.0)
    drawn = np.sort(np.diff([0.0, *moments])) * 50
    assert drawn.mean() == pytest.approx(1.0, rel=0.06)
    expected = 1 - np.exp(-drawn)
    observed = np.arange(1, len(drawn) + 1) / len(drawn)
    # The Kolmogorov-Smirnov distance of ten thousand draws.
    assert np.abs(expected - observed).max() < 1.63 / np.sqrt(len(drawn))


def test_the_same_seed_repeats_a_load_and_another_does_not() -> None:
    first, again, other = (
        arrival_moments(rate=5.0, duration_s=10.0, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize("name", ["rate", "duration_s", "slo_ms", "slo_share"])
def test_a_load_that_cannot_be_offered_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        LoadOptions(**{name: -1.0})  # type: ignore[arg-type]  # all numbers


def record(*, first_s: float | None, end: str = "solved", scheduled_s: float = 0.0) -> Record:
    return Record(
        task="sudoku-4x4",
        width=1,
        scheduled_s=scheduled_s,
        sent_s=scheduled_s,
        first_s=first_s,
        end_s=scheduled_s + 0.01 if first_s is None else first_s,
        status=429 if end == "refused" else 200,
        end=end,  # type: ignore[arg-type]  # one of the literals
    )


def summary_of(*records: Record) -> Summary:
    load = Load(list(records), wall_s=10.0, client_cpu_s=1.0)
    return summarise(load, rate=1.0, duration_s=5.0, slo_s=0.1, slo_share=0.99)


def search(limit: float, *, start: float) -> dict[float, bool]:
    tried: dict[float, bool] = {}
    for rate in rates_to_try(tried, start=start, lowest=0.1):
        tried[rate] = rate <= limit
    return tried


@pytest.mark.parametrize("limit", [0.3, 1.0, 37.0, 600.0])
@pytest.mark.parametrize("start", [0.5, 4.0, 700.0])
def test_the_search_comes_within_its_precision_from_either_side(limit: float, start: float) -> None:
    tried = search(limit, start=start)
    best = best_rate(tried)
    assert best is not None
    assert limit / PRECISION <= best <= limit
    assert len(tried) <= 20


def test_a_server_that_never_meets_the_objective_has_no_best_rate() -> None:
    assert best_rate(search(0.0, start=1.0)) is None


def test_a_lucky_rate_above_one_that_failed_does_not_count() -> None:
    assert best_rate({1.0: True, 2.0: False, 4.0: True}) == 1.0


def test_latency_counts_from_the_moment_a_request_was_due() -> None:
    late = record(first_s=3.0, scheduled_s=1.0)
    assert summary_of(late).first_solution_ms["p50"] == 2000.0


def test_requests_without_a_solution_are_infinitely_late_and_refused_ones_miss_the_objective() -> (
    None
):
    summary = summary_of(
        record(first_s=0.1),
        record(first_s=None, end="unsolved"),
        record(first_s=None, end="refused"),
        record(first_s=0.2),
    )
    assert summary.first_solution_ms == {
        "p50": 200.0,
        "p90": None,
        "p99": None,
        "p999": None,
        "max": None,
    }
    assert summary.share_within == 0.25
    assert summary.goodput == 1 / 5.0
    assert summary.throughput == 2 / 10.0
    assert summary.refusal_ms["p99"] == 10.0
    assert not summary.meets


def test_quantiles_take_the_nearest_rank() -> None:
    hundred = [number / 1e3 for number in range(1, 101)]
    found = quantiles(hundred)
    assert found == {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 100.0, "max": 100.0}
    assert quantiles([*hundred, math.inf])["max"] is None
