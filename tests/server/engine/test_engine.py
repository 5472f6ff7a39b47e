from typing import Any

import numpy as np
import pytest

from gram_core.puzzles import Symmetry
from gram_server.engine.job_run import JobRun
from gram_server.engine.trajectory import StepClock, Trajectory
from tests.server.engine.harness import Scripted, finds, make_harness, plain_job, run_alone, votes


def test_a_trajectory_leaves_as_soon_as_its_answer_is_valid() -> None:
    harness, end = run_alone(Scripted(answer=7, step=3))
    assert (end.outcome, end.supervision_steps, harness.now_s) == ("done", 3, 3.0)
    assert (votes(end), finds(end)) == ([(7, 1)], [(0, 3)])


def test_an_unsolved_job_ends_at_its_depth_with_the_least_wrong_answer() -> None:
    plan = {trajectory: Scripted(num_violations=9 - trajectory) for trajectory in range(3)}
    harness, end = run_alone(plan, width=3, depth=5)
    assert (end.outcome, end.solutions, end.supervision_steps) == ("done", (), 15)
    assert end.best_attempt is not None
    assert end.best_attempt.tolist() == [1]
    assert harness.metric("gram_trajectories_total", result="exhausted") == 3


def test_the_least_wrong_answer_is_kept_whatever_trajectory_ends_last() -> None:
    def view(trajectory: int) -> Symmetry:
        # Each trajectory reports the same wrong token through a view of its own.
        values = np.arange(10, dtype=np.uint8)
        values[1], values[trajectory + 2] = trajectory + 2, 1
        return Symmetry(positions=np.arange(1), values=values)

    plan = {index: Scripted(num_violations=number) for index, number in enumerate([4, 2, 2, 8])}
    _, end = run_alone(plan, width=4, depth=2, view=view)
    assert end.best_attempt is not None
    assert end.best_attempt.tolist() == [3]


def test_each_distinct_solution_is_told_once_and_all_votes_are_counted() -> None:
    plan = {index: Scripted(answer=5 + index % 2, step=1 + index) for index in range(7)}
    harness, end = run_alone(plan, width=7)
    assert [event.tokens.tolist() for event in harness.found] == [[5], [6]]
    assert (votes(end), end.valid_trajectories) == ([(5, 4), (6, 3)], 7)
    assert harness.metric("gram_solutions_total", kind="distinct") == 2
    assert harness.metric("gram_solutions_total", kind="duplicate") == 5


def test_siblings_are_dropped_at_once_when_the_job_has_what_it_asked_for() -> None:
    harness = make_harness({0: Scripted(answer=7, step=2)}, num_slots=16)
    harness.submit("a", width=300, max_solutions=1, depth=30)
    harness.tick(2)
    end = harness.finished["a"]
    assert (end.outcome, end.supervision_steps, end.wasted_steps) == ("done", 32, 30)
    assert harness.engine.live == 0
    assert harness.metric("gram_wasted_slot_steps_total", reason="aborted") == 30
    assert [event.trajectory for event in harness.found] == [0]


def test_siblings_only_run_on_while_they_could_still_answer_earlier() -> None:
    plan = {1: Scripted(answer=7, step=2)}
    harness, end = run_alone(plan, num_slots=2, width=300, max_solutions=1, depth=30)
    assert finds(end) == [(1, 2)]
    # Step 2 of trajectory 1 has turn 8 + 2: before it are nine steps of trajectory 0.
    assert (end.supervision_steps, harness.now_s) == (2 + 9, 9.0)


def test_trajectories_begin_at_their_turn_where_rows_cost_time() -> None:
    harness = make_harness(num_slots=16, rows_are_free=False)
    harness.submit("a", width=8, max_solutions=1, depth=40)
    harness.submit("all", width=3, depth=2)
    live = []
    for _ in range(40):
        harness.tick()
        # Of those that step in a tick, what is left after it.
        live.append(harness.engine.live)
    assert live == [4, 1, *[1] * 6, *[2] * 8, *[4] * 16, *[8] * 7, 7]
    harness.run()
    assert harness.finished["a"].supervision_steps == 8 * 40


