"""Jobs of all kinds at random moments: each ends once, and the books balance."""

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
