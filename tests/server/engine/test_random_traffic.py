"""Jobs of all kinds at random moments: each ends once, with the same results whatever the load."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.server.engine.harness import Harness, Scripted, make_harness


def _random_harness(rng: np.random.Generator, pipeline_depth: int) -> Harness:
    table = rng.integers(1, 12, size=(40, 40))

    def script(seed: int, trajectory: int) -> Scripted:
        step = int(table[seed, trajectory])
        return Scripted(
            answer=None if step > 9 else step, step=step, breaks=2 if step == 11 else None
        )

    return make_harness(
        script,
        num_slots=int(rng.integers(1, 9)),
        num_parking=int(rng.integers(0, 9)),
        ageing_s=float(rng.integers(2, 40)),
        rows_are_free=bool(rng.integers(0, 2)),
        pipeline_depth=pipeline_depth,
    )


def _submit_at_random(harness: Harness, number: int, rng: np.random.Generator) -> None:
    harness.submit(
        f"job {number}",
        width=int(rng.integers(1, 40)),
        seed=number,
        depth=int(rng.integers(1, 40)),
        priority=int(rng.integers(0, 3)),
        max_solutions=[None, 1, 3][rng.integers(0, 3)],
        halt=["verified", "act", "settled", "never"][rng.integers(0, 4)],
        deadline_s=harness.now_s + int(rng.integers(1, 80)) if rng.random() < 0.2 else None,
    )
    harness.tick(int(rng.integers(0, 12)))
    if rng.random() < 0.2:
        harness.engine.abort(f"job {rng.integers(0, number + 1)}")


@pytest.mark.slow
@pytest.mark.parametrize("pipeline_depth", [0, 1])
@pytest.mark.parametrize("seed", range(9))
def test_random_traffic_ends_every_job_once_and_leaks_no_slot(
    seed: int, pipeline_depth: int
) -> None:
    rng = np.random.default_rng(seed)
    harness = _random_harness(rng, pipeline_depth)
    for number in range(25):
        _submit_at_random(harness, number, rng)
    harness.run()
    ends = harness.finished.values()
    assert len(ends) == 25
    for end in ends:
        assert end.valid_trajectories == sum(found.votes for found in end.solutions)
    assert (harness.engine.live, harness.engine.waiting_trajectories) == (0, 0)
    assert harness.metric("gram_slots_alive") == 0
    assert not harness.runner.in_flight
    wasted = {
        reason: harness.metric("gram_wasted_slot_steps_total", reason=reason)
        for reason in ("late", "aborted", "preempted")
    }
    assert (wasted["late"] > 0) is (pipeline_depth > 0)
    assert wasted["aborted"] + wasted["preempted"] == sum(end.wasted_steps for end in ends)
    steps = sum(end.supervision_steps for end in ends)
    assert harness.metric("gram_supervision_steps_total") == steps


@pytest.mark.slow
def test_results_do_not_depend_on_slots_parking_pipeline_or_traffic() -> None:
    rng = np.random.default_rng(11)
    table = rng.integers(1, 14, size=(8, 150))

    def script(seed: int, trajectory: int) -> Scripted:
        step = int(table[seed, trajectory])
        return Scripted(answer=2 + (step * 7 + trajectory) % 5 if step < 10 else None, step=step)

    jobs = [
        {
            "width": int(rng.integers(1, 150)),
            "seed": seed,
            "max_solutions": [None, 1, 2, 4][seed % 4],
            "depth": int(rng.integers(8, 60)),
        }
        for seed in range(8)
    ]

    def outcome(end: Any) -> Any:
        found = [(s.tokens.tolist(), s.votes, s.trajectory, s.step) for s in end.solutions]
        return found, end.valid_trajectories, end.best_attempt

    def alone(job: Any) -> Any:
        harness = make_harness(script, num_slots=64)
        harness.submit("a", **job)
        harness.run()
        return outcome(harness.finished["a"])

    expected = [alone(job) for job in jobs]
    sizes = [(1, 0), (3, 1), (7, 7), (64, 0), (200, 5), (7, 6), (64, 1)]
    for (num_slots, num_parking), pipeline_depth in product(sizes, (0, 1)):
        harness = make_harness(
            script,
            num_slots=num_slots,
            num_parking=num_parking,
            rows_are_free=num_parking % 2 == 0,
            pipeline_depth=pipeline_depth,
        )
        for number in rng.permutation(8):
            harness.submit(str(number), **jobs[number])
            harness.tick(int(rng.integers(0, 4)))
        harness.run()
        assert [outcome(harness.finished[str(number)]) for number in range(8)] == expected