@pytest.mark.parametrize("rows_are_free", [True, False])
def test_the_next_trajectory_begins_at_once_when_the_others_have_ended(rows_are_free: bool) -> None:
    plan = {index: Scripted(breaks=1) for index in (0, 1, 3)} | {2: Scripted(answer=7, step=3)}
    job: dict[str, Any] = {"width": 4, "max_solutions": 1, "depth": 100}
    harness, end = run_alone(plan, num_slots=2, rows_are_free=rows_are_free, **job)
    assert finds(end) == [(2, 3)]
    # One tick each for 0 and 1, and three for 2, beside which 3 fails where there is a slot.
    assert harness.now_s == (4.0 if rows_are_free else 5.0)


@pytest.mark.parametrize("rows_are_free", [True, False])
@pytest.mark.parametrize(("num_parking", "num_steps"), [(4, 16 + 3), (0, 100 + 3)])
def test_with_one_slot_no_trajectory_runs_far_ahead_of_those_that_have_begun(
    num_parking: int, num_steps: int, rows_are_free: bool
) -> None:
    harness, end = run_alone(
        {1: Scripted(answer=7, step=3)},
        num_slots=1,
        num_parking=num_parking,
        rows_are_free=rows_are_free,
        width=2,
        max_solutions=1,
        depth=100,
    )
    assert finds(end) == [(1, 3)]
    # Where its state can be kept trajectory 0 pauses after turn 16, else it has to go on.
    assert (end.supervision_steps, harness.now_s) == (num_steps, num_steps)


def test_watched_trajectories_begin_at_once() -> None:
    harness = make_harness(num_slots=16, rows_are_free=False)
    harness.submit("a", width=8, max_solutions=1, num_shown=5)
    harness.engine.tick(1.0)
    assert harness.engine.live == 5


@pytest.mark.parametrize("num_slots", [1, 2, 6])
def test_an_answer_does_not_depend_on_who_was_scheduled_first(num_slots: int) -> None:
    """With one slot 1 answers before 3, with six 5 answers first of all: neither may matter."""
    steps = enumerate([9, 3, 9, 2, 9, 1])
    plan = {index: Scripted(answer=10 + index, step=step) for index, step in steps}
    harness, end = run_alone(plan, num_slots=num_slots, width=6, max_solutions=2)
    assert (finds(end), votes(end)) == ([(1, 3), (3, 2)], [(11, 1), (13, 1)])
    assert sorted((s.trajectory, s.step) for s in harness.found) == [(1, 3), (3, 2)]


def test_of_those_that_find_it_at_the_same_step_the_first_trajectory_has_a_solution() -> None:
    job, clock = plain_job(width=3), StepClock()
    run = JobRun(job=job, submitted_s=0.0)
    trajectories = [Trajectory(job, index, clock) for index in range(3)]
    clock.read = 4
    for index in (2, 0, 1):
        run.add_find(trajectories[index], np.array([7], np.uint8), value=0.5, now_s=1.0)
    end = run.finish("done", 2.0)
    assert (finds(end), votes(end)) == ([(0, 4)], [(7, 3)])


def test_a_false_alarm_of_the_device_verifier_never_becomes_a_solution() -> None:
    alarm = Scripted(is_false_alarm=True)
    harness, end = run_alone({0: Scripted(answer=7), 1: alarm, 2: alarm}, width=3)
    assert (len(end.solutions), end.verify_mismatches, end.valid_trajectories) == (1, 2, 1)
    assert harness.metric("gram_verify_mismatch_total") == 2


def test_a_row_that_is_not_finite_fails_only_its_own_trajectory() -> None:
    plan = dict.fromkeys(range(4), Scripted(answer=7, step=4)) | {1: Scripted(breaks=2)}
    harness, end = run_alone(plan, width=4)
    assert (end.outcome, end.valid_trajectories) == ("done", 3)
    assert harness.metric("gram_trajectories_total", result="failed") == 1


def test_a_job_fails_when_every_trajectory_does() -> None:
    _, end = run_alone(Scripted(breaks=1), width=6)
    assert end.outcome == "failed"


def test_halt_act_judges_the_answer_only_where_the_halt_head_stops() -> None:
    plan = {0: Scripted(answer=7, step=1, halts=3), 1: Scripted(halts=2)}
    harness, end = run_alone(plan, width=2, halt="act")
    assert finds(end) == [(0, 3)]
    assert end.supervision_steps == 5
    assert harness.metric("gram_trajectories_total", result="halted") == 1


