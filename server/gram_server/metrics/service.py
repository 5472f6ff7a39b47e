"""Metrics of the API process, in a registry of each instance, and of the queue's state.

The state is computed at each scrape, so that it cannot drift.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gram_server.job import PRIORITY_CLASSES, Job, JobOutcome, ModelReport
from gram_server.jobs.store import ACCEPTED, JobCount, QueueStats

LATENCY_BUCKETS_S = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Fine where answers come in milliseconds, up to a minute."""

Outcome = Literal[JobOutcome, "rejected", "invalid"]
"""How a request for a solution ended; the last two were never accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """State at the moment of a scrape."""

    is_ready: bool
    is_draining: bool
    inflight_requests: int
    engine_restarts: int
    models: Sequence[ModelReport]
    stats: QueueStats


class ServiceMetrics:
    """Counters and histograms of the API process, and its state."""

    def __init__(self, *, version: str, latency_buckets_s: Sequence[float] = ()) -> None:
        self.registry = CollectorRegistry()
        self._buckets = tuple(latency_buckets_s) or LATENCY_BUCKETS_S
        self._requests = self._counter(
            "requests",
            "Requests for solutions by how they ended.",
            ("model", "class", "outcome"),
        )
        self._rejected = self._counter(
            "rejected", "Requests that were not accepted, by problem code.", ("reason",)
        )
        self._duration = self._histogram("request_duration", "Whole request, accepted ones only.")
        self._first = self._histogram("time_to_first_solution", "Acceptance to first solution.")
        self._queue_wait = self._histogram("queue_wait", "Acceptance to the first step.")
        self._engine = self._histogram("engine_duration", "First step to the end of the job.")
        self._sampled = self._counter(
            "sampled_trajectories",
            "Trajectories from an empty board that ended, by whether their board was valid.",
            ("puzzle", "result"),
        )
        self._boards = self._counter("boards", "Generated boards returned.", ("puzzle",))
        self._state = StateCollector()
        self.registry.register(self._state)
        ProcessCollector(registry=self.registry)
        build = Gauge(
            "gram_build_info", "Version of the server.", ("version",), registry=self.registry
        )
        build.labels(version=version).set(1)

    def watch_worker(self, pid: Callable[[], int]) -> None:
        """Export the process metrics of the child worker."""
        ProcessCollector(namespace="gram_worker", pid=pid, registry=self.registry)

    def count_request(self, outcome: Outcome, *, model: str = "", priority: int = 1) -> None:
        """Count a request that ended; model is empty when none was found for it."""
        self._requests.labels(model, PRIORITY_CLASSES[priority], outcome).inc()

    def count_rejected(self, reason: str) -> None:
        self._rejected.labels(reason).inc()

    def observe_request(self, duration_s: float, *, model: str) -> None:
        self._duration.labels(model).observe(duration_s)

    def observe_result(self, job: Job, result: Mapping[str, Any]) -> None:
        """Observe the answer to a job."""
        queue_s, engine_s = (result["usage"][name] / 1e3 for name in ("queue_ms", "engine_ms"))
        self._queue_wait.labels(job.model).observe(queue_s)
        self._engine.labels(job.model).observe(engine_s)
        if job.sampling is None:
            found_ms = [found["first"]["ms"] for found in result["solutions"] if found["first"]]
        else:
            found_ms = [board["ms"] for board in result["boards"]]
            num_valid = result["valid_trajectories"]
            self._sampled.labels(job.puzzle, "valid").inc(num_valid)
            self._sampled.labels(job.puzzle, "invalid").inc(result["trajectories"] - num_valid)
            self._boards.labels(job.puzzle).inc(len(found_ms))
        if found_ms:
            self._first.labels(job.model).observe(queue_s + min(found_ms) / 1e3)

    def expose(self, state: ServiceState) -> bytes:
        self._state.state = state
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, labels: Sequence[str]) -> Counter:
        return Counter(f"gram_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(
            f"gram_{name}_seconds",
            text,
            ("model",),
            buckets=self._buckets,
            registry=self.registry,
        )


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
