from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gram_core.errors import PuzzleInvalid
from gram_core.puzzles import FIRST_VALUE, family
from gram_server.answers import ExactFindings, Solution
from gram_server.engine import FoundSolution
from gram_server.errors import ModelUnknown
from tests.server.worker.harness import MakeJob, World

SOLVED = "1234341221434321"
OTHER = "1234341243212143"
AMBIGUOUS = "12343412........"


def test_a_result_has_exactly_the_shape_that_the_interface_promises(world: World) -> None:
    claimed = world.take(world.job(width=8))
    result = claimed.response(world.end(grids=[(SOLVED, 3)]), ExactFindings())
    assert result.model_dump() == {
        "id": "a",
        "puzzle": "sudoku",
        "status": "solved",
        "verified": True,
        "candidates": [],
        "solutions": [
            {
                "answer": SOLVED,
                "votes": 3,
                "source": "model",
                "value": 0.75,
                "first": {"trajectory": 3, "step": 2, "ms": 12.346},
            }
        ],
        "distinct": 1,
        "valid_trajectories": 3,
        "width": 8,
        "depth": 8,
        "completeness": {
            "estimate": None,
            "total": None,
            "method": None,
            "total_status": "not_asked",
            "at_least": 1,
        },
        "exact_search": None,
        "best_attempt": None,
        "usage": {
            "queue_ms": 750.0,
            "engine_ms": 500.0,
            "supervision_steps": 40,
            "wasted_steps": 8,
        },
        "seed": 7,
        "model": world.model("sudoku-4x4").info.id,
        "unsolvable": None,
        "padded_to": None,
    }


def test_an_unsolved_result_shows_the_best_attempt_and_what_it_breaks(
    world: World, wrong_answer: Any
) -> None:
    claimed = world.take(world.job())
    result = claimed.response(world.end(best_attempt=wrong_answer), ExactFindings())
    assert result.status == "unsolved"
    assert (result.completeness.estimate, result.completeness.total) == (None, None)
    assert result.best_attempt is not None
    assert result.best_attempt.answer == "1" * 16
    rules = {violation.rule for violation in result.best_attempt.violations}
    assert {"row 0", "column 3", "given"} <= rules
    unshown = world.take(world.job(best_attempt=False))
    end = world.end(best_attempt=wrong_answer)
    assert unshown.response(end, ExactFindings()).best_attempt is None


def test_a_job_cut_short_by_its_deadline_is_partial_even_with_solutions(world: World) -> None:
    claimed = world.take(world.job())
    result = claimed.response(world.end("expired", grids=[(SOLVED, 1)]), ExactFindings())
    assert (result.status, result.distinct) == ("partial", 1)


@pytest.mark.parametrize(
    ("votes", "estimate"),
    [([8], 1.0), ([1] * 8, 0.0), ([4, 1, 1, 1, 1], 0.5), ([9, 3], 1.0), ([7], None), ([1], None)],
)
def test_completeness_is_good_turing_from_eight_votes_on(
    world: World, votes: list[int], estimate: float | None
) -> None:
    claimed = world.take(world.job(grid=AMBIGUOUS))
    end = world.end(grids=[(SOLVED, count) for count in votes])
    result = claimed.response(end, ExactFindings())
    completeness = result.completeness
    assert (completeness.estimate, completeness.total) == (estimate, None)
    assert completeness.method == (None if estimate is None else "good_turing")
    assert completeness.at_least == len(votes)


def test_the_shortest_paths_of_a_maze_are_counted_for_its_completeness(
    world: World, solved: FoundSolution
) -> None:
    puzzle = family("maze")
    maze = puzzle.parse({"grid": ["S..", "...", "..G"]})
    fields: Any = {"puzzle": "maze", "task": "maze-3x3", "body": puzzle.dump(maze)}
    claimed = world.take(replace(world.job(model="maze-3x3"), **fields), "maze-3x3")
    path = next(puzzle.enumerate(maze, limit=1))
    found = replace(solved, tokens=path, votes=16)
    completeness = claimed.response(world.end(solutions=(found,)), ExactFindings()).completeness
    assert (completeness.estimate, completeness.method) == (1 / 6, "exact")
    assert (completeness.total, completeness.total_status) == (6, "known")


