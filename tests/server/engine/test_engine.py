from typing import Any

import numpy as np
import pytest

from gram_core.puzzles import Symmetry
from tests.server.engine.harness import Scripted, make_harness


def test_a_trajectory_leaves_as_soon_as_its_answer_is_valid() -> None:
    harness = make_harness(lambda seed, trajectory: Scripted(answer=7, step=3))
    harness.submit("a")
    harness.run()
    end = harness.finished["a"]
    assert (end.outcome, end.supervision_steps, harness.now_s) == ("done", 3, 3.0)
    [solution] = end.solutions
    assert solution.tokens.tolist() == [7]
    assert (solution.votes, solution.trajectory, solution.step) == (1, 0, 3)


def test_an_unsolved_job_ends_at_its_depth_with_the_least_wrong_answer() -> None:
    harness = make_harness(lambda seed, trajectory: Scripted(num_violations=9 - trajectory))
    harness.submit("a", width=3, depth=5)
    harness.run()
    end = harness.finished["a"]
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

    violations = [4, 2, 2, 8]
    harness = make_harness(lambda seed, trajectory: Scripted(num_violations=violations[trajectory]))
    harness.submit("a", width=4, depth=2, view=view)
    harness.run()
    best = harness.finished["a"].best_attempt
    assert best is not None
    assert best.tolist() == [3]


def test_each_distinct_solution_is_told_once_and_all_votes_are_counted() -> None:
    harness = make_harness(
        lambda seed, trajectory: Scripted(answer=5 + trajectory % 2, step=1 + trajectory)
    )
    harness.submit("a", width=7)
    harness.run()
    assert [event.tokens.tolist() for event in harness.found] == [[5], [6]]
    end = harness.finished["a"]
    assert [(s.tokens.tolist(), s.votes) for s in end.solutions] == [([5], 4), ([6], 3)]
    assert end.valid_trajectories == 7
    assert harness.metric("gram_solutions_total", kind="distinct") == 2
    assert harness.metric("gram_solutions_total", kind="duplicate") == 5


def test_siblings_are_dropped_at_once_when_the_job_has_what_it_asked_for() -> None:
    harness = make_harness(
        lambda seed, trajectory: Scripted(answer=7, step=2) if trajectory == 0 else Scripted(),
        num_slots=16,
    )
    harness.submit("a", width=300, max_solutions=1, depth=30)
    harness.tick(2)
    end = harness.finished["a"]
    assert (end.outcome, end.supervision_steps, end.wasted_steps) == ("done", 32, 30)
    assert harness.engine.live == 0
    assert harness.metric("gram_wasted_slot_steps_total", reason="aborted") == 30
    assert [event.trajectory for event in harness.found] == [0]


def test_siblings_only_run_on_while_they_could_still_answer_earlier() -> None:
    harness = make_harness(
        lambda seed, trajectory: Scripted(answer=7, step=2) if trajectory == 1 else Scripted(),
        num_slots=2,
    )
    harness.submit("a", width=300, max_solutions=1, depth=30)
    harness.run()
    end = harness.finished["a"]
    assert [(s.trajectory, s.step) for s in end.solutions] == [(1, 2)]
    # Step 2 of trajectory 1 has turn 8 + 2: before it are nine steps of trajectory 0.
    assert (end.supervision_steps, harness.now_s) == (2 + 9, 9.0)


def test_trajectories_begin_at_their_turn_where_rows_cost_time() -> None:
    harness = make_harness(lambda seed, trajectory: Scripted(), num_slots=16, rows_are_free=False)
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
    harness = make_harness(
        lambda seed, trajectory: (
            Scripted(answer=7, step=3) if trajectory == 2 else Scripted(breaks=1)
        ),
        num_slots=2,
        rows_are_free=rows_are_free,
    )
    harness.submit("a", width=4, max_solutions=1, depth=100)
    harness.run()
    assert [(s.trajectory, s.step) for s in harness.finished["a"].solutions] == [(2, 3)]
    # One tick each for 0 and 1, and three for 2, beside which 3 fails where there is a slot.
    assert harness.now_s == (4.0 if rows_are_free else 5.0)


