from typing import Any

import numpy as np
import pytest

from gram_core.puzzles import Symmetry
from gram_server.engine import Finished, Progress
from gram_server.engine.progress import MAX_ANSWERS_PER_S
from tests.server.engine.harness import FAILS, WRONG, Plan, Scripted, make_harness, votes


def _events(
    plan: Plan = FAILS,
    *,
    every_s: float = 1.0,
    num_slots: int = 4,
    **job: Any,
) -> list[Any]:
    """Run a job to its end with a clock of the test's own; return all events."""
    harness = make_harness(plan, num_slots=num_slots)
    harness.submit("a", **job)
    events: list[Any] = []
    for number in range(100):
        if not harness.engine.has_work:
            break
        events += harness.engine.tick(number * every_s)
    return events


def _reports(*plan: Plan, **job: Any) -> list[Progress]:
    return [event for event in _events(*plan, **job) if isinstance(event, Progress)]


def _told(report: Progress) -> list[tuple[int, int, str, int]]:
    return [
        (view.trajectory, view.step, view.state, int(view.tokens()[0]))
        for view in report.trajectories
    ]


def _states(report: Progress) -> list[str]:
    return [view.state for view in report.trajectories]


def test_a_job_that_does_not_ask_is_never_told_of() -> None:
    kinds = {type(event) for event in _events(Scripted(answer=7, step=3), width=4)}
    assert Progress not in kinds
    assert Finished in kinds


def test_watched_trajectories_are_told_with_step_answer_and_state() -> None:
    plan = {0: Scripted(answer=7, step=2), 1: Scripted(halts=3), 3: Scripted(breaks=1)}
    reports = _reports(plan, width=4, depth=4, halt="act", num_shown=4)
    assert [report.step for report in reports] == [1, 2, 3, 4]
    assert [report.live for report in reports] == [3, 3, 2, 0]
    assert _told(reports[0]) == [
        *((trajectory, 1, "running", WRONG) for trajectory in range(3)),
        (3, 1, "halted", WRONG),
    ]
    # With act an answer is judged where the trajectory ends: trajectory 0 goes on to its depth.
    assert _states(reports[-1]) == ["solved", "halted", "exhausted", "halted"]
    assert reports[-1].solved == 1


def test_only_the_first_trajectories_are_shown_and_all_are_counted() -> None:
    first, last = _reports(Scripted(answer=7, step=2), width=4, num_shown=2)
    assert [view.trajectory for view in first.trajectories] == [0, 1]
    assert (first.live, first.solved, first.solved_at) == (4, 0, ())
    assert (last.live, last.solved, last.solved_at) == (0, 4, (0, 4))


def test_what_the_others_find_after_those_that_are_shown_is_told_with_its_step() -> None:
    plan = {index: Scripted(answer=7, step=step) for index, step in enumerate((1, 1, 3, 4))}
    reports = _reports(plan, num_slots=2, width=4, num_shown=2)
    assert [report.solved_at for report in reports] == [(2,), (2, 0, 1), (2, 0, 1, 1)]


def test_a_solved_trajectory_that_goes_on_keeps_showing_its_solution() -> None:
    reports = _reports(Scripted(answer=7, step=2), depth=5, halt="never", num_shown=1)
    assert list(map(_told, reports)) == [[(0, 1, "running", WRONG)], [(0, 2, "solved", 7)]]


def test_an_answer_is_told_as_the_user_sees_it() -> None:
    values = np.array([0, 2, 1, 3, 4, 5, 6, 7], np.uint8)
    view = Symmetry(positions=np.zeros(1, np.int64), values=values)
    [report] = _reports(depth=1, num_shown=1, view=lambda trajectory: view)
    assert _told(report) == [(0, 1, "exhausted", 2)]


def test_a_job_is_told_of_ten_times_a_second_and_at_its_end() -> None:
    reports = _reports(every_s=1 / 64, depth=100, num_shown=1)
    # The seventh tick is the first that comes a tenth of a second later.
    assert [report.step for report in reports] == [*range(1, 100, 7), 100]


def test_many_watched_answers_are_told_more_rarely() -> None:
    count = MAX_ANSWERS_PER_S // 2
    reports = _reports(every_s=0.0625, num_slots=count, width=count, depth=100, num_shown=count)
    # Half a second between two, which is 8 ticks, instead of every second tick.
    assert [report.step for report in reports] == [*range(1, 100, 8), 100]


def test_the_last_look_comes_before_the_end_and_says_what_was_dropped() -> None:
    plan = {1: Scripted(answer=7, step=2)}
    job: dict[str, Any] = {"width": 4, "max_solutions": 1, "num_shown": 4, "depth": 30}
    *_, last, end = _events(plan, every_s=0.01, **job)
    assert isinstance(end, Finished)
    assert isinstance(last, Progress)
    assert _states(last) == ["running", "solved", "running", "running"]


@pytest.mark.parametrize("num_shown", [0, 4])
def test_watching_changes_no_answer(num_shown: int) -> None:
    plan = {index: Scripted(answer=2 + index % 3, step=1 + index) for index in range(9)}
    end = _events(plan, width=9, depth=9, num_shown=num_shown)[-1]
    assert votes(end) == [(2, 3), (3, 3), (4, 3)]
    assert end.supervision_steps == sum(range(1, 10))
