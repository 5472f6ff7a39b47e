"""Metrics of the queue's state and of the API process.

Computed at each scrape, so that they cannot drift.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gram_server.job import PRIORITY_CLASSES, ModelReport
from gram_server.jobs.store import ACCEPTED, JobCount, QueueStats


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """State at the moment of a scrape."""

    is_ready: bool
    is_draining: bool
    inflight_requests: int
    engine_restarts: int
    models: Sequence[ModelReport]
    stats: QueueStats


class StateCollector(Collector):
    """Exports the ``state`` that was set last."""

    def __init__(self) -> None:
        self.state: ServiceState | None = None
        self._highest: dict[tuple[str, ...], float] = {}

    def collect(self) -> Iterator[Metric]:
        if self.state is None:
            return
        yield from _gauges(self.state, self.state.stats)
        yield from self._totals(self.state, self.state.stats)
        yield from _job_counts(self.state.stats.counts)

    def _totals(self, state: ServiceState, stats: QueueStats) -> Iterator[Metric]:
        early = "Ended jobs that were forgotten before their time, as there were too many."
        again = "Times a job was queued again as its worker was lost."
        for name, text, value in (
            ("engine_restarts", "Times the worker was started again.", state.engine_restarts),
            ("dead_letter", "Jobs that failed as they cost too many workers.", stats.dead_letters),
            ("jobs_forgotten_early", early, stats.forgotten_early),
            ("queue_redelivered", again, stats.redelivered),
        ):
            yield CounterMetricFamily(f"gram_{name}", text, value=self._rising(value, name))
        errors = CounterMetricFamily(
            "gram_redis_errors", "Calls of this process to Redis that failed.", labels=("kind",)
        )
        for kind, value in stats.store_errors.items():
            errors.add_metric((kind,), self._rising(value, "redis_errors", kind))
        yield errors

    def _rising(self, value: float, *name: str) -> float:
        """Return a total that never falls, also when its source restarts at zero."""
        self._highest[name] = max(value, self._highest.get(name, 0.0))
        return self._highest[name]


def _gauges(state: ServiceState, stats: QueueStats) -> Iterator[Metric]:
    reserved = "Widths of all unfinished jobs, which the bound limits."
    for name, text, value in (
        ("ready", "1 when a worker is ready and nothing drains.", state.is_ready),
        ("draining", "1 once the server was asked to stop.", state.is_draining),
        ("inflight_requests", "Accepted requests without an answer.", state.inflight_requests),
        ("running_jobs", "Jobs a worker holds.", stats.num_running),
        ("reserved_trajectories", reserved, stats.reserved_trajectories),
        ("finished_jobs", "Ended jobs that are remembered.", stats.finished_jobs),
        ("finished_bytes", "What they take, about.", stats.finished_bytes),
    ):
        yield GaugeMetricFamily(f"gram_{name}", text, value=value)
    models = GaugeMetricFamily(
        "gram_model_info", "Models loaded.", labels=("model", "task", "fingerprint")
    )
    for model in state.models:
        models.add_metric((model.name, model.task, model.fingerprint), 1)
    yield models
    backlog = GaugeMetricFamily(
        "gram_backlog_seconds",
        "Time that the unfinished jobs of a model will take; 0 while none has to wait.",
        labels=("model",),
    )
    for name, expected_s in stats.backlog_s.items():
        backlog.add_metric((name,), expected_s)
    yield backlog
    for name, text, field in (
        ("jobs", "Jobs no worker has claimed.", "num_jobs"),
        ("trajectories", "Their widths, summed.", "num_trajectories"),
        ("oldest_age_seconds", "Age of the oldest of them.", "oldest_age_s"),
    ):
        family = GaugeMetricFamily(f"gram_queue_{name}", text, labels=("class",))
        for priority_class, each in zip(PRIORITY_CLASSES, stats.classes, strict=True):
            family.add_metric((priority_class,), getattr(each, field))
        yield family


def _job_counts(counts: Mapping[JobCount, int]) -> Iterator[Metric]:
    accepted = CounterMetricFamily(
        "gram_jobs_accepted", "Jobs that the queue ever took.", labels=("model", "class")
    )
    ended = CounterMetricFamily(
        "gram_jobs_ended",
        "Those of them that ended, by how: each exactly once.",
        labels=("model", "class", "outcome"),
    )
    for (what, model, priority), value in sorted(counts.items()):
        labels = (model, PRIORITY_CLASSES[priority])
        if what == ACCEPTED:
            accepted.add_metric(labels, value)
        else:
            ended.add_metric((*labels, what), value)
    yield accepted
    yield ended