@pytest.mark.parametrize(
    ("count", "exact", "status", "at_least"),
    [
        ("none", ExactFindings(), "not_asked", 1),
        ("exact", ExactFindings(total=5, ended="complete"), "known", 5),
        ("exact", ExactFindings(at_least=10_001, ended="limit"), "more", 10_001),
        ("exact", ExactFindings(at_least=7, ended="time"), "out_of_time", 7),
        ("exact", ExactFindings(ended="busy"), "out_of_time", 1),
        ("exact", ExactFindings(ended="deadline"), "out_of_time", 1),
        ("exact", ExactFindings(ended="unavailable"), "failed", 1),
        ("exact", ExactFindings(ended="failed"), "failed", 1),
    ],
)
def test_the_total_says_why_it_is_a_number_or_null(
    world: World, count: str, exact: ExactFindings, status: str, at_least: int
) -> None:
    claimed = world.take(world.job(grid=AMBIGUOUS, count=count))
    completeness = claimed.response(world.end(grids=[(SOLVED, 1)]), exact).completeness
    assert (completeness.total_status, completeness.at_least) == (status, at_least)
    assert completeness.total == exact.total


def test_unsolvable_is_told_from_given_up(world: World) -> None:
    given_up = world.take(world.job(grid=AMBIGUOUS))
    result = given_up.response(world.end(), ExactFindings())
    assert (result.status, result.unsolvable, result.completeness.total) == ("unsolved", None, None)
    proved = given_up.response(world.end(), ExactFindings(total=0, ended="complete"))
    assert proved.unsolvable is not None
    assert (proved.status, proved.unsolvable.cells) == ("unsolved", [])
    dead = world.take(world.job(grid="123....4........"))
    assert (dead.needs_engine, given_up.needs_engine) == (False, True)
    result = dead.response(world.end(), ExactFindings())
    assert result.unsolvable is not None
    assert result.unsolvable.cells == [[0, 3]]
    assert (result.status, result.completeness.total_status) == ("unsolved", "known")
    assert (result.completeness.total, result.completeness.at_least) == (0, 0)


def test_exact_findings_complete_a_result(world: World, solved: FoundSolution) -> None:
    claimed = world.take(world.job())
    result = claimed.response(world.end(), ExactFindings(solutions=(solved.tokens,), total=1))
    assert result.status == "solved"
    assert result.solutions == [
        Solution(answer=SOLVED, votes=0, source="exact", value=None, first=None)
    ]
    assert (result.completeness.estimate, result.completeness.total) == (1.0, 1)


def test_the_engine_gets_the_job_on_its_own_clock(world: World) -> None:
    job = world.job(width=9, depth=3, max_solutions=2, deadline_s=1_010.0, halt="act")
    engine_job = world.take(job).engine_job(clock_offset_s=-900.0)
    assert engine_job.deadline_s == 110.0
    assert (engine_job.width, engine_job.depth, engine_job.max_solutions) == (9, 3, 2)
    assert (engine_job.halt, engine_job.seed, engine_job.priority) == ("act", 7, 1)


def test_views_are_used_only_when_the_job_wants_them(world: World) -> None:
    viewed = world.take(world.job()).engine_job(clock_offset_s=0.0)
    plain = world.take(world.job(augment=False)).engine_job(clock_offset_s=0.0)
    assert viewed.view(0) is None
    assert viewed.view(1) is not None
    assert plain.view(1) is None


def test_a_job_for_a_model_that_is_not_here_is_refused(world: World) -> None:
    with pytest.raises(ModelUnknown):
        world.take(world.job(model="other"))


