"""A scripted runner: rows remember who they are, so a wrong copy or a mixed-up row shows."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from gram_server.engine import Engine, EngineJob, Finished, FoundSolution, StepReport
from gram_server.engine.slots import Arrangement, Placement
from gram_server.metrics.engine import EngineMetrics

WRONG = 1


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What a trajectory does: the answer it finds (None: none) and when."""

    answer: int | None = None
    step: int = 1
    halts: int | None = None
    breaks: int | None = None
    num_violations: int = 3
    is_false_alarm: bool = False


Script = Callable[[int, int], Fate]
"""(seed, trajectory) -> fate."""


@dataclass(frozen=True)
class Row:
    seed: int
    trajectory: int
    steps: int = 0


@dataclass
class FakeRunner:
    script: Script
    num_slots: int = 4
    num_spares: int = 4
    runs_ahead: bool = True
    lag: int = 0
    rows: list[Row | None] = field(default_factory=list)
    num_reads: int = 0
    under_way: deque[StepReport] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.rows = [None] * (self.num_slots + self.num_spares)

    def arrange(self, arrangement: Arrangement) -> None:
        targets = [move.target for move in arrangement.moves]
        targets += [start.row for start in arrangement.starts]
        assert len(set(targets)) == len(targets), "two trajectories in one row"
        sources = [self.rows[move.source] for move in arrangement.moves]
        for move, row in zip(arrangement.moves, sources, strict=True):
            assert row is not None, "an empty row was moved"
            self.rows[move.target] = row
        for start in arrangement.starts:
            job = start.trajectory.job
            self.rows[start.row] = Row(job.seed, start.trajectory.index)

    def assert_rows_hold(self, placements: Iterable[Placement]) -> None:
        """Check that every trajectory with a slot has its own state in its row."""
        for place, trajectory in placements:
            row = self.rows[place]
            assert row is not None
            assert (row.seed, row.trajectory) == (trajectory.job.seed, trajectory.index)
            assert trajectory.steps <= row.steps <= trajectory.steps + self.lag

    def step(self, num_live: int) -> None:
        assert 0 < num_live <= self.num_slots
        assert len(self.under_way) <= self.lag, "a step was never read"
        for place in range(num_live):
            row = self.rows[place]
            assert row is not None
            self.rows[place] = replace(row, steps=row.steps + 1)
        self.under_way.append(self._report(num_live))

    def read(self) -> StepReport:
        self.num_reads += 1
        return self.under_way.popleft()

    def _report(self, num_live: int) -> StepReport:
        rows = [row for row in self.rows[:num_live] if row is not None]
        fates = [self.script(row.seed, row.trajectory) for row in rows]
        solved = [
            fate.answer is not None and row.steps >= fate.step
            for row, fate in zip(rows, fates, strict=True)
        ]
        return StepReport(
            answers=np.array(
                [[fate.answer if ok else WRONG] for ok, fate in zip(solved, fates, strict=True)],
                dtype=np.uint8,
            ),
            is_valid=[
                ok or (fate.is_false_alarm and row.steps >= fate.step)
                for row, ok, fate in zip(rows, solved, fates, strict=True)
            ],
            wants_halt=[
                fate.halts is not None and row.steps >= fate.halts
                for row, fate in zip(rows, fates, strict=True)
            ],
            is_finite=[
                fate.breaks is None or row.steps < fate.breaks
                for row, fate in zip(rows, fates, strict=True)
            ],
            value=[0.5] * len(rows),
            num_violations=[
                0 if ok else fate.num_violations for ok, fate in zip(solved, fates, strict=True)
            ],
            num_rows=self.num_slots,
            duration_s=0.0,
        )


@dataclass
class Bench:
    """An engine on a scripted runner, with a clock that counts ticks."""

    engine: Engine
    runner: FakeRunner
    registry: CollectorRegistry
    now_s: float = 0.0
    found: list[FoundSolution] = field(default_factory=list)
    finished: dict[str, Finished] = field(default_factory=dict)
    finished_s: dict[str, float] = field(default_factory=dict)

    def submit(self, name: str, **options: Any) -> None:
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
        self.engine.submit(EngineJob(**{**fields, **options}), self.now_s)

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
            self.runner.assert_rows_hold(self.engine.placements())

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


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench() -> MakeBench:
    def make(
        script: Script,
        *,
        ageing_s: float = 1e9,
        num_slots: int = 4,
        num_spares: int = 4,
        runs_ahead: bool = True,
        lag: int = 0,
    ) -> Bench:
        runner = FakeRunner(script, num_slots, num_spares, runs_ahead, lag)
        registry = CollectorRegistry()
        metrics = EngineMetrics(registry).of("test")
        return Bench(Engine(runner, metrics=metrics, ageing_s=ageing_s), runner, registry)

    return make


@pytest.fixture
def fate() -> type[Fate]:
    return Fate
