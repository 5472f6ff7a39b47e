"""Metrics of the API process, in a registry of each instance."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from gram_server.job import PRIORITY_CLASSES, Job
from gram_server.metrics.state import ServiceState, StateCollector

LATENCY_BUCKETS_S = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Fine where answers come in milliseconds, up to a minute."""

Outcome = Literal[
    "solved", "unsolved", "partial", "deadline", "cancelled", "failed", "rejected", "invalid"
]
"""How a request for a solution ended; the last two were never accepted."""


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