def test_a_body_that_cannot_be_read_is_refused(world: World) -> None:
    job = world.job()
    body = {**job.body, "grid": "11.............."}
    object.__setattr__(job, "body", body)
    with pytest.raises(PuzzleInvalid):
        world.take(job)


def test_a_streamed_colouring_is_that_of_the_answer_whichever_trajectory_came_first(
    world: World, solved: FoundSolution
) -> None:
    """The answer has the colouring of the least rank, the stream the first one that was seen."""
    graph: Any = {"vertices": 5, "edges": [[0, 1], [1, 2]], "colors": 3, "fixed": {"0": 2}}
    puzzle = family("graph-coloring")
    job = replace(
        world.job(model="graph-coloring-5"),
        puzzle="graph-coloring",
        task="graph-coloring-5",
        body=puzzle.dump(puzzle.parse(graph)),
    )
    claimed = world.take(job, "graph-coloring-5")
    seen, least = (
        replace(solved, tokens=np.array(colors, np.uint8) + FIRST_VALUE)
        for colors in ([2, 0, 1, 1, 0], [2, 1, 0, 0, 1])
    )
    result = claimed.response(
        world.end(solutions=(least,)), ExactFindings(solutions=(seen.tokens,))
    )
    answers = [solution.answer for solution in result.solutions]
    assert answers == [claimed.solution(seen).answer] * 2
    assert answers[0] == [2, 0, 1, 1, 0]


PATH = {"vertices": 3, "edges": [[0, 1], [1, 2]], "colors": 3}


def _graph_job(make_job: MakeJob, body: Any, **fields: Any) -> Any:
    puzzle = family("graph-coloring")
    instance = puzzle.parse(body)
    name = puzzle.task_of(instance).name
    return replace(
        make_job(**fields), puzzle="graph-coloring", task=name, body=puzzle.dump(instance)
    )


def test_a_padded_job_is_checked_counted_and_answered_as_it_was_posted(
    world: World, solved: FoundSolution
) -> None:
    info = world.model("graph-coloring-5").info
    job = _graph_job(world.job, PATH, model=info.name)
    claimed = world.take(job, info.name)
    engine_job = claimed.engine_job(clock_offset_s=0.0)
    assert engine_job.tokens.shape == (5,)
    assert engine_job.adjacency is not None
    assert engine_job.adjacency.shape == (5, 5)
    right, same, wrong = (
        np.array(colors, np.uint8) + FIRST_VALUE
        for colors in ([0, 1, 2, 0, 0], [1, 2, 0, 2, 1], [0, 0, 1, 2, 0])
    )
    assert [engine_job.check(tokens) for tokens in (right, same, wrong)] == [True, True, False]
    # What padding may be coloured with makes no other solution.
    assert engine_job.canonical(right) == engine_job.canonical(same)
    end = world.end(solutions=(replace(solved, tokens=right),))
    result = claimed.response(end, ExactFindings())
    assert [solution.answer for solution in result.solutions] == [[0, 1, 2]]
    assert (result.padded_to, result.model) == ("graph-coloring-5", info.id)
    attempt = claimed.response(world.end(best_attempt=wrong), ExactFindings()).best_attempt
    assert attempt is not None
    assert attempt.answer == [0, 0, 1]
    assert [violation.rule for violation in attempt.violations] == ["edge 0-1"]


def test_a_job_that_its_model_cannot_take_even_padded_is_refused(world: World) -> None:
    info = world.model("graph-coloring-5").info
    for body in ({"vertices": 6, "edges": []}, {"vertices": 3, "edges": [], "colors": 4}):
        job = _graph_job(world.job, body, model=info.name)
        with pytest.raises(ModelUnknown):
            world.take(job, info.name)
    with pytest.raises(ModelUnknown):
        world.take(world.job(model=info.name), info.name)
