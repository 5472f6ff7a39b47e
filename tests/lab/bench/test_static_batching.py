"""What the statically batching contender computes, tick by tick, on a small model."""

from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from prometheus_client import CollectorRegistry

from gram_core import puzzles
from gram_core.catalog import find_model
from gram_core.checkpoint import load_model
from gram_lab.bench.engine import job_of
from gram_lab.bench.static_batching import StaticEngine
from gram_server.engine import Finished, Runner, StepReport
from gram_server.engine.model_runner import ModelRunner
from gram_server.metrics.engine import EngineMetrics

WIDTH = 4


@dataclass
class Tape:
    """Notes how many rows each step was asked for; none finds or halts before its depth."""

    runner: ModelRunner
    steps: list[int] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.runner, name)

    def step(self, num_live: int, max_steps: int = 1) -> None:
        self.steps.append(num_live)
        self.runner.step(num_live)

    def read(self) -> StepReport:
        report = self.runner.read()
        report.is_valid[:] = report.wants_halt[:] = False
        return report


def test_a_batch_starts_when_the_one_before_has_ended() -> None:
    loaded = load_model(find_model("sudoku-4x4"))
    tape = Tape(ModelRunner(loaded, num_slots=3 * WIDTH, backend="model"))
    metrics = EngineMetrics(CollectorRegistry()).of("x")
    engine = StaticEngine(cast("Runner", tape), metrics=metrics)
    family = puzzles.family("sudoku")
    rng = np.random.default_rng(0)
    ends: dict[str, int] = {}

    def submit(number: int) -> None:
        instance = family.generate(loaded.task, rng, num_solutions=None)
        job = job_of(loaded, instance, width=WIDTH, depth=2 + number)
        engine.submit(replace(job, id=str(number), seed=number), 0.0)

    for number in range(3):
        submit(number)
    while engine.has_work:
        if len(tape.steps) == 1:
            submit(3)
            submit(4)
        for event in engine.tick(0.0):
            if isinstance(event, Finished):
                ends[event.job_id] = len(tape.steps)
    # Jobs 0, 1 and 2 are the first batch, for its 4 steps; 3 and 4 came later and are the next.
    assert len(tape.steps) == 4 + 6
    assert tape.steps == [3 * WIDTH] * 4 + [2 * WIDTH] * 6
    # What ends is told at once, not at the end of its batch.
    assert ends["0"] <= 2
    assert ends["3"] <= 4 + 5
    assert ends["4"] == 4 + 6
