"""Several steps in one tick: only how many ticks a job takes may depend on it."""

from typing import Any

import numpy as np
import pytest

from gram_server.engine import Finished
from tests.server.engine.harness import Harness, Scripted, make_harness, plain_job


def summary(end: Finished) -> tuple[Any, ...]:
    found = [(s.tokens.tolist(), s.votes, s.value, s.trajectory, s.step) for s in end.solutions]
    best = None if end.best_attempt is None else end.best_attempt.tolist()
    counts = (end.valid_trajectories, end.ended_trajectories, end.verify_mismatches)
    return (end.outcome, found, best, *counts, end.supervision_steps, end.wasted_steps)


def random_job(rng: np.random.Generator) -> tuple[dict[int, Scripted], dict[str, Any]]:
    """Return what each trajectory does, and the options of a job."""

    def some(chance: float) -> int | None:
        return int(rng.integers(1, 40)) if rng.random() < chance else None

    plan = {
        index: Scripted(
            answer=None if rng.random() < 0.3 else int(rng.integers(2, 5)),
            step=int(rng.integers(1, 30)),
            later={int(rng.integers(2, 40)): int(rng.integers(2, 5))},
            halts=some(0.3),
            breaks=some(0.1),
            num_violations=int(rng.integers(1, 4)),
        )
        for index in range(12)
    }
    options = {
        "width": int(rng.integers(1, 13)),
        "depth": int(rng.integers(1, 40)),
        "max_solutions": [None, 1, 2][rng.integers(0, 3)],
        "halt": ["verified", "act", "settled", "never"][rng.integers(0, 4)],
        "order": ["step", "step", "trajectory"][rng.integers(0, 3)],
    }
    return plan, options


def run(plan: dict[int, Scripted], options: dict[str, Any], **engine: Any) -> Harness:
    harness = make_harness(plan, **engine)
    harness.submit("a", **options)
    harness.run()
    return harness


@pytest.mark.parametrize("seed", range(40))
def test_a_job_ends_as_with_one_step_a_tick(seed: int) -> None:
    rng = np.random.default_rng(seed)
    engine = {
        "num_slots": int(rng.integers(1, 13)),
        "num_parking": int(rng.integers(0, 13)),
        "rows_are_free": bool(rng.integers(0, 2)),
    }
    plan, options = random_job(rng)
    one_by_one, at_once = (run(plan, options, **engine, max_burst=most) for most in (1, 64))
    assert summary(at_once.finished["a"]) == summary(one_by_one.finished["a"])
    steps, num_ticks = "gram_supervision_steps_total", at_once.runner.num_reads
    assert at_once.metric(steps) == one_by_one.metric(steps)
    assert at_once.metric("gram_step_duration_seconds_count") == one_by_one.runner.num_reads
    assert num_ticks <= one_by_one.runner.num_reads


def test_a_tick_takes_all_steps_in_which_nothing_happens() -> None:
    harness = make_harness(Scripted(answer=2, step=20), max_burst=64)
    harness.submit("a", depth=50, halt="never")
    harness.tick()
    assert [found.step for found in harness.found] == [20]
    harness.tick()
    assert harness.finished["a"].supervision_steps == 50
    assert harness.runner.num_reads == 2


@pytest.mark.parametrize(
    "options", [{"num_shown": 1}, {"halt": "settled"}], ids=["shown", "settled"]
)
def test_what_is_looked_at_in_every_step_is_not_skipped(options: dict[str, Any]) -> None:
    harness = make_harness(max_burst=64)
    harness.engine.submit(plain_job("a", depth=4, **options), 0.0)
    harness.engine.tick(1.0)
    assert harness.runner.rows[0] is not None
    assert harness.runner.rows[0].steps == 1


def test_a_runner_that_lags_takes_one_step_at_a_time() -> None:
    harness = make_harness(Scripted(answer=2, step=20), max_burst=64, pipeline_depth=1)
    harness.submit("a", depth=50)
    harness.tick(3)
    assert harness.runner.num_reads == 2
    assert harness.metric("gram_supervision_steps_total") == 2
