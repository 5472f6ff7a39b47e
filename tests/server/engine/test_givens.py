"""Answers that are about another puzzle, as they would be if rows were mixed up."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gram_core.puzzles import BLANK, Symmetry
from gram_server.engine import Finished, Snapshot


def _events(bench: Any) -> list[Any]:
    events: list[Any] = []
    while bench.engine.has_work:
        bench.now_s += 1.0
        events += bench.engine.tick(bench.now_s)
    return events


def _given(value: int) -> Any:
    return np.array([value], np.uint8)


@pytest.mark.parametrize("lag", [0, 1])
def test_an_answer_without_the_givens_of_its_job_is_shown_to_nobody_and_counted(
    make_bench: Any, fate: Any, lag: int
) -> None:
    bench = make_bench(lambda seed, trajectory: fate(), lag=lag)
    bench.submit("mine", tokens=_given(9), width=3, depth=4, num_watched=3)
    bench.submit("blank", depth=4, num_watched=1)
    events = _events(bench)
    ends = {event.job_id: event for event in events if isinstance(event, Finished)}
    sights = {(e.job_id, s.step) for e in events if isinstance(e, Snapshot) for s in e.sights}
    assert sights == {("blank", step) for step in range(1, 5)}
    assert ends["mine"].best_attempt is None
    assert ends["blank"].best_attempt is not None
    # Three trajectories seen at four steps, and at their ends as attempts.
    assert bench.metric("gram_foreign_answers_total") == 3 * 4 + 3


def test_a_trajectory_that_is_cut_short_leaves_no_foreign_attempt(
    make_bench: Any, fate: Any
) -> None:
    bench = make_bench(lambda seed, trajectory: fate())
    bench.submit("mine", tokens=_given(9), depth=40)
    bench.tick(3)
    bench.engine.abort("mine")
    bench.tick()
    assert bench.finished["mine"].best_attempt is None
    assert bench.metric("gram_foreign_answers_total") == 1


def test_the_best_of_the_jobs_own_answers_is_its_attempt(make_bench: Any, fate: Any) -> None:
    answers = {0: 5, 1: 6}
    bench = make_bench(
        lambda seed, trajectory: fate(answer=answers[trajectory], num_violations=trajectory)
    )
    bench.submit("mine", tokens=_given(6), width=2, depth=2, check=lambda tokens: False)
    _fail_verification(bench)
    end = next(event for event in _events(bench) if isinstance(event, Finished))
    assert end.best_attempt is not None
    assert end.best_attempt.tolist() == [6]
    assert bench.metric("gram_foreign_answers_total") == 1


def _fail_verification(bench: Any) -> None:
    """Let every answer fail, so that all of them are attempts."""
    read = bench.runner.read
    bench.runner.read = lambda: replace(report := read(), is_valid=[False] * len(report.is_valid))


def test_givens_are_compared_as_the_user_sees_them(make_bench: Any, fate: Any) -> None:
    swap = Symmetry(positions=np.array([1, 0]), values=np.arange(10, dtype=np.uint8))
    bench = make_bench(lambda seed, trajectory: fate())
    bench.submit(
        "mine", tokens=np.array([3, BLANK], np.uint8), depth=2, num_watched=1, view=lambda _: swap
    )
    _answer_pairs(bench)
    sights = [s for e in _events(bench) if isinstance(e, Snapshot) for s in e.sights]
    assert [sight.tokens().tolist() for sight in sights] == [[3, 2]] * 2
    assert bench.metric("gram_foreign_answers_total") == 0


def _answer_pairs(bench: Any) -> None:
    read = bench.runner.read
    bench.runner.read = lambda: replace(
        report := read(),
        answers=np.array([[2, 3]] * len(report.is_valid), np.uint8),
    )


def test_the_first_foreign_answer_of_a_process_is_logged_and_no_other(
    make_bench: Any, fate: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bench = make_bench(lambda seed, trajectory: fate())
    for number in range(3):
        bench.submit(f"job {number}", tokens=_given(9), width=2, depth=2, num_watched=2)
    _events(bench)
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.getMessage().split(":")[0] for record in errors] == ["job job 0"]
