"""Metrics of the API process: requests, refusals, the queue and readiness.

Counters and histograms grow as things happen; gauges are set from state at each scrape, so that
they cannot drift. The registry belongs to the instance: nothing is global.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from gram_server.job import PRIORITY_CLASSES, ModelReport
from gram_server.metrics.buckets import LATENCY_BUCKETS_S
from gram_server.metrics.jobs import JobCount, JobCounts

Outcome = Literal[
    "solved", "unsolved", "partial", "deadline", "cancelled", "failed", "rejected", "invalid"
]
"""How a request for a solution ended; the last two were never accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassGauges:
    """What waits in one priority class."""

    num_jobs: int
    num_trajectories: int
    oldest_age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceGauges:
    """The state that the gauges show, at the moment of a scrape."""

    is_ready: bool
    is_draining: bool
    inflight_requests: int
    classes: Sequence[ClassGauges]
    """One for each of ``PRIORITY_CLASSES``."""
    num_running: int
    reserved_trajectories: int
    backlog_s: Mapping[str, float]
    """By model."""
    redelivered: int
    dead_letters: int
    finished_jobs: int
    finished_bytes: int
    forgotten_early: int
    store_errors: Mapping[str, int]
    engine_restarts: int
    models: Sequence[ModelReport]
    jobs: Mapping[JobCount, int]


class ServiceMetrics:
    """Counts what the API process does."""

    def __init__(self, *, version: str, latency_buckets_s: Sequence[float] = ()) -> None:
        self.registry = CollectorRegistry()
        self._buckets = tuple(latency_buckets_s) or LATENCY_BUCKETS_S
        self._requests = Counter(
            "gram_requests",
            "Requests for solutions by how they ended.",
            ("model", "class", "outcome"),
            registry=self.registry,
        )
        self._rejected = Counter(
            "gram_rejected",
            "Requests that were not accepted, by problem code.",
            ("reason",),
            registry=self.registry,
        )
        self._duration = self._histogram("request_duration", "Whole request, accepted ones only.")
        self._first = self._histogram("time_to_first_solution", "Acceptance to first solution.")
        self._queue_wait = self._histogram("queue_wait", "Acceptance to the first step.")
        self._engine = self._histogram("engine_duration", "First step to the end of the job.")
        self._sampled = Counter(
            "gram_sampled_trajectories",
            "Trajectories from an empty board that ended, by whether their board was valid.",
            ("puzzle", "result"),
            registry=self.registry,
        )
        self._boards = Counter(
            "gram_boards", "Made-up boards returned.", ("puzzle",), registry=self.registry
        )
        self._gauges = _Gauges(self.registry)
        self._jobs = JobCounts()
        self.registry.register(self._jobs)
        ProcessCollector(registry=self.registry)
        build = self._gauges.add("build_info", "Version of the server.", ("version",))
        build.labels(version=version).set(1)

    def watch_worker(self, pid: Callable[[], int]) -> None:
        """Show what the worker process beside this one takes, too."""
        ProcessCollector(namespace="gram_worker", pid=pid, registry=self.registry)

    def count_request(self, outcome: Outcome, *, model: str = "", priority: int = 1) -> None:
        """Count a request that ended; model is empty when none was found for it."""
        labels = {"model": model, "class": PRIORITY_CLASSES[priority], "outcome": outcome}
        self._requests.labels(**labels).inc()

    def count_rejected(self, reason: str) -> None:
        """Count a request that was not accepted, by the code of its problem."""
        self._rejected.labels(reason=reason).inc()

    def observe_request(self, duration_s: float, *, model: str) -> None:
        """Measure an accepted request as a whole."""
        self._duration.labels(model=model).observe(duration_s)

    def observe_job(
        self, *, model: str, queue_s: float, engine_s: float, first_solution_s: float | None
    ) -> None:
        """Measure the parts of a job that a worker finished."""
        self._queue_wait.labels(model=model).observe(queue_s)
        self._engine.labels(model=model).observe(engine_s)
        if first_solution_s is not None:
            self._first.labels(model=model).observe(first_solution_s)

    def observe_boards(
        self, *, puzzle: str, num_boards: int, num_valid: int, num_trajectories: int
    ) -> None:
        """Take note of a job that made up boards."""
        self._sampled.labels(puzzle=puzzle, result="valid").inc(num_valid)
        self._sampled.labels(puzzle=puzzle, result="invalid").inc(num_trajectories - num_valid)
        self._boards.labels(puzzle=puzzle).inc(num_boards)

    def expose(self, state: ServiceGauges) -> bytes:
        """Return the exposition text, gauges as the state says."""
        self._gauges.show(state)
        self._jobs.follow(state.jobs)
        return generate_latest(self.registry)

    def _histogram(self, name: str, help_text: str) -> Histogram:
        return Histogram(
            f"gram_{name}_seconds",
            help_text,
            ("model",),
            buckets=self._buckets,
            registry=self.registry,
        )


