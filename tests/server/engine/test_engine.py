from typing import Any

import numpy as np
import pytest

from gram_core.puzzles import Symmetry


def test_a_trajectory_leaves_as_soon_as_its_answer_is_valid(make_bench: Any, fate: Any) -> None:
    bench = make_bench(lambda seed, trajectory: fate(answer=7, step=3))
    bench.submit("a")
    bench.run()
    end = bench.finished["a"]
    assert (end.outcome, end.supervision_steps, bench.now_s) == ("done", 3, 3.0)
    [solution] = end.solutions
    assert solution.tokens.tolist() == [7]
    assert (solution.votes, solution.trajectory, solution.step) == (1, 0, 3)


def test_an_unsolved_job_ends_at_its_depth_with_the_least_wrong_answer(
    make_bench: Any, fate: Any
) -> None:
    bench = make_bench(lambda seed, trajectory: fate(num_violations=9 - trajectory))
    bench.submit("a", width=3, depth=5)
    bench.run()
    end = bench.finished["a"]
    assert (end.outcome, end.solutions, end.supervision_steps) == ("done", (), 15)
    assert end.best_attempt is not None
    assert end.best_attempt.tolist() == [1]
    assert bench.metric("gram_trajectories_total", result="exhausted") == 3


def test_the_least_wrong_answer_is_kept_whatever_trajectory_ends_last(
    make_bench: Any, fate: Any
) -> None:
    def view(trajectory: int) -> Symmetry:
        # Each trajectory reports the same wrong token through a view of its own.
        values = np.arange(10, dtype=np.uint8)
        values[1], values[trajectory + 2] = trajectory + 2, 1
        return Symmetry(positions=np.arange(1), values=values)

    violations = [4, 2, 2, 8]
    bench = make_bench(lambda seed, trajectory: fate(num_violations=violations[trajectory]))
    bench.submit("a", width=4, depth=2, view=view)
    bench.run()
    best = bench.finished["a"].best_attempt
    assert best is not None
    assert best.tolist() == [3]


def test_each_distinct_solution_is_told_once_and_all_votes_are_counted(
    make_bench: Any, fate: Any
) -> None:
    bench = make_bench(
        lambda seed, trajectory: fate(answer=5 + trajectory % 2, step=1 + trajectory)
    )
    bench.submit("a", width=7)
    bench.run()
    assert [event.tokens.tolist() for event in bench.found] == [[5], [6]]
    end = bench.finished["a"]
    assert [(s.tokens.tolist(), s.votes) for s in end.solutions] == [([5], 4), ([6], 3)]
    assert end.valid_trajectories == 7
    assert bench.metric("gram_solutions_total", kind="distinct") == 2
    assert bench.metric("gram_solutions_total", kind="duplicate") == 5


def test_siblings_are_dropped_at_once_when_the_job_has_what_it_asked_for(
    make_bench: Any, fate: Any
) -> None:
    bench = make_bench(
        lambda seed, trajectory: fate(answer=7, step=2) if trajectory == 0 else fate(),
        num_slots=16,
    )
    bench.submit("a", width=300, max_solutions=1, depth=30)
    bench.tick(2)
    end = bench.finished["a"]
    assert (end.outcome, end.supervision_steps, end.wasted_steps) == ("done", 32, 30)
    assert bench.engine.live == 0
    assert bench.metric("gram_wasted_slot_steps_total", reason="aborted") == 30
    assert [event.trajectory for event in bench.found] == [0]


def test_siblings_only_run_on_while_they_could_still_answer_earlier(
    make_bench: Any, fate: Any
) -> None:
    bench = make_bench(
        lambda seed, trajectory: fate(answer=7, step=2) if trajectory == 1 else fate(), num_slots=2
    )
    bench.submit("a", width=300, max_solutions=1, depth=30)
    bench.run()
    end = bench.finished["a"]
    assert [(s.trajectory, s.step) for s in end.solutions] == [(1, 2)]
    # Step 2 of trajectory 1 has turn 8 + 2: before it are nine steps of trajectory 0.
    assert (end.supervision_steps, bench.now_s) == (2 + 9, 9.0)


def test_trajectories_begin_at_their_turn_where_rows_cost_time(make_bench: Any, fate: Any) -> None:
    bench = make_bench(lambda seed, trajectory: fate(), num_slots=16, runs_ahead=False)
    bench.submit("a", width=8, max_solutions=1, depth=40)
    bench.submit("all", width=3, depth=2)
    live = []
    for _ in range(40):
        bench.tick()
        # Of those that step in a tick, what is left after it.
        live.append(bench.engine.live)
    assert live == [4, 1, *[1] * 6, *[2] * 8, *[4] * 16, *[8] * 7, 7]
    bench.run()
    assert bench.finished["a"].supervision_steps == 8 * 40


