"""What the API process shows of totals that are kept elsewhere."""

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gram_server.job import PRIORITY_CLASSES
from gram_server.metrics.service import ClassGauges, ServiceGauges, ServiceMetrics

STATE = ServiceGauges(
    is_ready=True,
    is_draining=False,
    inflight_requests=0,
    classes=[ClassGauges(num_jobs=0, num_trajectories=0, oldest_age_s=0.0)] * len(PRIORITY_CLASSES),
    num_running=0,
    reserved_trajectories=0,
    finished_jobs=0,
    finished_bytes=0,
    forgotten_early=0,
    backlog_s={},
    redelivered=0,
    dead_letters=0,
    store_errors={},
    engine_restarts=0,
    models=(),
    jobs={},
)
TOTALS = {
    "engine_restarts": "gram_engine_restarts_total",
    "redelivered": "gram_queue_redelivered_total",
    "dead_letters": "gram_dead_letter_total",
    "forgotten_early": "gram_jobs_forgotten_early_total",
}


def shown(metrics: ServiceMetrics, state: ServiceGauges, name: str) -> list[float]:
    families = text_string_to_metric_families(metrics.expose(state).decode())
    return [each.value for family in families for each in family.samples if each.name == name]


@pytest.mark.parametrize("field", TOTALS)
def test_a_total_is_shown_as_it_is_however_often_it_is_scraped(field: str) -> None:
    metrics = ServiceMetrics(version="1")
    for total in (0, 2, 2, 2, 5, 5):
        state = replace(STATE, **{field: total})  # type: ignore[arg-type]  # by field name
        assert shown(metrics, state, TOTALS[field]) == [total]


def test_a_total_that_begins_anew_does_not_let_the_counter_fall() -> None:
    metrics = ServiceMetrics(version="1")
    name = TOTALS["redelivered"]
    values = [
        shown(metrics, replace(STATE, redelivered=total), name)[0] for total in (4, 1, 1, 4, 6)
    ]
    assert values == sorted(values)
    assert values[-1] == 6


def test_errors_are_counted_by_their_kind() -> None:
    metrics = ServiceMetrics(version="1")
    name = "gram_redis_errors_total"
    for errors in ({"lost": 1}, {"lost": 1, "slow": 3}, {"lost": 2, "slow": 3}):
        state = replace(STATE, store_errors=errors)
        assert sorted(shown(metrics, state, name)) == sorted(errors.values())
