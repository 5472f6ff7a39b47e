"""Choosing one of N answers without looking at the rules: by value, votes or halt confidence.

``verified`` is what the rules would have chosen among the same answers: no other way can be right
more often.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gram_core import puzzles
from gram_core.puzzles import Task
from gram_lab.data.instances import Case
from gram_lab.evaluate.scores import Scores
from gram_lab.rollouts import Answers


class Candidates(NamedTuple):
    """The answers of one puzzle's trajectories."""

    keys: Sequence[bytes]
    """The family's canonical form of each answer."""
    halt: NDArray[np.float32]
    value: NDArray[np.float32]


def by_first(candidates: Candidates) -> int:
    """Choose the answer of the first trajectory."""
    return 0


def by_value(candidates: Candidates) -> int:
    """Choose the answer that the value head expects most of."""
    return int(candidates.value.argmax())


def by_halt(candidates: Candidates) -> int:
    """Choose the answer that the halt head is surest to stop at."""
    return int(candidates.halt.argmax())


def by_votes(candidates: Candidates) -> int:
    """Choose the most frequent answer, the earliest of equally frequent ones."""
    return _elected(candidates.keys, [1.0] * len(candidates.keys))


def by_weighted_votes(candidates: Candidates) -> int:
    """Choose the answer with the largest sum of values."""
    return _elected(candidates.keys, candidates.value.tolist())


def _elected(keys: Sequence[bytes], weights: Sequence[float]) -> int:
    totals: defaultdict[bytes, float] = defaultdict(float)
    for key, weight in zip(keys, weights, strict=True):
        totals[key] += weight
    return keys.index(max(totals, key=lambda key: totals[key]))


WAYS: Mapping[str, Callable[[Candidates], int]] = {
    "one trajectory": by_first,
    "value": by_value,
    "votes": by_votes,
    "votes x value": by_weighted_votes,
    "halt": by_halt,
}
VERIFIED = "verified"


class Judged(NamedTuple):
    """Answers of all puzzles at one moment, ready to be chosen from."""

    answers: Answers
    keys: list[list[bytes]]
    is_valid: NDArray[np.bool_]
    """(puzzles, width) by the family's plain checker."""


def judged(task: Task, cases: Sequence[Case], answers: Answers) -> Judged:
    """Check and name every answer once."""
    family = puzzles.family(task.family)
    rows = list(zip(cases, answers.tokens, strict=True))
    return Judged(
        answers,
        [[family.canonical(case.instance, row) for row in tokens] for case, tokens in rows],
        np.array([[family.check(case.instance, row) for row in tokens] for case, tokens in rows]),
    )


def accuracies(judged: Judged, width: int) -> dict[str, Scores]:
    """Return how often each way chooses a right answer among ``width``, per puzzle.

    The trajectories are cut into as many groups of that width as they give, and averaged over.
    """
    num_groups = judged.is_valid.shape[1] // width
    found: dict[str, Scores] = {}
    for name, choose in WAYS.items():
        found[name] = np.array(
            [
                np.mean(
                    [
                        _is_right(judged, case, group * width, width, choose)
                        for group in range(num_groups)
                    ]
                )
                for case in range(len(judged.keys))
            ]
        )
    groups = judged.is_valid[:, : num_groups * width].reshape(-1, num_groups, width)
    found[VERIFIED] = groups.any(axis=2).mean(axis=1)
    return found


def _is_right(
    judged: Judged, case: int, start: int, width: int, choose: Callable[[Candidates], int]
) -> bool:
    some = slice(start, start + width)
    candidates = Candidates(
        judged.keys[case][some], judged.answers.halt[case, some], judged.answers.value[case, some]
    )
    return bool(judged.is_valid[case, start + choose(candidates)])
