"""An engine on a scripted runner: rows remember who they are, so that a mixed-up row shows."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from gram_server.engine import Engine, EngineJob, Finished, FoundSolution, StepReport
from gram_server.engine.slots import BatchUpdate, SlotAssignment
from gram_server.metrics.engine import EngineMetrics

WRONG = 1


@dataclass(frozen=True, kw_only=True)
class Scripted:
    """What a trajectory does: the answer it finds (None: none) and when."""

    answer: int | None = None
    step: int = 1
    later: Mapping[int, int] = field(default_factory=dict)
    """Answers that replace it from a step on."""
    halts: int | None = None
    breaks: int | None = None
    num_violations: int = 3
    is_false_alarm: bool = False

    def answer_at(self, step: int) -> int:
        if self.answer is None or step < self.step:
            return WRONG
        return next(
            (self.later[at] for at in sorted(self.later, reverse=True) if at <= step), self.answer
        )


FAILS = Scripted()
"""Finds nothing at any step."""
Script = Callable[[int, int], Scripted]
"""(seed, trajectory) -> what that trajectory does."""
Plan = Scripted | Mapping[int, Scripted] | Script
"""What all trajectories do; or some by their number, where the others find nothing; or a script."""


@dataclass(frozen=True)
class Row:
    seed: int
    trajectory: int
    steps: int = 0


@dataclass
class FakeRunner:
    script: Script
    num_slots: int = 4
    num_parking: int = 4
    rows_are_free: bool = True
    pipeline_depth: int = 0
    rows: list[Row | None] = field(default_factory=list)
    num_reads: int = 0
    change: Callable[[StepReport], StepReport] = lambda report: report
    in_flight: deque[StepReport] = field(default_factory=deque)
    max_burst: int = 1
    """Steps that it takes at once, where the engine lets it."""
    last_facts: Any = ()

    def __post_init__(self) -> None:
        self.rows = [None] * (self.num_slots + self.num_parking)

    def update_rows(self, update: BatchUpdate) -> None:
        self.last_facts = ()
        targets = [move.target for move in update.moves]
        targets += [start.row for start in update.starts]
        assert len(set(targets)) == len(targets), "two trajectories in one row"
        sources = [self.rows[move.source] for move in update.moves]
        for move, row in zip(update.moves, sources, strict=True):
            assert row is not None, "an empty row was moved"
            self.rows[move.target] = row
        for start in update.starts:
            job = start.trajectory.job
            self.rows[start.row] = Row(job.seed, start.trajectory.index)

    def assert_rows_hold(self, assignments: Iterable[SlotAssignment]) -> None:
        """Check that every trajectory with a slot has its own state in its row."""
        for place, trajectory in assignments:
            row = self.rows[place]
            assert row is not None
            assert (row.seed, row.trajectory) == (trajectory.job.seed, trajectory.index)
            assert trajectory.steps <= row.steps <= trajectory.steps + self.pipeline_depth

    def step(self, num_live: int, max_steps: int = 1) -> None:
        assert 0 < num_live <= self.num_slots
        assert len(self.in_flight) <= self.pipeline_depth, "a step was never read"
        for count in range(1, self.max_burst + 1):
            for place in range(num_live):
                row = self.rows[place]
                assert row is not None
                self.rows[place] = replace(row, steps=row.steps + 1)
            report, before = self._report(num_live), self.last_facts[:num_live]
            self.last_facts = report.facts
            is_known = len(before) == num_live and np.all(before == report.facts, axis=1)
            if count >= max_steps or np.any(report.marks() & ~np.asarray(is_known)):
                break
        self.in_flight.append(replace(report, num_steps=count))

    def read(self) -> StepReport:
        self.num_reads += 1
        return self.change(self.in_flight.popleft())

    def _report(self, num_live: int) -> StepReport:
        pairs = [
            (row.steps, self.script(row.seed, row.trajectory))
            for row in self.rows[:num_live]
            if row is not None
        ]
        solved = [each.answer is not None and steps >= each.step for steps, each in pairs]
        alarms = [each.is_false_alarm and steps >= each.step for steps, each in pairs]
        violations = [each.num_violations for _, each in pairs]
        columns = [
            np.array(solved) | np.array(alarms),
            [each.halts is not None and steps >= each.halts for steps, each in pairs],
            [each.breaks is None or steps < each.breaks for steps, each in pairs],
            np.where(solved, 0, violations),
            np.full(len(pairs), 0.5, np.float32).view(np.int32),
            [each.answer_at(steps) for steps, each in pairs],
        ]
        facts = np.stack([np.asarray(column, np.int32) for column in columns], axis=1)
        return StepReport(facts=facts, num_rows=self.num_slots)


def plain_job(name: str = "a", **options: Any) -> EngineJob:
    """Return a job of one cell, which every answer but WRONG solves."""
    fields: dict[str, Any] = {
        "id": name,
        "tokens": np.ones(1, np.uint8),
        "width": 1,
        "depth": 8,
        "seed": 0,
        "view": lambda trajectory: None,
        "check": lambda tokens: bool(tokens[0] != WRONG),
        "canonical": lambda tokens: tokens.tobytes(),
    }
    return EngineJob(**{**fields, **options})


@dataclass
class Harness:
    """An engine on a scripted runner, with a clock that counts ticks."""

    engine: Engine
    runner: FakeRunner
    registry: CollectorRegistry
    now_s: float = 0.0
    found: list[FoundSolution] = field(default_factory=list)
    finished: dict[str, Finished] = field(default_factory=dict)
    finished_s: dict[str, float] = field(default_factory=dict)

    def submit(self, name: str, **options: Any) -> None:
        self.engine.submit(plain_job(name, **options), self.now_s)

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.now_s += 1.0
            for event in self.engine.tick(self.now_s):
                if isinstance(event, Finished):
                    assert event.job_id not in self.finished, "a job ended twice"
                    self.finished[event.job_id] = event
                    self.finished_s[event.job_id] = self.now_s
                else:
                    assert isinstance(event, FoundSolution)
                    assert event.job_id not in self.finished, "a solution after the end"
                    self.found.append(event)
            self.runner.assert_rows_hold(self.engine._slots.live())

    def run(self, limit: int = 5000) -> None:
        for _ in range(limit):
            if not self.engine.has_work:
                return
            self.tick()
        raise AssertionError("the engine never got done")

    def metric(self, name: str, **labels: str) -> float:
        value = self.registry.get_sample_value(name, {"model": "test", **labels})
        assert value is not None, name
        return value


def make_harness(
    plan: Plan = FAILS,
    *,
    ageing_s: float = 1e9,
    num_slots: int = 4,
    num_parking: int = 4,
    rows_are_free: bool = True,
    pipeline_depth: int = 0,
    max_burst: int = 1,
) -> Harness:
    """Return an engine on a runner that does what a plan says."""

    def script(seed: int, trajectory: int) -> Scripted:
        if isinstance(plan, Scripted):
            return plan
        if isinstance(plan, Mapping):
            return plan.get(trajectory, FAILS)
        return plan(seed, trajectory)

    runner = FakeRunner(
        script, num_slots, num_parking, rows_are_free, pipeline_depth, max_burst=max_burst
    )
    registry = CollectorRegistry()
    metrics = EngineMetrics(registry).of("test")
    return Harness(Engine(runner, metrics=metrics, ageing_s=ageing_s), runner, registry)


def run_alone(
    plan: Plan = FAILS,
    *,
    num_slots: int = 4,
    num_parking: int = 4,
    rows_are_free: bool = True,
    **job: Any,
) -> tuple[Harness, Finished]:
    """Run one job, named a, to its end."""
    harness = make_harness(
        plan, num_slots=num_slots, num_parking=num_parking, rows_are_free=rows_are_free
    )
    harness.submit("a", **job)
    harness.run()
    return harness, harness.finished["a"]


def finds(end: Finished) -> list[tuple[int, int]]:
    """Return trajectory and step of each solution."""
    return [(found.trajectory, found.step) for found in end.solutions]


def votes(end: Finished) -> list[tuple[int, int]]:
    """Return token and votes of each solution."""
    return [(int(found.tokens[0]), found.votes) for found in end.solutions]
