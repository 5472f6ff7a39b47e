"""Scores of samples that are written down by hand, and every way of choosing one of them."""

import numpy as np
import pytest

from gram_core import puzzles
from gram_lab.data.instances import Case
from gram_lab.evaluate import samples as scores
from gram_lab.evaluate.report import summarise
from gram_lab.evaluate.samples import WAYS, accuracy
from gram_lab.rollouts import Answers, Rollouts

TASK = puzzles.task("graph-coloring-4")
# A path 0-1-2-3 has 12 * 2 colourings in 3 colours, 4 up to names: by hand, below.
PATH = puzzles.family("graph-coloring").parse({"vertices": 4, "edges": [[0, 1], [1, 2], [2, 3]]})
ONE, SAME_AS_ONE, TWO, WRONG = (2, 3, 2, 3), (4, 2, 4, 2), (2, 3, 4, 2), (2, 2, 2, 3)


def answers(rows: list[tuple[int, ...]], at: list[int]) -> Answers:
    flat = np.zeros((1, len(rows)), dtype=np.float32)
    return Answers(np.array([at]), np.array([rows], dtype=np.uint8), flat)


def rollouts(first: list[tuple[int, ...]], at: list[int], final: list[tuple[int, ...]]) -> Rollouts:
    """Depth 5; the final answers are what the verifier says of them."""
    family = puzzles.family("graph-coloring")
    is_valid = np.zeros((1, len(first), 5), dtype=bool)
    for row, step in enumerate(at):
        is_valid[0, row, step - 1 : 4] = step > 0
        is_valid[0, row, 4] = family.check(PATH, np.array(final[row], dtype=np.uint8))
    last = answers(final, [5] * len(final))
    settled = Answers.empty(1, len(first), 4)
    return Rollouts(5, is_valid, answers(first, at), settled, last, np.full((1, len(first)), 5))


CASES = [Case(PATH, "all", 4)]
ROLLOUTS = rollouts([ONE, SAME_AS_ONE, TWO, WRONG], [2, 1, 4, 0], [ONE, WRONG, WRONG, WRONG])


def test_the_first_valid_answers_count_and_stop_their_trajectories() -> None:
    samples = scores.first_valid(TASK, CASES, ROLLOUTS)
    assert samples.is_valid.tolist() == [[True, True, True, False]]
    assert samples.num_steps.tolist() == [2 + 1 + 4 + 5]
    assert samples.num_mismatches.tolist() == [0]
    assert scores.sample_validity(samples).tolist() == [0.75]
    assert scores.any_valid(samples).tolist() == [1.0]
    assert scores.coverage(CASES, samples).tolist() == [2 / 4]
    assert scores.conflicts(TASK, CASES, samples).tolist() == [0.0]


def test_without_a_verifier_the_last_answers_count_and_all_steps_are_spent() -> None:
    samples = scores.last_answers(TASK, CASES, ROLLOUTS)
    assert scores.sample_validity(samples).tolist() == [0.25]
    assert samples.num_steps.tolist() == [4 * 5]
    assert scores.coverage(CASES, samples).tolist() == [1 / 4]
    # The most frequent colouring gives both ends of edges 0-1 and 1-2 one colour.
    assert scores.conflicts(TASK, CASES, samples).tolist() == [2.0]


def test_an_answer_that_only_the_device_accepts_is_a_mismatch() -> None:
    claimed = rollouts([WRONG], [3], [ONE])
    samples = scores.first_valid(TASK, CASES, claimed)
    assert samples.num_mismatches.tolist() == [1]
    assert scores.any_valid(samples).tolist() == [0.0]


def test_a_width_stops_as_a_whole_at_its_first_valid_answer() -> None:
    assert scores.lockstep_cost(ROLLOUTS).tolist() == [4 * 1]
    assert scores.lockstep_cost(ROLLOUTS.part(2, 4)).tolist() == [2 * 4]
    assert scores.lockstep_cost(ROLLOUTS.part(3, 4)).tolist() == [5]


