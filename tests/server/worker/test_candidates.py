"""Families that nothing verifies: votes choose candidates, and no answer is called a solution."""

import json
from dataclasses import replace
from typing import Any

import pytest

from gram_core.errors import UnknownTask
from gram_core.puzzles.arc import Arc
from gram_core.puzzles.arc.learned import (
    ORIGINAL,
    TASK,
    TASKS_FILE,
    KnownTask,
    key_of,
    write_tokens,
)
from gram_server.answers import ExactFindings
from gram_server.engine import FoundSolution, Progress
from gram_server.engine.trajectory import TrajectoryView
from gram_server.job import Job
from gram_server.worker.claimed_job import ClaimedJob
from tests.server.worker.harness import World

ARC = Arc()
POSTED = ARC.parse(
    {"train": [{"input": [[1, 2]], "output": [[2, 1]]}], "test": [{"input": [[3, 4]]}]}
)


def arc_job(world: World, *, model: str = "arc-2x2", **options: Any) -> Job:
    fields: Any = {"puzzle": "arc", "task": "arc-2x2", "body": ARC.dump(POSTED)}
    return replace(world.job(model=model, **options), **fields)


def take(world: World, **options: Any) -> ClaimedJob:
    return world.take(arc_job(world, **options), "arc-2x2")


def test_the_answers_with_most_votes_are_candidates(world: World, solved: FoundSolution) -> None:
    grids = [((4, 3),), ((3, 4),), ((3,),)]
    found = tuple(
        replace(solved, tokens=ARC.fill(POSTED, grid), votes=votes)
        for grid, votes in zip(grids, (5, 2, 1), strict=True)
    )
    end = world.end(solutions=found, valid_trajectories=8)
    result = take(world, width=8).response(end, ExactFindings()).model_dump()
    first = {"trajectory": 3, "step": 2, "ms": 12.346}
    assert result["candidates"] == [
        {"answer": [[4, 3]], "votes": 5, "value": 0.75, "first": first},
        {"answer": [[3, 4]], "votes": 2, "value": 0.75, "first": first},
    ]
    assert (result["status"], result["verified"]) == ("answered", False)
    assert (result["solutions"], result["distinct"], result["valid_trajectories"]) == ([], 0, 0)
    assert result["completeness"]["estimate"] is None
    assert result["completeness"]["at_least"] == 0


def test_where_no_answer_is_well_formed_there_is_nothing_to_show(world: World) -> None:
    ragged = ARC.fill(POSTED, ((4, 3),))
    ragged[-1] = 13
    assert not ARC.check(POSTED, ragged)
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
    answer = ARC.fill(POSTED, ((4, 3),))
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


def test_a_model_sees_a_task_that_it_has_learned_through_the_views_of_its_training(
    world: World, solved: FoundSolution
) -> None:
    folder = world.model(TASK.name).info.path
    known = KnownTask(5, [ORIGINAL, "t20123456789"])._asdict()
    (folder / TASKS_FILE).write_text(json.dumps({key_of(POSTED.pairs): known}))
    taken = world.take(arc_job(world, model=TASK.name), TASK.name)
    job = taken.engine_job(clock_offset_s=0.0)
    view = job.view(1)
    assert view is not None
    # The grid 3 4 turned by half, as of vector 6.
    assert view.apply(job.tokens)[[0, 1, -1]].tolist() == [6, 5, 8]
    answer = write_tokens(POSTED.test, ((7,) * 9,), 5)
    assert job.check(view.invert(view.apply(answer)))
    end = world.end(solutions=(replace(solved, tokens=answer),), valid_trajectories=1)
    assert taken.response(end, ExactFindings()).candidates[0].answer == [[7] * 9]
    body = ARC.dump(replace(POSTED, pairs=()))
    other = replace(
        arc_job(world, model=TASK.name), body={**body, "train": [{"input": [[1]], "output": [[1]]}]}
    )
    with pytest.raises(UnknownTask, match="arc-30x30-learned knows 1 tasks by heart"):
        world.take(other, TASK.name)


@pytest.mark.anyio
async def test_candidates_are_not_streamed_as_solutions(
    world: World, solved: FoundSolution
) -> None:
    found = replace(solved, tokens=ARC.fill(POSTED, ((4, 3),)))
    async with world.open(tasks=["arc-2x2"]) as harness:
        await harness.claim(arc_job(world))
        await harness.drained(found, world.end(solutions=(found,), valid_trajectories=1))
    assert world.store.published == []
    result, _ = world.store.completed["a"]
    assert [each["answer"] for each in result["candidates"]] == [[[4, 3]]]
