"""An engine whose runner lags: a step is started before the results of the one before are read."""

from typing import Any

import pytest


def test_the_host_reads_a_step_after_the_next_was_started(make_bench: Any, fate: Any) -> None:
    bench = make_bench(lambda seed, trajectory: fate(answer=2, step=3), lag=1)
    bench.submit("a")
    bench.tick(3)
    assert (len(bench.runner.under_way), bench.runner.num_reads) == (1, 2)
    assert not bench.finished
    bench.tick()
    end = bench.finished["a"]
    assert [(found.trajectory, found.step) for found in end.solutions] == [(0, 3)]
    assert (end.supervision_steps, end.wasted_steps) == (3, 0)
    # The fourth step was under way; it was read, so that the next job's first is not taken for it.
    assert not bench.runner.under_way
    assert not bench.engine.has_work
    assert bench.metric("gram_supervision_steps_total") == 3
    assert bench.metric("gram_wasted_slot_steps_total", reason="late") == 1


def test_a_row_is_given_away_while_its_old_trajectory_takes_a_step_too_many(
    make_bench: Any, fate: Any
) -> None:
    bench = make_bench(
        lambda seed, trajectory: fate(answer=2 + seed, step=1 + seed), num_slots=1, lag=1
    )
    bench.submit("a", seed=0)
    bench.submit("b", seed=1)
    bench.run()
    for name, answer in (("a", 2), ("b", 3)):
        (found,) = bench.finished[name].solutions
        assert (found.tokens.tolist(), found.step) == ([answer], answer - 1)
        assert bench.finished[name].supervision_steps == answer - 1


def test_a_trajectory_that_ended_while_it_paused_gives_its_spare_row_back(
    make_bench: Any, fate: Any
) -> None:
    bench = make_bench(
        lambda seed, trajectory: fate(answer=2, step=3), num_slots=2, num_spares=1, lag=1
    )
    bench.submit("wide", width=2, seed=0)
    bench.tick(3)
    # Its third step is under way when one of the two slots goes to another job.
    bench.submit("other", priority=1, seed=1)
    bench.tick()
    assert bench.finished["wide"].valid_trajectories == 2
    assert bench.finished["wide"].supervision_steps == 6
    bench.run()
    assert bench.finished["other"].supervision_steps == 3
    assert bench.engine._slots.has_spare
    assert (bench.engine.live, bench.engine.waiting_trajectories) == (0, 0)


def test_a_trajectory_that_starts_over_forgets_the_step_under_way(
    make_bench: Any, fate: Any
) -> None:
    bench = make_bench(
        lambda seed, trajectory: fate(answer=2, step=3), num_slots=2, num_spares=0, lag=1
    )
    bench.submit("wide", width=2, seed=0)
    bench.tick(3)
    bench.submit("other", seed=1)
    bench.run()
    wide = bench.finished["wide"]
    assert wide.valid_trajectories == 2
    # Two of its steps had been seen when the trajectory had to start over.
    assert (wide.supervision_steps, wide.wasted_steps) == (8, 2)
    assert bench.metric("gram_wasted_slot_steps_total", reason="preempted") == 2


@pytest.mark.parametrize("end", ["abort", "deadline"])
def test_a_job_that_is_cut_short_keeps_what_was_seen_last(
    make_bench: Any, fate: Any, end: str
) -> None:
    bench = make_bench(
        lambda seed, trajectory: fate(num_violations=9 - trajectory), num_slots=3, lag=1
    )
    bench.submit("a", width=3, deadline_s=4.5 if end == "deadline" else None, depth=50)
    bench.tick(4)
    if end == "abort":
        bench.engine.abort("a")
    bench.tick()
    finished = bench.finished["a"]
    assert finished.outcome == ("cancelled" if end == "abort" else "expired")
    assert finished.best_attempt is not None
    assert finished.supervision_steps == finished.wasted_steps == 9
    assert not bench.runner.under_way
