from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gram_server.metrics.engine import EngineMetrics

NAMES = {
    "gram_supervision_steps",
    "gram_wasted_slot_steps",
    "gram_trajectories",
    "gram_solutions",
    "gram_verify_mismatch",
    "gram_foreign_answers",
    "gram_slots_alive",
    "gram_slots_capacity",
    "gram_engine_last_step_timestamp_seconds",
    "gram_step_duration_seconds",
    "gram_batch_occupancy_ratio",
    "gram_steps_per_trajectory",
    "gram_trajectories_per_solution",
    "gram_startup_phase_seconds",
}


def test_every_series_of_a_model_exists_from_the_start() -> None:
    registry = CollectorRegistry()
    EngineMetrics(registry).of("a")
    families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    assert {family.name for family in families} >= NAMES
    reasons = {
        sample.labels["reason"]
        for family in families
        if family.name == "gram_wasted_slot_steps"
        for sample in family.samples
        if sample.name.endswith("_total")
    }
    assert reasons == {"padding", "late", "aborted", "preempted"}


def test_a_step_counts_its_live_rows_and_its_padding() -> None:
    registry = CollectorRegistry()
    metrics = EngineMetrics(registry).of("a")
    metrics.observe_steps(1, num_useful=3, num_live=5, num_rows=8, step_s=0.002)
    labels = {"model": "a"}
    assert registry.get_sample_value("gram_supervision_steps_total", labels) == 3
    late = {**labels, "reason": "late"}
    assert registry.get_sample_value("gram_wasted_slot_steps_total", late) == 2
    padding = {**labels, "reason": "padding"}
    assert registry.get_sample_value("gram_wasted_slot_steps_total", padding) == 3
    assert registry.get_sample_value("gram_batch_occupancy_ratio_sum", labels) == 0.625
    assert registry.get_sample_value("gram_step_duration_seconds_count", labels) == 1


def test_a_job_without_solution_has_no_cost_per_solution() -> None:
    registry = CollectorRegistry()
    metrics = EngineMetrics(registry).of("a")
    metrics.observe_job(16, num_solutions=0)
    metrics.observe_job(16, num_solutions=4)
    name = "gram_trajectories_per_solution"
    assert registry.get_sample_value(f"{name}_count", {"model": "a"}) == 1
    assert registry.get_sample_value(f"{name}_sum", {"model": "a"}) == 4


def test_steps_are_counted_in_the_bucket_of_each_trajectory() -> None:
    registry = CollectorRegistry()
    families = EngineMetrics(registry)
    metrics, _ = families.of("a"), families.of("b")
    for result, num_steps, count in (("solved", 1, 2), ("exhausted", 3, 4), ("aborted", 2000, 1)):
        metrics.count_trajectories(result, num_steps, count)
    name = "gram_steps_per_trajectory"
    expected = {"1.0": 2, "2.0": 2, "4.0": 6, "1024.0": 6, "+Inf": 7}
    for bound, count in expected.items():
        labels = {"model": "a", "le": bound}
        assert registry.get_sample_value(f"{name}_bucket", labels) == count
    assert registry.get_sample_value(f"{name}_sum", {"model": "a"}) == 2014
    assert registry.get_sample_value(f"{name}_count", {"model": "b"}) == 0
    labels = {"model": "a", "reason": "aborted"}
    assert registry.get_sample_value("gram_wasted_slot_steps_total", labels) == 2000
