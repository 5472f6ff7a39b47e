"""Jobs of all kinds at random moments: each ends once, with the same results whatever the load."""

from itertools import product
from typing import Any

import numpy as np
import pytest


@pytest.mark.parametrize("lag", [0, 1])
def test_random_traffic_ends_every_job_once_and_leaks_no_slot(
    make_bench: Any, fate: Any, lag: int
) -> None:
    rng = np.random.default_rng(7)
    for _ in range(12):
        table = rng.integers(1, 12, size=(40, 40))

        def script(seed: int, trajectory: int, table: Any = table) -> Any:
            step = int(table[seed, trajectory])
            return fate(
                answer=None if step > 9 else step, step=step, breaks=2 if step == 11 else None
            )

        bench = make_bench(
            script,
            num_slots=int(rng.integers(1, 9)),
            num_spares=int(rng.integers(0, 9)),
            ageing_s=float(rng.integers(2, 40)),
            runs_ahead=bool(rng.integers(0, 2)),
            lag=lag,
        )
        for number in range(25):
            bench.submit(
                f"job {number}",
                width=int(rng.integers(1, 40)),
                seed=number,
                depth=int(rng.integers(1, 40)),
                priority=int(rng.integers(0, 3)),
                max_solutions=[None, 1, 3][rng.integers(0, 3)],
                halt=["verified", "act", "never"][rng.integers(0, 3)],
                deadline_s=bench.now_s + int(rng.integers(1, 80)) if rng.random() < 0.2 else None,
            )
            bench.tick(int(rng.integers(0, 12)))
            if rng.random() < 0.2:
                bench.engine.abort(f"job {rng.integers(0, number + 1)}")
        bench.run()
        assert len(bench.finished) == 25
        for end in bench.finished.values():
            assert end.valid_trajectories == sum(found.votes for found in end.solutions)
        assert (bench.engine.live, bench.engine.waiting_trajectories) == (0, 0)
        assert bench.metric("gram_slots_alive") == 0
        assert not bench.runner.under_way
        late = bench.metric("gram_wasted_slot_steps_total", reason="late")
        assert (late > 0) is (lag > 0)
        steps = sum(end.supervision_steps for end in bench.finished.values())
        assert bench.metric("gram_supervision_steps_total") == steps
        wasted = sum(end.wasted_steps for end in bench.finished.values())
        assert wasted == sum(
            bench.metric("gram_wasted_slot_steps_total", reason=reason)
            for reason in ("aborted", "preempted")
        )


def test_results_do_not_depend_on_slots_spares_lag_or_traffic(make_bench: Any, fate: Any) -> None:
    rng = np.random.default_rng(11)
    table = rng.integers(1, 14, size=(8, 150))

    def script(seed: int, trajectory: int) -> Any:
        step = int(table[seed, trajectory])
        return fate(answer=2 + (step * 7 + trajectory) % 5 if step < 10 else None, step=step)

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
        bench = make_bench(script, num_slots=64)
        bench.submit("a", **job)
        bench.run()
        return outcome(bench.finished["a"])

    expected = [alone(job) for job in jobs]
    sizes = [(1, 0), (3, 1), (7, 7), (64, 0), (200, 5), (7, 6), (64, 1)]
    for (num_slots, num_spares), lag in product(sizes, (0, 1)):
        bench = make_bench(
            script,
            num_slots=num_slots,
            num_spares=num_spares,
            runs_ahead=num_spares % 2 == 0,
            lag=lag,
        )
        for number in rng.permutation(8):
            bench.submit(str(number), **jobs[number])
            bench.tick(int(rng.integers(0, 4)))
        bench.run()
        assert [outcome(bench.finished[str(number)]) for number in range(8)] == expected
