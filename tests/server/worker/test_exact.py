import time
from typing import Any

import pytest

from gram_server.worker.assignment import Assignment
from gram_server.worker.exact import find_exactly, needs_exact

SOLVED = "1234341221434321"
AMBIGUOUS = "12343412........"
EMPTY = "................"


def _take(job: Any, guessing_model: Any) -> Assignment:
    info = guessing_model("sudoku-4x4").info
    return Assignment.take(job, {info.name: info}, now_s=1_000.5)


@pytest.mark.parametrize(
    ("options", "outcome", "grids", "needed"),
    [
        ({}, "done", [], False),
        ({"fallback": "exact"}, "done", [], True),
        ({"fallback": "exact"}, "done", [(SOLVED, 1)], False),
        ({"fallback": "exact"}, "expired", [], False),
        ({"count": "exact"}, "done", [(SOLVED, 1)], True),
        ({"count": "exact"}, "cancelled", [], False),
    ],
)
def test_the_exact_solver_is_asked_only_for_what_is_wanted_and_missing(
    make_job: Any,
    make_end: Any,
    guessing_model: Any,
    options: dict[str, str],
    outcome: str,
    grids: Any,
    needed: bool,
) -> None:
    assignment = _take(make_job(**options), guessing_model)
    assert needs_exact(assignment, make_end(outcome, grids=grids)) is needed


def test_the_fallback_gives_one_checked_solution(
    make_job: Any, make_end: Any, guessing_model: Any, solved: Any
) -> None:
    assignment = _take(make_job(fallback="exact"), guessing_model)
    exact = find_exactly(assignment, make_end())
    assert [tokens.tolist() for tokens in exact.solutions] == [solved.tokens.tolist()]
    assert exact.total is None


def test_the_fallback_gives_as_many_solutions_as_were_asked_for(
    make_job: Any, make_end: Any, guessing_model: Any
) -> None:
    job = make_job(grid=AMBIGUOUS, fallback="exact", max_solutions=2)
    exact = find_exactly(_take(job, guessing_model), make_end())
    assert len(exact.solutions) == 2


def test_all_solutions_are_counted(make_job: Any, make_end: Any, guessing_model: Any) -> None:
    job = make_job(grid=EMPTY, count="exact")
    exact = find_exactly(_take(job, guessing_model), make_end(grids=[(SOLVED, 1)]))
    assert (exact.total, exact.solutions) == (288, ())


def test_a_count_beyond_the_limit_is_unknown(
    make_job: Any, make_end: Any, guessing_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gram_server.worker.exact.MAX_COUNTED", 287)
    job = make_job(grid=EMPTY, count="exact")
    assert find_exactly(_take(job, guessing_model), make_end()).total is None


def test_no_search_starts_after_the_deadline(
    make_job: Any, make_end: Any, guessing_model: Any
) -> None:
    job = make_job(count="exact", fallback="exact", deadline_s=time.time() - 1.0)
    exact = find_exactly(_take(job, guessing_model), make_end())
    assert (exact.solutions, exact.total) == ((), None)