@pytest.mark.parametrize("rows_are_free", [True, False])
@pytest.mark.parametrize(("num_parking", "num_steps"), [(4, 16 + 3), (0, 100 + 3)])
def test_with_one_slot_no_trajectory_runs_far_ahead_of_those_that_have_begun(
    num_parking: int, num_steps: int, rows_are_free: bool
) -> None:
    harness = make_harness(
        lambda seed, trajectory: Scripted(answer=7, step=3) if trajectory == 1 else Scripted(),
        num_slots=1,
        num_parking=num_parking,
        rows_are_free=rows_are_free,
    )
    harness.submit("a", width=2, max_solutions=1, depth=100)
    harness.run()
    end = harness.finished["a"]
    assert [(s.trajectory, s.step) for s in end.solutions] == [(1, 3)]
    # Where its state can be kept trajectory 0 pauses after turn 16, else it has to go on.
    assert (end.supervision_steps, harness.now_s) == (num_steps, num_steps)


def test_watched_trajectories_begin_at_once() -> None:
    harness = make_harness(lambda seed, trajectory: Scripted(), num_slots=16, rows_are_free=False)
    harness.submit("a", width=8, max_solutions=1, num_shown=5)
    harness.engine.tick(1.0)
    assert harness.engine.live == 5


def test_an_answer_does_not_depend_on_who_was_scheduled_first() -> None:
    """With one slot 1 answers before 3, with six 5 answers first of all: neither may matter."""
    steps = [9, 3, 9, 2, 9, 1]

    def script(seed: int, trajectory: int) -> Any:
        return Scripted(answer=10 + trajectory, step=steps[trajectory])

    ends = []
    for num_slots in (1, 2, 6):
        harness = make_harness(script, num_slots=num_slots)
        harness.submit("a", width=6, max_solutions=2)
        harness.run()
        ends.append([(s.trajectory, s.step, s.votes) for s in harness.finished["a"].solutions])
        told = sorted((s.trajectory, s.step) for s in harness.found)
        assert told == [(1, 3), (3, 2)]
    assert ends == [[(1, 3, 1), (3, 2, 1)]] * 3


def test_a_false_alarm_of_the_device_verifier_never_becomes_a_solution() -> None:
    harness = make_harness(
        lambda seed, trajectory: Scripted(is_false_alarm=True) if trajectory else Scripted(answer=7)
    )
    harness.submit("a", width=3)
    harness.run()
    end = harness.finished["a"]
    assert (len(end.solutions), end.verify_mismatches, end.valid_trajectories) == (1, 2, 1)
    assert harness.metric("gram_verify_mismatch_total") == 2


def test_a_row_that_is_not_finite_fails_only_its_own_trajectory() -> None:
    harness = make_harness(
        lambda seed, trajectory: (
            Scripted(breaks=2) if trajectory == 1 else Scripted(answer=7, step=4)
        )
    )
    harness.submit("a", width=4)
    harness.run()
    end = harness.finished["a"]
    assert (end.outcome, end.valid_trajectories) == ("done", 3)
    assert harness.metric("gram_trajectories_total", result="failed") == 1


def test_a_job_fails_when_every_trajectory_does() -> None:
    harness = make_harness(lambda seed, trajectory: Scripted(breaks=1))
    harness.submit("a", width=6)
    harness.run()
    assert harness.finished["a"].outcome == "failed"


def test_halt_act_judges_the_answer_only_where_the_halt_head_stops() -> None:
    harness = make_harness(
        lambda seed, trajectory: [Scripted(answer=7, step=1, halts=3), Scripted(halts=2)][
            trajectory
        ]
    )
    harness.submit("a", width=2, halt="act")
    harness.run()
    end = harness.finished["a"]
    assert [(s.trajectory, s.step) for s in end.solutions] == [(0, 3)]
    assert end.supervision_steps == 5
    assert harness.metric("gram_trajectories_total", result="halted") == 1


def test_halt_settled_judges_the_answer_where_it_has_stayed_the_same() -> None:
    harness = make_harness(
        lambda seed, trajectory: [Scripted(answer=7, step=3), Scripted(), Scripted(answer=7)][
            trajectory
        ]
    )
    harness.submit("a", width=3, depth=20, halt="settled")
    harness.run()
    end = harness.finished["a"]
    # Answers 1 1 7 7 7 7 7 7; 1 1 1 1 1 1; 7 7 7 7 7 7.
    assert [(s.trajectory, s.step, s.votes) for s in end.solutions] == [(2, 6, 2)]
    assert end.supervision_steps == 8 + 6 + 6
    assert harness.metric("gram_trajectories_total", result="halted") == 1


def test_halt_never_collects_the_solutions_of_a_trajectory_each_once() -> None:
    harness = make_harness(
        lambda seed, trajectory: Scripted(answer=7, step=2, later={4: 9, 6: 7, 7: 9})
    )
    harness.submit("a", width=2, halt="never")
    harness.submit("b", width=2, halt="verified")
    harness.run()
    end = harness.finished["a"]
    assert [(s.tokens.tolist(), s.votes, s.step) for s in end.solutions] == [
        ([7], 2, 2),
        ([9], 2, 4),
    ]
    assert (end.valid_trajectories, end.supervision_steps) == (2, 16)
    assert [s.tokens.tolist() for s in harness.finished["b"].solutions] == [[7]]


