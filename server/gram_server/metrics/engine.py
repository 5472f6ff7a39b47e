"""Prometheus metrics of the engine, by model.

One ``EngineMetrics`` per registry. Gauges are set from state, never counted up and down.
"""

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

STEP_BUCKETS_S = (*(50e-6 * 1.5**power for power in range(19)), 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""50 us to 100 ms by 1.5, then coarser for big batches on a CPU."""
COUNT_BUCKETS = tuple(float(2**power) for power in range(11))
RATIO_BUCKETS = tuple(tenth / 10 for tenth in range(1, 11))
RESULTS = ("solved", "answered", "halted", "exhausted", "aborted", "failed", "mismatch")
PHASE_BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)


class EngineSeries:
    """The values of one model in a histogram."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, count: int = 1) -> None:
        self.counts[bisect_left(self._bounds, value)] += count
        self.sum += count * value


class EngineHistogram(Collector):
    """A histogram whose values come from one thread, several times a tick.

    That of the library takes locks, and one value at a time: a fifth of the host's time of a tick.
    """

    def __init__(
        self, name: str, text: str, bounds: Sequence[float], *, registry: CollectorRegistry
    ) -> None:
        self._name, self._text, self._bounds = name, text, bounds
        self._series: dict[str, EngineSeries] = {}
        registry.register(self)

    def labels(self, model: str) -> EngineSeries:
        return self._series.setdefault(model, EngineSeries(self._bounds))

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self._name, self._text, labels=["model"])
        bounds = [*map(floatToGoString, self._bounds), "+Inf"]
        for model, series in list(self._series.items()):
            totals = accumulate(series.counts)
            family.add_metric([model], list(zip(bounds, totals, strict=True)), series.sum)
        yield family


class EngineMetrics:
    """The metric families; ``of`` returns those of one model."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.has_foreign_answer = False
        """Whether an answer of any model was hidden."""
        self.supervision_steps = self._counter("supervision_steps", "Steps taken by trajectories")
        self.wasted_slot_steps = self._counter(
            "wasted_slot_steps", "Row steps without use: padding, or a trajectory dropped", "reason"
        )
        self.trajectories = self._counter("trajectories", "Trajectories that ended", "result")
        self.solutions = self._counter("solutions", "Valid answers", "kind")
        self.verify_mismatches = self._counter(
            "verify_mismatch", "Answers the device verifier accepted and the plain checker refused"
        )
        self.foreign_answers = self._counter(
            "foreign_answers", "Answers without the givens of their own job, not shown"
        )
        self.slots_alive = self._gauge("slots_alive", "Slots with a trajectory")
        self.slots_capacity = self._gauge("slots_capacity", "Slots")
        self.last_step = self._gauge(
            "engine_last_step_timestamp_seconds", "Unix time of the last step"
        )
        self.step_duration = self._histogram(
            "step_duration_seconds", "One step of the batch, results on the host", STEP_BUCKETS_S
        )
        self.occupancy = self._histogram(
            "batch_occupancy_ratio", "Live rows of the rows a step computed", RATIO_BUCKETS
        )
        self.steps_per_trajectory = self._histogram(
            "steps_per_trajectory", "Steps a trajectory had taken at its end", COUNT_BUCKETS
        )
        self.trajectories_per_solution = self._histogram(
            "trajectories_per_solution",
            "Started trajectories of a solved job per distinct solution",
            COUNT_BUCKETS,
        )
        name, text = "gram_startup_phase_seconds", "Duration of each phase of the start"
        self.startup_phase = Histogram(
            name, text, ("phase",), buckets=PHASE_BUCKETS_S, registry=registry
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"gram_{name}", text, ("model", *labels), registry=self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"gram_{name}", text, ("model",), registry=self._registry)

    def _histogram(self, name: str, text: str, bounds: Sequence[float]) -> EngineHistogram:
        return EngineHistogram(f"gram_{name}", text, bounds, registry=self._registry)

    def of(self, model: str) -> "ModelMetrics":
        return ModelMetrics(self, model)


class ModelMetrics:
    """What one engine reports; every series exists from the start, at zero."""

    def __init__(self, families: EngineMetrics, model: str) -> None:
        self._families = families
        self._slots: tuple[int, int] | None = None
        self._supervision_steps = families.supervision_steps.labels(model)
        self.wasted = {
            reason: families.wasted_slot_steps.labels(model, reason)
            for reason in ("padding", "late", "aborted", "preempted")
        }
        self._trajectories = {
            result: families.trajectories.labels(model, result) for result in RESULTS
        }
        self.distinct = families.solutions.labels(model, "distinct")
        self.duplicate = families.solutions.labels(model, "duplicate")
        self.verify_mismatches = families.verify_mismatches.labels(model)
        self._foreign_answers = families.foreign_answers.labels(model)
        self._slots_alive = families.slots_alive.labels(model)
        self._slots_capacity = families.slots_capacity.labels(model)
        self._last_step = families.last_step.labels(model)
        self._step_duration = families.step_duration.labels(model)
        self._occupancy = families.occupancy.labels(model)
        self._steps_per_trajectory = families.steps_per_trajectory.labels(model)
        self._trajectories_per_solution = families.trajectories_per_solution.labels(model)

    def set_slots(self, *, live: int, capacity: int) -> None:
        if (live, capacity) != self._slots:
            self._slots = live, capacity
            self._slots_alive.set(live)
            self._slots_capacity.set(capacity)

    def observe_steps(
        self, count: int, *, num_useful: int, num_live: int, num_rows: int, step_s: float
    ) -> None:
        """Record steps of a batch; live rows that were not useful came too late."""
        self._supervision_steps.inc(count * num_useful)
        if num_live > num_useful:
            self.wasted["late"].inc(count * (num_live - num_useful))
        if num_rows > num_live:
            self.wasted["padding"].inc(count * (num_rows - num_live))
        self._occupancy.observe(num_live / num_rows, count)
        self._step_duration.observe(step_s, count)
        self._last_step.set(time.time())

    def count_trajectories(self, result: str, num_steps: int, count: int) -> None:
        self._trajectories[result].inc(count)
        self._steps_per_trajectory.observe(num_steps, count)
        if result == "aborted":
            self.wasted[result].inc(num_steps * count)

    def count_foreign_answer(self) -> bool:
        """Count a hidden answer; return whether it is the first of the process."""
        self._foreign_answers.inc()
        is_first = not self._families.has_foreign_answer
        self._families.has_foreign_answer = True
        return is_first

    def observe_job(self, num_trajectories: int, *, num_solutions: int) -> None:
        if num_solutions:
            self._trajectories_per_solution.observe(num_trajectories / num_solutions)
