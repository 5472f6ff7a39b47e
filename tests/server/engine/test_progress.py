from typing import Any

import numpy as np
import pytest

from gram_core.puzzles import Symmetry
from gram_server.engine import Finished, Progress
from gram_server.engine.progress import MAX_ANSWERS_PER_S
from tests.server.engine.harness import Harness, Scripted, make_harness

WRONG = 1


def _ticks(harness: Harness, *, every_s: float, limit: int = 100) -> list[Any]:
    """Run to the end with a clock of its own; return all events."""
    events: list[Any] = []
    for number in range(limit):
        if not harness.engine.has_work:
            break
        events += harness.engine.tick(number * every_s)
    return events


def _told(snapshot: Progress) -> list[tuple[int, int, str, int]]:
    return [
        (sight.trajectory, sight.step, sight.state, int(sight.tokens()[0]))
        for sight in snapshot.trajectories
    ]


def test_a_job_that_does_not_ask_is_never_told_of() -> None:
    harness = make_harness(lambda seed, trajectory: Scripted(answer=7, step=3))
    harness.submit("a", width=4)
    kinds = {type(event) for event in _ticks(harness, every_s=1.0)}
    assert Progress not in kinds
    assert Finished in kinds


def test_watched_trajectories_are_told_with_step_answer_and_state() -> None:
    fates = {
        0: Scripted(answer=7, step=2),
        1: Scripted(halts=3),
        2: Scripted(),
        3: Scripted(breaks=1),
    }
    harness = make_harness(lambda seed, trajectory: fates[trajectory])
    harness.submit("a", width=4, depth=4, halt="act", num_shown=4)
    snapshots = [e for e in _ticks(harness, every_s=1.0) if isinstance(e, Progress)]
    assert [snapshot.step for snapshot in snapshots] == [1, 2, 3, 4]
    assert [snapshot.live for snapshot in snapshots] == [3, 3, 2, 0]
    assert _told(snapshots[0]) == [
        (0, 1, "running", WRONG),
        (1, 1, "running", WRONG),
        (2, 1, "running", WRONG),
        (3, 1, "halted", WRONG),
    ]
    # With act an answer is judged where the trajectory ends: trajectory 0 goes on to its depth.
    assert [state for _, _, state, _ in _told(snapshots[-1])] == [
        "solved",
        "halted",
        "exhausted",
        "halted",
    ]
    assert snapshots[-1].solved == 1


def test_only_the_first_trajectories_are_shown_and_all_are_counted() -> None:
    harness = make_harness(lambda seed, trajectory: Scripted(answer=7, step=2))
    harness.submit("a", width=4, num_shown=2)
    first, last = (e for e in _ticks(harness, every_s=1.0) if isinstance(e, Progress))
    assert [sight.trajectory for sight in first.trajectories] == [0, 1]
    assert (first.live, first.solved, first.solved_at) == (4, 0, ())
    assert (last.live, last.solved, last.solved_at) == (0, 4, (0, 4))


def test_what_the_others_find_after_those_that_are_shown_is_told_with_its_step() -> None:
    steps = (1, 1, 3, 4)
    harness = make_harness(
        lambda seed, trajectory: Scripted(answer=7, step=steps[trajectory]), num_slots=2
    )
    harness.submit("a", width=4, num_shown=2)
    told = [e for e in _ticks(harness, every_s=1.0) if isinstance(e, Progress)]
    assert [progress.solved_at for progress in told] == [(2,), (2, 0, 1), (2, 0, 1, 1)]


def test_a_solved_trajectory_that_goes_on_keeps_showing_its_solution() -> None:
    harness = make_harness(lambda seed, trajectory: Scripted(answer=7, step=2))
    harness.submit("a", width=1, depth=5, halt="never", num_shown=1)
    snapshots = [e for e in _ticks(harness, every_s=1.0) if isinstance(e, Progress)]
    assert [_told(snapshot) for snapshot in snapshots] == [
        [(0, 1, "running", WRONG)],
        [(0, 2, "solved", 7)],
    ]


def test_an_answer_is_told_as_the_user_sees_it() -> None:
    view = Symmetry(
        positions=np.zeros(1, np.int64), values=np.array([0, 2, 1, 3, 4, 5, 6, 7], np.uint8)
    )
    harness = make_harness(lambda seed, trajectory: Scripted())
    harness.submit("a", depth=1, num_shown=1, view=lambda trajectory: view)
    [snapshot] = [e for e in _ticks(harness, every_s=1.0) if isinstance(e, Progress)]
    assert _told(snapshot) == [(0, 1, "exhausted", 2)]


def test_a_job_is_told_of_ten_times_a_second_and_at_its_end() -> None:
    harness = make_harness(lambda seed, trajectory: Scripted())
    harness.submit("a", depth=100, num_shown=1)
    snapshots = [e for e in _ticks(harness, every_s=1 / 64) if isinstance(e, Progress)]
    # The seventh tick is the first that comes a tenth of a second later.
    assert [snapshot.step for snapshot in snapshots] == [*range(1, 100, 7), 100]


def test_many_watched_answers_are_told_more_rarely() -> None:
    num_slots = MAX_ANSWERS_PER_S // 2
    harness = make_harness(lambda seed, trajectory: Scripted(), num_slots=num_slots)
    harness.submit("a", width=num_slots, depth=100, num_shown=num_slots)
    snapshots = [e for e in _ticks(harness, every_s=0.0625) if isinstance(e, Progress)]
    # Half a second between two, which is 8 ticks, instead of every second tick.
    assert [snapshot.step for snapshot in snapshots] == [*range(1, 100, 8), 100]


def test_the_last_look_comes_before_the_end_and_says_what_was_dropped() -> None:
    harness = make_harness(
        lambda seed, trajectory: Scripted(answer=7, step=2) if trajectory == 1 else Scripted()
    )
    harness.submit("a", width=4, max_solutions=1, num_shown=4, depth=30)
    events = _ticks(harness, every_s=0.01)
    assert isinstance(events[-1], Finished)
    assert isinstance(events[-2], Progress)
    assert [state for _, _, state, _ in _told(events[-2])] == [
        "running",
        "solved",
        "running",
        "running",
    ]


@pytest.mark.parametrize("num_shown", [0, 4])
def test_watching_changes_no_answer(num_shown: int) -> None:
    harness = make_harness(
        lambda seed, trajectory: Scripted(answer=2 + trajectory % 3, step=1 + trajectory)
    )
    harness.submit("a", width=9, depth=9, num_shown=num_shown)
    [end] = [e for e in _ticks(harness, every_s=1.0) if isinstance(e, Finished)]
    assert [(int(found.tokens[0]), found.votes) for found in end.solutions] == [
        (2, 3),
        (3, 3),
        (4, 3),
    ]
    assert end.supervision_steps == sum(range(1, 10))
