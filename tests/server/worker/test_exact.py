import asyncio
import time
from typing import Any

import numpy as np
import pytest

from gram_core.puzzles import Tokens, family
from gram_server import search_process
from gram_server.answers import ExactFindings
from gram_server.engine import FoundSolution
from gram_server.search_process import Data
from gram_server.worker.claimed_job import ClaimedJob
from gram_server.worker.job_results import find_exactly, needs_exact, without_time
from gram_server.worker.search_pool import SearchPool
from tests.server.worker.harness import World

SOLVED = "1234341221434321"
AMBIGUOUS = "12343412........"
EMPTY = "................"


class InlinePool(SearchPool):
    """Searches here and now, as the process would."""

    async def run(
        self, request: Data, *, owner: object, client: str, deadline_s: float | None
    ) -> Data:
        return search_process.answer(
            {**request, "max_time_s": 60.0, "max_cpu_s": 60.0}, lambda: False
        )


def _find(claimed: ClaimedJob, end: Any) -> ExactFindings:
    return asyncio.run(find_exactly(InlinePool(), claimed, end))


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
    world: World, options: dict[str, str], outcome: str, grids: Any, needed: bool
) -> None:
    claimed = world.take(world.job(**options))
    assert needs_exact(claimed, world.end(outcome, grids=grids)) is needed


@pytest.mark.parametrize(
    ("options", "outcome", "ended"),
    [
        ({"count": "exact"}, "expired", "deadline"),
        ({"count": "exact"}, "cancelled", None),
        ({}, "expired", None),
    ],
)
def test_a_search_that_the_deadline_left_no_time_for_is_told_of(
    world: World, options: dict[str, str], outcome: str, ended: str | None
) -> None:
    claimed = world.take(world.job(**options))
    assert without_time(claimed, world.end(outcome)).ended == ended


def test_the_fallback_gives_one_checked_solution(world: World, solved: FoundSolution) -> None:
    exact = _find(world.take(world.job(fallback="exact")), world.end())
    assert [tokens.tolist() for tokens in exact.solutions] == [solved.tokens.tolist()]
    assert (exact.total, exact.ended) == (None, "complete")


def test_the_fallback_gives_as_many_solutions_as_were_asked_for(world: World) -> None:
    job = world.job(grid=AMBIGUOUS, fallback="exact", max_solutions=2)
    assert len(_find(world.take(job), world.end()).solutions) == 2


@pytest.mark.parametrize(("grid", "found"), [("1234341243212143", 1), ("..1.3.......2..4", 0)])
def test_a_search_that_finds_fewer_than_were_asked_for_has_counted_them(
    world: World, grid: str, found: int
) -> None:
    job = world.job(grid=grid, fallback="exact", max_solutions=2)
    exact = _find(world.take(job), world.end())
    assert (len(exact.solutions), exact.total, exact.ended) == (found, found, "complete")


def test_all_solutions_are_counted(world: World) -> None:
    job = world.job(grid=EMPTY, count="exact")
    exact = _find(world.take(job), world.end(grids=[(SOLVED, 1)]))
    assert (exact.total, exact.solutions, exact.ended) == (288, (), "complete")


def _request(puzzle: str, body: dict[str, object], **fields: object) -> dict[str, Any]:
    request = {"kind": "search", "puzzle": puzzle, "body": body, "num_answers": 0}
    return {**request, "wants_total": True, "max_time_s": 60.0, "max_cpu_s": 60.0, **fields}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("puzzle", "body", "ended", "total"),
    [
        ("sudoku", {"grid": EMPTY}, "complete", 288),
        ("sudoku", {"grid": "11.............."}, "failed", None),
        ("nqueens", {"n": 3}, "complete", 0),
        ("graph-coloring", {"vertices": 30, "edges": []}, "limit", None),
        ("maze", {"grid": ["S..", "...", "..G"]}, "complete", 6),
    ],
)
def test_a_reply_says_how_the_count_ended(
    puzzle: str, body: dict[str, object], ended: str, total: int | None
) -> None:
    reply = search_process.answer(_request(puzzle, body), lambda: False)
    assert (reply["ended"], reply["total"]) == (ended, total)


def test_an_open_maze_is_counted_without_listing_its_paths() -> None:
    grid = ["S" + "." * 63, *["." * 64] * 62, "." * 63 + "G"]
    started_s = time.process_time()
    reply = search_process.answer(_request("maze", {"grid": grid}, num_answers=2), lambda: False)
    assert reply["total"] == 6034934435761406706427864636568328000
    assert len(reply["answers"]) == 2
    assert time.process_time() - started_s < 5.0


def test_a_count_beyond_the_limit_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, total in ((287, None), (288, 288)):
        monkeypatch.setattr(search_process, "MAX_COUNTED", limit)
        reply = search_process.answer(_request("sudoku", {"grid": EMPTY}), lambda: False)
        assert (reply["total"], reply["num_found"]) == (total, 288)


@pytest.mark.slow
def test_what_was_found_in_time_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    # More than the fastest machine finds in that time.
    monkeypatch.setattr(search_process, "MAX_COUNTED", 10**9)
    grid = "1" + "." * 80
    request = _request("sudoku", {"grid": grid}, num_answers=3, max_time_s=4.0)
    reply = search_process.answer(request, lambda: False)
    sudoku = family("sudoku")
    assert (reply["ended"], reply["total"], len(reply["answers"])) == ("time", None, 3)
    assert sudoku.check(sudoku.parse({"grid": grid}), _tokens(reply["answers"][0]))


def test_a_wrong_answer_of_the_solver_is_never_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(family("sudoku")), "check", lambda *_: False)
    request = _request("sudoku", {"grid": EMPTY}, num_answers=3)
    reply = search_process.answer(request, lambda: False)
    assert (reply["ended"], reply["answers"]) == ("failed", [])


def _tokens(answer: str) -> Tokens:
    return np.frombuffer(bytes.fromhex(answer), np.uint8)