@pytest.mark.parametrize("runs_ahead", [True, False])
def test_the_next_trajectory_begins_at_once_when_the_others_have_ended(
    make_bench: Any, fate: Any, runs_ahead: bool
) -> None:
    bench = make_bench(
        lambda seed, trajectory: fate(answer=7, step=3) if trajectory == 2 else fate(breaks=1),
        num_slots=2,
        runs_ahead=runs_ahead,
    )
    bench.submit("a", width=4, max_solutions=1, depth=100)
    bench.run()
    assert [(s.trajectory, s.step) for s in bench.finished["a"].solutions] == [(2, 3)]
    # One tick each for 0 and 1, and three for 2, beside which 3 fails where there is a slot.
    assert bench.now_s == (4.0 if runs_ahead else 5.0)


@pytest.mark.parametrize("runs_ahead", [True, False])
@pytest.mark.parametrize(("num_spares", "num_steps"), [(4, 16 + 3), (0, 100 + 3)])
def test_with_one_slot_no_trajectory_runs_far_ahead_of_those_that_have_begun(
    make_bench: Any, fate: Any, num_spares: int, num_steps: int, runs_ahead: bool
) -> None:
    bench = make_bench(
        lambda seed, trajectory: fate(answer=7, step=3) if trajectory == 1 else fate(),
        num_slots=1,
        num_spares=num_spares,
        runs_ahead=runs_ahead,
    )
    bench.submit("a", width=2, max_solutions=1, depth=100)
    bench.run()
    end = bench.finished["a"]
    assert [(s.trajectory, s.step) for s in end.solutions] == [(1, 3)]
    # Where its state can be kept trajectory 0 pauses after turn 16, else it has to go on.
    assert (end.supervision_steps, bench.now_s) == (num_steps, num_steps)


def test_watched_trajectories_begin_at_once(make_bench: Any, fate: Any) -> None:
    bench = make_bench(lambda seed, trajectory: fate(), num_slots=16, runs_ahead=False)
    bench.submit("a", width=8, max_solutions=1, num_watched=5)
    bench.engine.tick(1.0)
    assert bench.engine.live == 5


def test_an_answer_does_not_depend_on_who_was_scheduled_first(make_bench: Any, fate: Any) -> None:
    """With one slot 1 answers before 3, with six 5 answers first of all: neither may matter."""
    steps = [9, 3, 9, 2, 9, 1]

    def script(seed: int, trajectory: int) -> Any:
        return fate(answer=10 + trajectory, step=steps[trajectory])

    ends = []
    for num_slots in (1, 2, 6):
        bench = make_bench(script, num_slots=num_slots)
        bench.submit("a", width=6, max_solutions=2)
        bench.run()
        ends.append([(s.trajectory, s.step, s.votes) for s in bench.finished["a"].solutions])
        told = sorted((s.trajectory, s.step) for s in bench.found)
        assert told == [(1, 3), (3, 2)]
    assert ends == [[(1, 3, 1), (3, 2, 1)]] * 3


def test_a_false_alarm_of_the_device_verifier_never_becomes_a_solution(
    make_bench: Any, fate: Any
) -> None:
    bench = make_bench(
        lambda seed, trajectory: fate(is_false_alarm=True) if trajectory else fate(answer=7)
    )
    bench.submit("a", width=3)
    bench.run()
    end = bench.finished["a"]
    assert (len(end.solutions), end.verify_mismatches, end.valid_trajectories) == (1, 2, 1)
    assert bench.metric("gram_verify_mismatch_total") == 2


def test_a_row_that_is_not_finite_fails_only_its_own_trajectory(make_bench: Any, fate: Any) -> None:
    bench = make_bench(
        lambda seed, trajectory: fate(breaks=2) if trajectory == 1 else fate(answer=7, step=4)
    )
    bench.submit("a", width=4)
    bench.run()
    end = bench.finished["a"]
    assert (end.outcome, end.valid_trajectories) == ("done", 3)
    assert bench.metric("gram_trajectories_total", result="failed") == 1


def test_a_job_fails_when_every_trajectory_does(make_bench: Any, fate: Any) -> None:
    bench = make_bench(lambda seed, trajectory: fate(breaks=1))
    bench.submit("a", width=6)
    bench.run()
    assert bench.finished["a"].outcome == "failed"


def test_halt_act_judges_the_answer_only_where_the_halt_head_stops(
    make_bench: Any, fate: Any
) -> None:
    bench = make_bench(
        lambda seed, trajectory: [fate(answer=7, step=1, halts=3), fate(halts=2)][trajectory]
    )
    bench.submit("a", width=2, halt="act")
    bench.run()
    end = bench.finished["a"]
    assert [(s.trajectory, s.step) for s in end.solutions] == [(0, 3)]
    assert end.supervision_steps == 5
    assert bench.metric("gram_trajectories_total", result="halted") == 1


