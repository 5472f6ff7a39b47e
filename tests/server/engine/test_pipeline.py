"""An engine whose runner lags: a step is started before the results of the one before are read."""

import pytest

from tests.server.engine.harness import Scripted, make_harness


def test_the_host_reads_a_step_after_the_next_was_started() -> None:
    harness = make_harness(Scripted(answer=2, step=3), pipeline_depth=1)
    harness.submit("a")
    harness.tick(3)
    assert (len(harness.runner.in_flight), harness.runner.num_reads) == (1, 2)
    assert not harness.finished
    harness.tick()
    end = harness.finished["a"]
    assert [(found.trajectory, found.step) for found in end.solutions] == [(0, 3)]
    assert (end.supervision_steps, end.wasted_steps) == (3, 0)
    # The fourth step was under way; it was read, so that the next job's first is not taken for it.
    assert not harness.runner.in_flight
    assert not harness.engine.has_work
    assert harness.metric("gram_supervision_steps_total") == 3
    assert harness.metric("gram_wasted_slot_steps_total", reason="late") == 1


def test_a_row_is_given_away_while_its_old_trajectory_takes_a_step_too_many() -> None:
    harness = make_harness(
        lambda seed, trajectory: Scripted(answer=2 + seed, step=1 + seed),
        num_slots=1,
        pipeline_depth=1,
    )
    harness.submit("a", seed=0)
    harness.submit("b", seed=1)
    harness.run()
    for name, answer in (("a", 2), ("b", 3)):
        (found,) = harness.finished[name].solutions
        assert (found.tokens.tolist(), found.step) == ([answer], answer - 1)
        assert harness.finished[name].supervision_steps == answer - 1


def test_a_trajectory_that_ended_while_it_paused_gives_its_spare_row_back() -> None:
    harness = make_harness(
        Scripted(answer=2, step=3),
        num_slots=2,
        num_parking=1,
        pipeline_depth=1,
    )
    harness.submit("wide", width=2, seed=0)
    harness.tick(3)
    # Its third step is under way when one of the two slots goes to another job.
    harness.submit("other", priority=1, seed=1)
    harness.tick()
    assert harness.finished["wide"].valid_trajectories == 2
    assert harness.finished["wide"].supervision_steps == 6
    harness.run()
    assert harness.finished["other"].supervision_steps == 3
    assert harness.engine._slots.has_parking
    assert (harness.engine.live, harness.engine.waiting_trajectories) == (0, 0)


def test_a_trajectory_that_starts_over_forgets_the_step_in_flight() -> None:
    harness = make_harness(
        Scripted(answer=2, step=3),
        num_slots=2,
        num_parking=0,
        pipeline_depth=1,
    )
    harness.submit("wide", width=2, seed=0)
    harness.tick(3)
    harness.submit("other", seed=1)
    harness.run()
    wide = harness.finished["wide"]
    assert wide.valid_trajectories == 2
    # Two of its steps had been seen when the trajectory had to start over.
    assert (wide.supervision_steps, wide.wasted_steps) == (8, 2)
    assert harness.metric("gram_wasted_slot_steps_total", reason="preempted") == 2


@pytest.mark.parametrize("pipeline_depth", [0, 1])
@pytest.mark.parametrize("end", ["abort", "deadline"])
def test_a_job_that_is_cut_short_keeps_what_was_seen_last(end: str, pipeline_depth: int) -> None:
    harness = make_harness(
        lambda seed, trajectory: Scripted(num_violations=9 - trajectory),
        num_slots=3,
        pipeline_depth=pipeline_depth,
    )
    harness.submit("a", width=3, deadline_s=4.5 if end == "deadline" else None, depth=50)
    harness.tick(4)
    if end == "abort":
        harness.engine.abort("a")
    harness.tick()
    finished = harness.finished["a"]
    assert finished.outcome == ("cancelled" if end == "abort" else "expired")
    assert finished.best_attempt is not None
    assert finished.supervision_steps == finished.wasted_steps == 3 * (4 - pipeline_depth)
    assert not harness.runner.in_flight