def test_bounds_are_those_of_drawing_solutions_at_random() -> None:
    cases = [Case(PATH, "all", number) for number in (1, 4, 40)]
    rng = np.random.default_rng(0)
    drawn = [
        np.mean([len(set(rng.integers(number, size=20))) for _ in range(4000)]) / number
        for number in (1, 4, 40)
    ]
    assert scores.uniform_coverage(cases, 20) == pytest.approx(drawn, abs=0.005)
    assert scores.best_coverage(cases, 20).tolist() == [1.0, 1.0, 0.5]


KEYS = [b"a", b"b", b"b", b"c", b"d", b"d"]
VALUES = [0.2, 0.1, 0.2, 0.3, 0.35, 0.1]


@pytest.mark.parametrize(
    ("way", "index"),
    [("one trajectory", 0), ("value", 4), ("votes", 1), ("votes x value", 4)],
)
def test_each_way_chooses_by_its_own_measure(way: str, index: int) -> None:
    assert WAYS[way](KEYS, VALUES) == index


def test_accuracy_is_the_mean_over_groups_of_the_width() -> None:
    good, renamed, bad = (2, 3, 2, 3), (3, 2, 3, 2), (2, 2, 2, 2)
    final = answers([bad, good, renamed, bad, bad, bad, good], [5] * 7)
    value = np.array([[0.9, 0.5, 0.5, 0.1, 0.2, 0.3, 1.0]], dtype=np.float32)
    final = final._replace(value=value)
    nothing = Rollouts.empty(1, 7, 5, 4)._replace(final=final)
    samples = scores.last_answers(TASK, CASES, nothing)
    assert samples.is_valid.tolist() == [[False, True, True, False, False, False, True]]
    # Two groups of three: in the first, a renamed colouring is the same answer and wins the vote.
    found = {way: float(accuracy(samples, way, 3)[0]) for way in WAYS}
    assert found == {"one trajectory": 0.0, "value": 0.0, "votes": 0.5, "votes x value": 0.5}
    assert accuracy(samples, "votes", 1)[0] == pytest.approx(3 / 7)
    assert accuracy(samples, "value", 7)[0] == 1.0


def test_the_steps_until_a_puzzle_is_solved_are_what_counting_gives() -> None:
    at = np.array([[0, 3, 2], [1, 0, 0], [0, 0, 0]])
    run = Rollouts.empty(3, 3, 3, 16)
    run.first.at[:] = at
    assert scores.solved_at(run).tolist() == [2, 1, 4]
    assert scores.solved_at(run.part(0, 2)).tolist() == [3, 1, 4]


def test_without_a_verifier_trajectories_end_when_they_have_settled_and_most_answers_win() -> None:
    found = rollouts([ONE, ONE, TWO, ONE], [2, 1, 4, 0], [ONE, ONE, TWO, WRONG])
    # The first two settle on wrong answers at steps 5 and 2, the third on a right one at step 4.
    settled = answers([WRONG, WRONG, TWO, (0, 0, 0, 0)], [5, 2, 4, 0])
    is_valid = found.is_valid.copy()
    is_valid[0, 0, 4] = is_valid[0, 1, 1] = False
    found = found._replace(settled=settled, is_valid=is_valid)
    samples = scores.settled_answers(TASK, CASES, found)
    assert samples.is_valid.tolist() == [[False, False, True, False]]
    assert samples.num_steps.tolist() == [5 + 2 + 4 + 5]
    assert samples.num_mismatches.tolist() == [0]
    assert scores.most_frequent_valid(samples).tolist() == [0.0]
    assert scores.most_frequent_valid(samples.part(2, 4)).tolist() == [1.0]
    (report,) = summarise(TASK, CASES, found, halt="settled", is_complete=False)
    assert (report.solved, report.single, report.steps_per_puzzle) == (0.0, 0.0, 16.0)
    assert report.solved_by_width == {1: 0.0, 2: 0.0, 4: 0.0}
