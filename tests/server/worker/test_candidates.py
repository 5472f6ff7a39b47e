"""Families that nothing verifies: votes choose candidates, and no answer is called a solution."""

from dataclasses import replace
from typing import Any

import pytest

from gram_core.puzzles.arc import Arc
from gram_server.answers import ExactFindings
from gram_server.engine import FoundSolution, Progress
from gram_server.engine.trajectory import TrajectoryView
from gram_server.job import Job
from gram_server.worker.claimed_job import ClaimedJob
from tests.server.worker.harness import World

ARC = Arc()
TASK = ARC.parse(
    {"train": [{"input": [[1, 2]], "output": [[2, 1]]}], "test": [{"input": [[3, 4]]}]}
)


def arc_job(world: World, **options: Any) -> Job:
    fields: Any = {"puzzle": "arc", "task": "arc-2x2", "body": ARC.dump(TASK)}
    return replace(world.job(model="arc-2x2", **options), **fields)


def take(world: World, **options: Any) -> ClaimedJob:
    return world.take(arc_job(world, **options), "arc-2x2")


def test_the_answers_with_most_votes_are_candidates(world: World, solved: FoundSolution) -> None:
    grids = [((4, 3),), ((3, 4),), ((3,),)]
    found = tuple(
        replace(solved, tokens=ARC.fill(TASK, grid), votes=votes)
        for grid, votes in zip(grids, (5, 2, 1), strict=True)
    )
    end = world.end(solutions=found, valid_trajectories=8)
    result = take(world, width=8).response(end, ExactFindings()).model_dump()
    first = {"trajectory": 3, "step": 2, "ms": 12.346}
    assert result["candidates"] == [
        {"answer": [[4, 3]], "votes": 5, "value": 0.75, "first": first},
        {"answer": [[3, 4]], "votes": 2, "value": 0.75, "first": first},
    ]
    assert (result["status"], result["verified"]) == ("unsolved", False)
    assert (result["solutions"], result["distinct"], result["valid_trajectories"]) == ([], 0, 0)
    assert result["completeness"]["estimate"] is None
    assert result["completeness"]["at_least"] == 0


def test_where_no_answer_is_well_formed_there_is_nothing_to_show(world: World) -> None:
    ragged = ARC.fill(TASK, ((4, 3),))
    ragged[-1] = 13
    assert not ARC.check(TASK, ragged)
    result = take(world).response(world.end(best_attempt=ragged), ExactFindings())
    assert (result.candidates, result.best_attempt) == ([], None)


@pytest.mark.parametrize(
    ("halt", "meant"), [("verified", "settled"), ("settled", "settled"), ("act", "act")]
)
def test_a_trajectory_votes_with_the_answer_that_it_settles_at(
    world: World, halt: str, meant: str
) -> None:
    job = take(world, halt=halt, max_solutions=1).engine_job(clock_offset_s=0.0)
    # A first answer would end the job before the others have voted.
    assert (job.halt, job.max_solutions) == (meant, None)
    known = world.take(world.job(halt=halt, max_solutions=1)).engine_job(clock_offset_s=0.0)
    assert (known.halt, known.max_solutions) == (halt, 1)


def test_no_trajectory_is_shown_as_solved(world: World) -> None:
    answer = ARC.fill(TASK, ((4, 3),))
    views = (
        TrajectoryView(0, 6, "solved", answer, None),
        TrajectoryView(1, 6, "running", answer, None),
    )
    look = Progress(
        job_id="a", step=6, live=1, solved=1, solved_at=(0, 0, 0, 0, 0, 1), trajectories=views
    )
    shown = take(world).progress(look)
    assert [each.state for each in shown.trajectories] == ["halted", "running"]
    assert (shown.solved, shown.solved_at) == (0, [])
    assert shown.trajectories[0].answer == [[4, 3]]


@pytest.mark.anyio
async def test_candidates_are_not_streamed_as_solutions(
    world: World, solved: FoundSolution
) -> None:
    found = replace(solved, tokens=ARC.fill(TASK, ((4, 3),)))
    async with world.open(tasks=["arc-2x2"]) as harness:
        await harness.claim(arc_job(world))
        await harness.drained(found, world.end(solutions=(found,), valid_trajectories=1))
    assert world.store.published == []
    result, _ = world.store.completed["a"]
    assert [each["answer"] for each in result["candidates"]] == [[[4, 3]]]
