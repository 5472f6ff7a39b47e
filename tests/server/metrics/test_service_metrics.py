"""What the API process shows of totals that are kept elsewhere."""

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gram_server.jobs.store import QueueStats
from gram_server.metrics import ServiceMetrics, ServiceState

STATS = QueueStats()
STATE = ServiceState(
    is_ready=True,
    is_draining=False,
    inflight_requests=0,
    engine_restarts=0,
    models=(),
    stats=STATS,
)
TOTALS = {
    "redelivered": "gram_queue_redelivered_total",
    "dead_letters": "gram_dead_letter_total",
    "forgotten_early": "gram_jobs_forgotten_early_total",
}


def shown(metrics: ServiceMetrics, state: ServiceState, name: str) -> list[float]:
    families = text_string_to_metric_families(metrics.expose(state).decode())
    return [each.value for family in families for each in family.samples if each.name == name]


@pytest.mark.parametrize("field", TOTALS)
def test_a_total_is_shown_as_it_is_however_often_it_is_scraped(field: str) -> None:
    metrics = ServiceMetrics(version="1")
    for total in (0, 2, 2, 2, 5, 5):
        stats = replace(STATS, **{field: total})  # type: ignore[arg-type]  # by field name
        state = replace(STATE, stats=stats, engine_restarts=total)
        assert shown(metrics, state, TOTALS[field]) == [total]
        assert shown(metrics, state, "gram_engine_restarts_total") == [total]


def test_a_total_that_begins_anew_does_not_let_the_counter_fall() -> None:
    metrics = ServiceMetrics(version="1")
    name = TOTALS["redelivered"]
    values = []
    for total in (4, 1, 1, 4, 6):
        state = replace(STATE, stats=replace(STATS, redelivered=total))
        values += shown(metrics, state, name)
    assert values == sorted(values)
    assert values[-1] == 6


def test_errors_are_counted_by_their_kind() -> None:
    metrics = ServiceMetrics(version="1")
    name = "gram_redis_errors_total"
    for errors in ({"lost": 1}, {"lost": 1, "slow": 3}, {"lost": 2, "slow": 3}):
        state = replace(STATE, stats=replace(STATS, store_errors=errors))
        assert sorted(shown(metrics, state, name)) == sorted(errors.values())