def test_answers_of_a_trajectory_that_count_as_one_solution_are_one_vote() -> None:
    harness = make_harness(lambda seed, trajectory: Scripted(answer=7, step=2, later={4: 9}))
    harness.submit("a", width=2, halt="never", canonical=lambda tokens: bytes([tokens[0] % 2]))
    harness.run()
    end = harness.finished["a"]
    assert [(s.tokens.tolist(), s.votes) for s in end.solutions] == [([7], 2)]


def test_halt_never_runs_every_step_and_keeps_the_first_valid_answer() -> None:
    harness = make_harness(lambda seed, trajectory: Scripted(answer=7, step=2))
    harness.submit("a", width=2, halt="never")
    harness.run()
    end = harness.finished["a"]
    assert (end.supervision_steps, end.valid_trajectories) == (16, 2)
    assert [(s.votes, s.step) for s in end.solutions] == [(2, 2)]


def test_a_deadline_ends_a_running_job_with_what_it_found() -> None:
    harness = make_harness(
        lambda seed, trajectory: Scripted(answer=7, step=1) if trajectory == 0 else Scripted()
    )
    harness.submit("a", width=3, depth=99, deadline_s=5.0)
    harness.run()
    end = harness.finished["a"]
    assert (end.outcome, harness.now_s, len(end.solutions)) == ("expired", 5.0, 1)
    assert end.wasted_steps == 8


def test_a_deadline_ends_an_unsolved_job_with_its_best_answer_so_far() -> None:
    harness = make_harness(lambda seed, trajectory: Scripted())
    harness.submit("a", width=3, depth=99, deadline_s=5.0)
    harness.run()
    assert harness.finished["a"].best_attempt is not None


def test_a_deadline_ends_a_job_that_never_got_a_slot() -> None:
    harness = make_harness(lambda seed, trajectory: Scripted(), num_slots=1)
    harness.submit("a", depth=20)
    harness.submit("b", depth=20, deadline_s=3.0)
    harness.tick(3)
    end = harness.finished["b"]
    assert (end.outcome, end.supervision_steps, end.queue_s, end.engine_s) == ("expired", 0, 3, 0)


@pytest.mark.parametrize("num_ticks", [0, 1, 3])
def test_an_abort_frees_every_slot_before_the_next_step(num_ticks: int) -> None:
    harness = make_harness(lambda seed, trajectory: Scripted())
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
    harness = make_harness(lambda seed, trajectory: Scripted())
    harness.engine.abort("nobody")
    assert not harness.engine.has_work


def test_the_same_id_cannot_be_submitted_twice() -> None:
    harness = make_harness(lambda seed, trajectory: Scripted())
    harness.submit("a")
    with pytest.raises(ValueError, match="already here"):
        harness.submit("a")


def test_a_tick_reads_the_device_exactly_once() -> None:
    harness = make_harness(lambda seed, trajectory: Scripted(answer=7, step=1 + trajectory % 3))
    harness.submit("a", width=40)
    harness.tick(5)
    assert harness.runner.num_reads == 5


def test_views_are_undone_before_an_answer_is_checked() -> None:
    swap = np.array([0, 1, 3, 2, 4], dtype=np.uint8)
    seen: list[int] = []

    def check(tokens: Any) -> bool:
        seen.append(int(tokens[0]))
        return True

    harness = make_harness(lambda seed, trajectory: Scripted(answer=2))
    harness.submit(
        "a",
        width=2,
        check=check,
        view=lambda index: Symmetry(positions=np.arange(1), values=swap) if index else None,
    )
    harness.run()
    assert seen == [2, 3]
    assert [s.tokens.tolist() for s in harness.finished["a"].solutions] == [[2], [3]]


def test_only_the_finds_of_returned_solutions_count_as_valid() -> None:
    """Trajectories 2 and 3 begin at the same turn and find different answers in it."""
    harness = make_harness(
        lambda seed, trajectory: Scripted(answer=trajectory) if trajectory in (2, 3) else Scripted()
    )
    harness.submit("a", width=4, depth=40, max_solutions=1)
    harness.run()
    end = harness.finished["a"]
    assert [(int(s.tokens[0]), s.votes) for s in end.solutions] == [(2, 1)]
    assert end.valid_trajectories == 1
