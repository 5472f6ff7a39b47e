"""Answers that are about another puzzle, as they would be if rows were mixed up."""

from typing import Any

import numpy as np
import pytest

from gram_core.puzzles import BLANK, Symmetry
from gram_server.engine import Finished, Progress, StepReport
from tests.server.engine.harness import Harness, Scripted, make_harness


def _events(harness: Harness) -> list[Any]:
    events: list[Any] = []
    while harness.engine.has_work:
        harness.now_s += 1.0
        events += harness.engine.tick(harness.now_s)
    return events


def _given(value: int) -> Any:
    return np.array([value], np.uint8)


@pytest.mark.parametrize("pipeline_depth", [0, 1])
def test_an_answer_without_the_givens_of_its_job_is_shown_to_nobody_and_counted(
    pipeline_depth: int,
) -> None:
    harness = make_harness(pipeline_depth=pipeline_depth)
    harness.submit("mine", tokens=_given(9), width=3, depth=4, num_shown=3)
    harness.submit("blank", depth=4, num_shown=1)
    events = _events(harness)
    ends = {event.job_id: event for event in events if isinstance(event, Finished)}
    seen = {(e.job_id, s.step) for e in events if isinstance(e, Progress) for s in e.trajectories}
    assert seen == {("blank", step) for step in range(1, 5)}
    assert ends["mine"].best_attempt is None
    assert ends["blank"].best_attempt is not None
    # Three trajectories seen at four steps, and at their ends as attempts.
    assert harness.metric("gram_foreign_answers_total") == 3 * 4 + 3


def test_a_trajectory_that_is_cut_short_leaves_no_foreign_attempt() -> None:
    harness = make_harness()
    harness.submit("mine", tokens=_given(9), depth=40)
    harness.tick(3)
    harness.engine.abort("mine")
    harness.tick()
    assert harness.finished["mine"].best_attempt is None
    assert harness.metric("gram_foreign_answers_total") == 1


def test_the_best_of_the_jobs_own_answers_is_its_attempt() -> None:
    answers = {0: 5, 1: 6}
    harness = make_harness(
        lambda seed, trajectory: Scripted(answer=answers[trajectory], num_violations=trajectory)
    )
    harness.submit("mine", tokens=_given(6), width=2, depth=2, check=lambda tokens: False)

    # Every answer fails, so that all of them are attempts.
    def refuse(report: StepReport) -> StepReport:
        report.is_valid[:] = False
        return report

    harness.runner.change = refuse
    end = next(event for event in _events(harness) if isinstance(event, Finished))
    assert end.best_attempt is not None
    assert end.best_attempt.tolist() == [6]
    assert harness.metric("gram_foreign_answers_total") == 1


def test_givens_are_compared_as_the_user_sees_them() -> None:
    swap = Symmetry(positions=np.array([1, 0]), values=np.arange(10, dtype=np.uint8))
    harness = make_harness()
    harness.submit(
        "mine", tokens=np.array([3, BLANK], np.uint8), depth=2, num_shown=1, view=lambda _: swap
    )

    def answer(report: StepReport) -> StepReport:
        report.answers = np.array([[2, 3]] * len(report.is_valid), np.uint8)
        return report

    harness.runner.change = answer
    views = [s for e in _events(harness) if isinstance(e, Progress) for s in e.trajectories]
    assert [view.tokens().tolist() for view in views] == [[3, 2]] * 2
    assert harness.metric("gram_foreign_answers_total") == 0


def test_the_first_foreign_answer_of_a_process_is_logged_and_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    harness = make_harness()
    for number in range(3):
        harness.submit(f"job {number}", tokens=_given(9), width=2, depth=2, num_shown=2)
    _events(harness)
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.getMessage().split(":")[0] for record in errors] == ["job job 0"]
