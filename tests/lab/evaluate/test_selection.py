"""Every way of choosing, on answers where they differ."""

import numpy as np
import pytest

from gram_core import puzzles
from gram_lab.data.instances import Case
from gram_lab.evaluate.selection import VERIFIED, WAYS, Candidates, accuracies, judged
from gram_lab.rollouts import Answers

CANDIDATES = Candidates(
    keys=[b"a", b"b", b"b", b"c", b"d", b"d"],
    halt=np.array([-1, -2, -3, 4, 0, 0], dtype=np.float32),
    value=np.array([0.2, 0.1, 0.2, 0.3, 0.35, 0.1], dtype=np.float32),
)


@pytest.mark.parametrize(
    ("way", "index"),
    [("one trajectory", 0), ("value", 4), ("votes", 1), ("votes x value", 4), ("halt", 3)],
)
def test_each_way_chooses_by_its_own_measure(way: str, index: int) -> None:
    assert WAYS[way](CANDIDATES) == index


def test_accuracy_is_the_mean_over_groups_of_the_width() -> None:
    task = puzzles.task("graph-coloring-4")
    path = {"vertices": 4, "edges": [[0, 1], [1, 2], [2, 3]]}
    case = Case(puzzles.family("graph-coloring").parse(path), "all", 4)
    good, renamed, bad = [2, 3, 2, 3], [3, 2, 3, 2], [2, 2, 2, 2]
    tokens = np.array([[bad, good, renamed, bad, bad, bad, good]], dtype=np.uint8)
    value = np.array([[0.9, 0.5, 0.5, 0.1, 0.2, 0.3, 1.0]], dtype=np.float32)
    halt = -value
    answers = Answers(np.full((1, 7), 3), tokens, halt, value)
    ready = judged(task, [case], answers)
    assert ready.is_valid.tolist() == [[False, True, True, False, False, False, True]]
    # Two groups of three: in the first, a renamed colouring is the same answer and wins the vote.
    found = {name: float(share[0]) for name, share in accuracies(ready, 3).items()}
    assert found == {
        "one trajectory": 0.0,
        "value": 0.0,
        "votes": 0.5,
        "votes x value": 0.5,
        "halt": 0.5,
        VERIFIED: 0.5,
    }
    assert accuracies(ready, 1)[VERIFIED][0] == pytest.approx(3 / 7)
    assert accuracies(ready, 7)["value"][0] == 1.0
