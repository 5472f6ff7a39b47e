"""Jobs whose solutions count by trajectory alone, as sampling boards wants them."""

import math
import random
from typing import Any

import pytest

from tests.server.engine.harness import Harness, Scripted, make_harness

WIDTH = 60
DEPTH = 6


def scripted(share: float, *, num_answers: int = 200) -> Any:
    """Return what trajectories do by chance, the same for the same (seed, trajectory)."""

    def script(seed: int, trajectory: int) -> Any:
        draw = random.Random(seed * 1000 + trajectory)
        if draw.random() >= share:
            return Scripted()
        return Scripted(answer=2 + draw.randrange(num_answers), step=1 + draw.randrange(DEPTH))

    return script


def expected(script: Any, *, count: int, seed: int, distinct: bool) -> tuple[list[Any], int, int]:
    """Return the solutions as (trajectory, answer), then how many were valid, and ended."""
    found: list[tuple[int, int]] = []
    num_valid = 0
    for trajectory in range(WIDTH):
        answer = script(seed, trajectory).answer
        if answer is not None:
            num_valid += 1
            if not distinct or answer not in [known for _, known in found]:
                found.append((trajectory, answer))
        if len(found) == count:
            return found, num_valid, trajectory + 1
    return found, num_valid, WIDTH


def sample(harness: Harness, name: str, *, count: int, seed: int, **options: Any) -> None:
    harness.submit(
        name,
        width=WIDTH,
        depth=DEPTH,
        seed=seed,
        max_solutions=count,
        order="trajectory",
        **options,
    )


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("num_slots", [1, 4, 64])
@pytest.mark.parametrize("distinct", [True, False])
@pytest.mark.parametrize("num_answers", [3, 200])
def test_the_lowest_trajectories_are_taken_whatever_else_runs(
    share: float, num_slots: int, distinct: bool, num_answers: int
) -> None:
    script = scripted(share, num_answers=num_answers)
    harness = make_harness(script, num_slots=num_slots)
    harness.submit("other", width=9, depth=4, seed=77)
    for seed in range(4):
        sample(harness, f"job {seed}", count=7, seed=seed, distinct=distinct)
        harness.tick(seed)
    harness.run()
    for seed in range(4):
        end = harness.finished[f"job {seed}"]
        found, num_valid, num_ended = expected(script, count=7, seed=seed, distinct=distinct)
        assert [(s.trajectory, int(s.tokens[0])) for s in end.solutions] == found
        assert (end.valid_trajectories, end.ended_trajectories) == (num_valid, num_ended)
        told = [event for event in harness.found if event.job_id == f"job {seed}"]
        assert [(s.trajectory, int(s.tokens[0])) for s in told] == found


def test_no_trajectory_starts_that_should_not_be_needed() -> None:
    harness = make_harness(
        lambda seed, trajectory: Scripted(answer=2 + trajectory, step=3), num_slots=64
    )
    sample(harness, "a", count=20, seed=0)
    harness.run()
    end = harness.finished["a"]
    assert (end.supervision_steps, end.wasted_steps, harness.now_s) == (60, 0, 3.0)


def test_a_rare_answer_is_soon_looked_for_with_all_there_is() -> None:
    rare = {50: Scripted(answer=9)}
    harness = make_harness(rare, num_slots=64)
    sample(harness, "a", count=1, seed=0)
    harness.run()
    # Their number doubles each time a round of them has ended.
    rounds = math.ceil(math.log2(51))
    assert harness.now_s <= rounds * DEPTH
    assert harness.finished["a"].ended_trajectories == 51


def test_a_deadline_leaves_what_was_found_in_order() -> None:
    def script(seed: int, trajectory: int) -> Any:
        return Scripted(answer=2 + trajectory, step=1 if trajectory % 2 else 5)

    harness = make_harness(script, num_slots=4)
    sample(harness, "a", count=8, seed=0, deadline_s=4.5)
    harness.run()
    end = harness.finished["a"]
    assert end.outcome == "expired"
    assert [s.trajectory for s in end.solutions] == [1, 3, 5]
    assert (end.valid_trajectories, end.ended_trajectories) == (3, 3)


def test_a_wide_job_leaves_others_their_share() -> None:
    harness = make_harness(lambda seed, trajectory: Scripted(answer=2 + trajectory, step=3))
    sample(harness, "wide", count=50, seed=0)
    harness.tick(2)
    harness.submit("narrow", width=1, depth=DEPTH)
    harness.run()
    assert harness.finished_s["narrow"] <= 2.0 + 3.0
    assert harness.finished_s["wide"] > harness.finished_s["narrow"]
