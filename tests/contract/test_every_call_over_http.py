"""Every public method of both clients against the real API, over HTTP."""

from typing import Any

import pytest

import gram_client
from tests.clients.scripted import Caller

SUDOKU = "12.4341221434321"
SOLVED = "1234341221434321"


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, base_url: str) -> Caller:
    return Caller(is_async=request.param == "async", base_url=base_url)


def test_solve(call: Caller) -> None:
    assert call("solve", SUDOKU).best.answer == SOLVED
    # In the form that was posted.
    rows = [[1, 2, 0, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]]
    assert call("solve", rows).best.answer[0] == [1, 2, 3, 4]
    with pytest.raises(gram_client.BadRequest) as caught:
        call("solve", "11" + "." * 14)
    assert {issue.rule: issue.cells for issue in caught.value.errors}["row 0"] == ((0, 0), (0, 1))
    assert caught.value.request_id


def test_solve_stream(call: Caller) -> None:
    events = call("solve_stream", SUDOKU, width=2, seed=5)
    assert [type(event).__name__ for event in events] == ["Accepted", "Found", "Done"]
    assert events[0].seed == events[2].result.seed == 5
    assert str(events[2].result.best).startswith("+-----+")


def test_generate(call: Caller) -> None:
    made = call("generate", "sudoku", count=2, seed=5)
    assert (made.status, len(made.boards), made.seed) == ("complete", 2, 5)
    with pytest.raises(gram_client.BadRequest) as caught:
        call("generate", "sudoku", size=9)
    assert caught.value.code == "model_unknown"


@pytest.mark.slow
def test_map(call: Caller) -> None:
    results = call("map", [SUDOKU] * 20, max_concurrency=4, width=2)
    assert [result.best.answer for result in results] == [SOLVED] * 20


def test_puzzles_models_and_health(call: Caller) -> None:
    assert "sudoku" in {puzzle.name for puzzle in call("puzzles")}
    assert "sudoku-4x4" in {model.name for model in call("models")}
    assert call("health").is_ready


def test_the_life_of_a_job(call: Caller) -> None:
    options: dict[str, Any] = {"width": 2, "priority": "high"}
    made = call("jobs.create", SUDOKU, idempotency_key=f"life-{id(call)}", **options)
    again = call("jobs.create", SUDOKU, seed=made.seed, **options)
    assert made.id != again.id
    final = call("jobs.wait", made.id, timeout_s=20)
    assert (final.state, final.is_solved, final.priority) == ("done", True, "high")
    assert str(final.result.best).startswith("+-----+")
    assert call("jobs.get", made.id) == final
    assert call("jobs.cancel", made.id).state == "done"
    events = call("jobs.events", made.id)
    assert [type(event).__name__ for event in events] == ["Accepted", "Found", "Done"]
    assert call("jobs.events", made.id, after=events[-1].id) == []
    assert made.id in [job.id for job in call("jobs.list", limit=200).jobs]


def test_the_same_key_is_the_same_job(call: Caller) -> None:
    key = f"same-{id(call)}"
    one, other = (call("jobs.create", SUDOKU, seed=1, idempotency_key=key) for _ in range(2))
    assert one.id == other.id
    with pytest.raises(gram_client.BadRequest) as caught:
        call("jobs.create", SUDOKU, seed=2, idempotency_key=key)
    assert caught.value.code == "idempotency_conflict"


def test_a_batch(call: Caller) -> None:
    batch = call("jobs.create_batch", [SUDOKU, {"puzzle": "nqueens", "n": 4}], width=2)
    final = call("jobs.wait", batch.id, timeout_s=20)
    assert (final.batch.size, final.batch.finished, final.is_solved) == (2, 2, True)
    assert [part.puzzle for part in final.parts] == ["sudoku", "nqueens"]
    events = call("jobs.events", batch.id)
    assert {event.job_id for event in events if isinstance(event, gram_client.PartEnded)} == {
        part.id for part in final.parts
    }


def test_a_failed_job_says_so_in_every_way(call: Caller) -> None:
    job = call("jobs.create", SUDOKU, seed=13)
    final = call("jobs.wait", job.id, timeout_s=20)
    assert (final.state, final.error.detail) == ("failed", "it was told to")
    ways: list[tuple[str, str, Any]] = [
        ("jobs.events", job.id, {}),
        ("solve_stream", SUDOKU, {"seed": 13}),
    ]
    for method, given, options in ways:
        with pytest.raises(gram_client.ServerFailure, match="it was told to") as caught:
            call(method, given, **options)
        assert caught.value.code == "job_failed"