class _Gauges:
    """The gauges, and counters that are kept elsewhere."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        by_class = ("class",)
        self._ready = self.add("ready", "1 when a worker is ready and nothing drains.")
        self._draining = self.add("draining", "1 once the server was told to stop.")
        self._inflight = self.add("inflight_requests", "Accepted requests without an answer.")
        self._jobs = self.add("queue_jobs", "Jobs no worker has claimed.", by_class)
        self._trajectories = self.add("queue_trajectories", "Their widths, summed.", by_class)
        self._age = self.add("queue_oldest_age_seconds", "Age of the oldest of them.", by_class)
        self._running = self.add("running_jobs", "Jobs a worker holds.")
        self._reserved = self.add(
            "reserved_trajectories", "Widths of all unfinished jobs, which the bound limits."
        )
        self._backlog = self.add(
            "backlog_seconds",
            "Time that the unfinished jobs of a model will take; 0 while none has to wait.",
            ("model",),
        )
        self._model = self.add("model_info", "Models loaded.", ("model", "task", "fingerprint"))
        self._restarts = _Total("engine_restarts", "Times the worker was started again.", registry)
        self._dead = _Total(
            "dead_letter", "Jobs that failed as they cost too many workers.", registry
        )
        self._finished = self.add("finished_jobs", "Ended jobs that are remembered.")
        self._finished_bytes = self.add("finished_bytes", "What they take, about.")
        self._forgotten_early = _Total(
            "jobs_forgotten_early",
            "Ended jobs that were forgotten before their time, as there were too many.",
            registry,
        )
        self._errors = _Total(
            "redis_errors", "Calls of this process to Redis that failed.", registry, ("kind",)
        )
        self._redelivered = _Total(
            "queue_redelivered", "Times a job was queued again as its worker was lost.", registry
        )

    def add(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(f"gram_{name}", help_text, labels, registry=self._registry)

    def show(self, state: ServiceGauges) -> None:
        self._ready.set(state.is_ready)
        self._draining.set(state.is_draining)
        self._inflight.set(state.inflight_requests)
        self._running.set(state.num_running)
        self._reserved.set(state.reserved_trajectories)
        for name, waiting in zip(PRIORITY_CLASSES, state.classes, strict=True):
            self._jobs.labels(name).set(waiting.num_jobs)
            self._trajectories.labels(name).set(waiting.num_trajectories)
            self._age.labels(name).set(waiting.oldest_age_s)
        for name, expected_s in state.backlog_s.items():
            self._backlog.labels(name).set(expected_s)
        self._model.clear()
        for model in state.models:
            self._model.labels(model.name, model.task, model.fingerprint).set(1)
        self._restarts.follow(state.engine_restarts)
        self._redelivered.follow(state.redelivered)
        self._dead.follow(state.dead_letters)
        self._finished.set(state.finished_jobs)
        self._finished_bytes.set(state.finished_bytes)
        self._forgotten_early.follow(state.forgotten_early)
        for kind, total in state.store_errors.items():
            self._errors.follow(total, kind)


class _Total:
    """A counter that follows a total which is kept elsewhere and never falls."""

    def __init__(
        self, name: str, help_text: str, registry: CollectorRegistry, labels: Sequence[str] = ()
    ) -> None:
        self._counter = Counter(f"gram_{name}", help_text, labels, registry=registry)
        self._seen: dict[tuple[str, ...], int] = {}

    def follow(self, total: int, *labels: str) -> None:
        seen = self._seen.get(labels, 0)
        counter = self._counter.labels(*labels) if labels else self._counter
        counter.inc(max(total - seen, 0))
        self._seen[labels] = max(total, seen)