def test_halt_settled_judges_the_answer_where_it_has_stayed_the_same() -> None:
    plan = {0: Scripted(answer=7, step=3), 2: Scripted(answer=7)}
    harness, end = run_alone(plan, width=3, depth=20, halt="settled")
    # Answers 1 1 7 7 7 7 7 7; 1 1 1 1 1 1; 7 7 7 7 7 7.
    assert (finds(end), votes(end)) == ([(2, 6)], [(7, 2)])
    assert end.supervision_steps == 8 + 6 + 6
    assert harness.metric("gram_trajectories_total", result="halted") == 1


def test_halt_never_collects_the_solutions_of_a_trajectory_each_once() -> None:
    plan = Scripted(answer=7, step=2, later={4: 9, 6: 7, 7: 9})
    _, end = run_alone(plan, width=2, halt="never")
    assert (finds(end), votes(end)) == ([(0, 2), (0, 4)], [(7, 2), (9, 2)])
    assert (end.valid_trajectories, end.supervision_steps) == (2, 16)
    _, first_only = run_alone(plan, width=2, halt="verified")
    assert votes(first_only) == [(7, 2)]


def test_answers_of_a_trajectory_that_count_as_one_solution_are_one_vote() -> None:
    plan = Scripted(answer=7, step=2, later={4: 9})
    _, end = run_alone(plan, width=2, halt="never", canonical=lambda tokens: bytes([tokens[0] % 2]))
    assert votes(end) == [(7, 2)]


def test_a_deadline_ends_a_running_job_with_what_it_found() -> None:
    harness, end = run_alone({0: Scripted(answer=7)}, width=3, depth=99, deadline_s=5.0)
    assert (end.outcome, harness.now_s, len(end.solutions)) == ("expired", 5.0, 1)
    assert end.wasted_steps == 8


def test_a_deadline_ends_a_job_that_never_got_a_slot() -> None:
    harness = make_harness(num_slots=1)
    harness.submit("a", depth=20)
    harness.submit("b", depth=20, deadline_s=3.0)
    harness.tick(3)
    end = harness.finished["b"]
    assert (end.outcome, end.supervision_steps, end.queue_s, end.engine_s) == ("expired", 0, 3, 0)


@pytest.mark.parametrize("num_ticks", [0, 1, 3])
def test_an_abort_frees_every_slot_before_the_next_step(num_ticks: int) -> None:
    harness = make_harness()
    harness.submit("a", width=20, depth=99)
    harness.tick(num_ticks)
    reads = harness.runner.num_reads
    harness.engine.abort("a")
    harness.tick()
    assert harness.finished["a"].outcome == "cancelled"
    assert (harness.engine.live, harness.engine.waiting_trajectories) == (0, 0)
    assert harness.runner.num_reads == reads
    assert not harness.engine.has_work


def test_aborting_a_job_that_is_not_there_does_nothing() -> None:
    harness = make_harness()
    harness.engine.abort("nobody")
    assert not harness.engine.has_work


def test_the_same_id_cannot_be_submitted_twice() -> None:
    harness = make_harness()
    harness.submit("a")
    with pytest.raises(ValueError, match="already here"):
        harness.submit("a")


def test_a_tick_reads_the_device_exactly_once() -> None:
    plan = {index: Scripted(answer=7, step=1 + index % 3) for index in range(40)}
    harness = make_harness(plan)
    harness.submit("a", width=40)
    harness.tick(5)
    assert harness.runner.num_reads == 5


def test_views_are_undone_before_an_answer_is_checked() -> None:
    swap = Symmetry(positions=np.arange(1), values=np.array([0, 1, 3, 2, 4], dtype=np.uint8))
    seen: list[int] = []

    def check(tokens: Any) -> bool:
        seen.append(int(tokens[0]))
        return True

    plan = Scripted(answer=2)
    _, end = run_alone(plan, width=2, check=check, view=lambda index: swap if index else None)
    assert seen == [2, 3]
    assert votes(end) == [(2, 1), (3, 1)]


def test_only_the_finds_of_returned_solutions_count_as_valid() -> None:
    """Trajectories 2 and 3 begin at the same turn and find different answers in it."""
    plan = {2: Scripted(answer=2), 3: Scripted(answer=3)}
    _, end = run_alone(plan, width=4, depth=40, max_solutions=1)
    assert (votes(end), end.valid_trajectories) == ([(2, 1)], 1)