def test_halt_never_runs_every_step_and_keeps_the_first_valid_answer(
    make_bench: Any, fate: Any
) -> None:
    bench = make_bench(lambda seed, trajectory: fate(answer=7, step=2))
    bench.submit("a", width=2, halt="never")
    bench.run()
    end = bench.finished["a"]
    assert (end.supervision_steps, end.valid_trajectories) == (16, 2)
    assert [(s.votes, s.step) for s in end.solutions] == [(2, 2)]


def test_a_deadline_ends_a_running_job_with_what_it_found(make_bench: Any, fate: Any) -> None:
    bench = make_bench(
        lambda seed, trajectory: fate(answer=7, step=1) if trajectory == 0 else fate()
    )
    bench.submit("a", width=3, depth=99, deadline_s=5.0)
    bench.run()
    end = bench.finished["a"]
    assert (end.outcome, bench.now_s, len(end.solutions)) == ("expired", 5.0, 1)
    assert end.wasted_steps == 8


def test_a_deadline_ends_an_unsolved_job_with_its_best_answer_so_far(
    make_bench: Any, fate: Any
) -> None:
    bench = make_bench(lambda seed, trajectory: fate())
    bench.submit("a", width=3, depth=99, deadline_s=5.0)
    bench.run()
    assert bench.finished["a"].best_attempt is not None


def test_a_deadline_ends_a_job_that_never_got_a_slot(make_bench: Any, fate: Any) -> None:
    bench = make_bench(lambda seed, trajectory: fate(), num_slots=1)
    bench.submit("a", depth=20)
    bench.submit("b", depth=20, deadline_s=3.0)
    bench.tick(3)
    end = bench.finished["b"]
    assert (end.outcome, end.supervision_steps, end.queue_s, end.engine_s) == ("expired", 0, 3, 0)


@pytest.mark.parametrize("num_ticks", [0, 1, 3])
def test_an_abort_frees_every_slot_before_the_next_step(
    make_bench: Any, fate: Any, num_ticks: int
) -> None:
    bench = make_bench(lambda seed, trajectory: fate())
    bench.submit("a", width=20, depth=99)
    bench.tick(num_ticks)
    reads = bench.runner.num_reads
    bench.engine.abort("a")
    bench.tick()
    assert bench.finished["a"].outcome == "cancelled"
    assert (bench.engine.live, bench.engine.waiting_trajectories) == (0, 0)
    assert bench.runner.num_reads == reads
    assert not bench.engine.has_work


def test_aborting_a_job_that_is_not_there_does_nothing(make_bench: Any, fate: Any) -> None:
    bench = make_bench(lambda seed, trajectory: fate())
    bench.engine.abort("nobody")
    assert not bench.engine.has_work


def test_the_same_id_cannot_be_submitted_twice(make_bench: Any, fate: Any) -> None:
    bench = make_bench(lambda seed, trajectory: fate())
    bench.submit("a")
    with pytest.raises(ValueError, match="already here"):
        bench.submit("a")


def test_a_tick_reads_the_device_exactly_once(make_bench: Any, fate: Any) -> None:
    bench = make_bench(lambda seed, trajectory: fate(answer=7, step=1 + trajectory % 3))
    bench.submit("a", width=40)
    bench.tick(5)
    assert bench.runner.num_reads == 5


def test_views_are_undone_before_an_answer_is_checked(make_bench: Any, fate: Any) -> None:
    swap = np.array([0, 1, 3, 2, 4], dtype=np.uint8)
    seen: list[int] = []

    def check(tokens: Any) -> bool:
        seen.append(int(tokens[0]))
        return True

    bench = make_bench(lambda seed, trajectory: fate(answer=2))
    bench.submit(
        "a",
        width=2,
        check=check,
        view=lambda index: Symmetry(positions=np.arange(1), values=swap) if index else None,
    )
    bench.run()
    assert seen == [2, 3]
    assert [s.tokens.tolist() for s in bench.finished["a"].solutions] == [[2], [3]]


def test_only_the_finds_of_returned_solutions_count_as_valid(make_bench: Any, fate: Any) -> None:
    """Trajectories 2 and 3 begin at the same turn and find different answers in it."""
    bench = make_bench(
        lambda seed, trajectory: fate(answer=trajectory) if trajectory in (2, 3) else fate()
    )
    bench.submit("a", width=4, depth=40, max_solutions=1)
    bench.run()
    end = bench.finished["a"]
    assert [(int(s.tokens[0]), s.votes) for s in end.solutions] == [(2, 1)]
    assert end.valid_trajectories == 1
