"""Checked samples of puzzles, and scores per puzzle, which figures average.

A sample is one trajectory's answer: its first valid one, as the server returns it, or the last, as
a model without a verifier gives it. Of the last ones, one can be chosen without looking at the
rules. Every score is an array (puzzles,).
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gram_core import puzzles
from gram_core.puzzles import Task
from gram_lab.data.instances import Case
from gram_lab.rollouts import Answers, Rollouts

Scores = NDArray[np.float64]


class Samples(NamedTuple):
    """Answers of all puzzles, each checked by the family's plain checker."""

    answers: Answers
    is_valid: NDArray[np.bool_]
    """(puzzles, width)."""
    keys: list[list[bytes]]
    """The family's canonical form of each answer."""
    num_steps: NDArray[np.int64]
    """(puzzles,) supervision steps spent on all of a puzzle's samples."""
    num_mismatches: NDArray[np.int64]
    """(puzzles,) answers that the device verifier judges differently; must be 0."""

    def part(self, start: int, stop: int) -> "Samples":
        """Return some of each puzzle's samples; what all of them took stays."""
        some = slice(start, stop)
        return self._replace(
            answers=self.answers.part(some),
            is_valid=self.is_valid[:, some],
            keys=[keys[some] for keys in self.keys],
        )


SampleRule = Callable[[Task, Sequence[Case], Rollouts], Samples]
"""Makes samples of rollouts: ``first_valid`` or ``last_answers``."""


def first_valid(task: Task, cases: Sequence[Case], rollouts: Rollouts) -> Samples:
    """Return samples as the server's: each trajectory stops at its first valid answer."""
    is_claimed = rollouts.first.at > 0
    num_steps = np.where(is_claimed, rollouts.first.at, rollouts.depth).sum(axis=1)
    return _checked(task, cases, rollouts.first, is_claimed, num_steps)


def last_answers(task: Task, cases: Sequence[Case], rollouts: Rollouts) -> Samples:
    """Return samples as of a model without a verifier: the answers after the last step."""
    is_claimed = rollouts.is_valid[:, :, -1]
    num_steps = np.full(len(cases), is_claimed.shape[1] * rollouts.depth)
    return _checked(task, cases, rollouts.final, is_claimed, num_steps)


def settled_answers(task: Task, cases: Sequence[Case], rollouts: Rollouts) -> Samples:
    """Return samples without a verifier: each trajectory stops when its answer has settled."""
    settled, final = rollouts.settled, rollouts.final
    has_settled = settled.at > 0
    answers = Answers(
        np.where(has_settled, settled.at, final.at),
        np.where(has_settled[..., None], settled.tokens, final.tokens),
        np.where(has_settled, settled.value, final.value),
    )
    is_claimed = np.take_along_axis(rollouts.is_valid, answers.at[..., None] - 1, axis=2)[..., 0]
    return _checked(task, cases, answers, is_claimed, answers.at.sum(axis=1))


def _checked(
    task: Task,
    cases: Sequence[Case],
    answers: Answers,
    is_claimed: NDArray[np.bool_],
    num_steps: NDArray[np.int64],
) -> Samples:
    family = puzzles.family(task.family)
    rows = list(zip(cases, answers.tokens, strict=True))
    is_valid = np.array(
        [[family.check(case.instance, row) for row in tokens] for case, tokens in rows]
    )
    keys = [[family.canonical(case.instance, row) for row in tokens] for case, tokens in rows]
    num_mismatches = (is_valid != is_claimed).sum(axis=1)
    return Samples(answers, is_valid, keys, num_steps, num_mismatches)


def sample_validity(samples: Samples) -> Scores:
    return np.asarray(samples.is_valid.mean(axis=1))


def any_valid(samples: Samples) -> Scores:
    return np.asarray(samples.is_valid.any(axis=1), dtype=np.float64)


def most_frequent_valid(samples: Samples) -> Scores:
    """Return whether the answer that most samples agree on is valid."""
    return accuracy(samples, "votes", samples.is_valid.shape[1])


def num_distinct(samples: Samples) -> NDArray[np.int64]:
    """Return each puzzle's distinct valid samples."""
    rows = zip(samples.keys, samples.is_valid, strict=True)
    return np.array([len({keys[index] for index in np.flatnonzero(valid)}) for keys, valid in rows])


def coverage(cases: Sequence[Case], samples: Samples) -> Scores:
    """Return each puzzle's distinct valid samples over all of its solutions."""
    return np.asarray(num_distinct(samples) / _num_solutions(cases))


def uniform_coverage(cases: Sequence[Case], num_samples: int) -> Scores:
    """Return the expected coverage of samples drawn uniformly from the solutions."""
    return np.asarray(1.0 - (1.0 - 1.0 / _num_solutions(cases)) ** num_samples)


def best_coverage(cases: Sequence[Case], num_samples: int) -> Scores:
    """Return the coverage of valid samples, all distinct."""
    return np.asarray(np.minimum(1.0, num_samples / _num_solutions(cases)))


def _num_solutions(cases: Sequence[Case]) -> Scores:
    """Return the numbers of solutions; NaN where one is unknown."""
    return np.array([case.num_solutions for case in cases], dtype=np.float64)


def conflicts(task: Task, cases: Sequence[Case], samples: Samples) -> Scores:
    """Return the broken rules (violated edges) of each puzzle's most frequent answer."""
    family = puzzles.family(task.family)
    broken = []
    for case, keys, tokens in zip(cases, samples.keys, samples.answers.tokens, strict=True):
        broken.append(len(family.violations(case.instance, tokens[_elected(keys)])))
    return np.array(broken, dtype=np.float64)


def lockstep_cost(rollouts: Rollouts) -> Scores:
    """Return the steps spent when all trajectories advance together until one is valid."""
    width = rollouts.first.at.shape[1]
    return np.asarray(width * np.minimum(solved_at(rollouts), rollouts.depth), dtype=np.float64)


def solved_at(rollouts: Rollouts) -> NDArray[np.int64]:
    """Return the step of each puzzle's first valid answer, else a step beyond the depth."""
    at = rollouts.first.at
    return np.asarray(np.where(at > 0, at, rollouts.depth + 1).min(axis=1))


def _elected(keys: Sequence[bytes], weights: Sequence[float] | None = None) -> int:
    """Return the index of the key with the largest sum of weights; of equal ones the earliest."""
    totals: defaultdict[bytes, float] = defaultdict(float)
    for key, weight in zip(keys, weights or [1.0] * len(keys), strict=True):
        totals[key] += weight
    return keys.index(max(totals, key=lambda key: totals[key]))


WAYS: Mapping[str, Callable[[Sequence[bytes], list[float]], int]] = {
    "one trajectory": lambda keys, values: 0,
    "value": lambda keys, values: values.index(max(values)),
    "votes": lambda keys, values: _elected(keys),
    "votes x value": _elected,
}
"""How one of a puzzle's answers is chosen, by keys and values, without looking at the rules."""
VERIFIED = "verified"
"""Chooses by the rules: the upper bound of the others."""


def accuracy(samples: Samples, way: str, width: int) -> Scores:
    """Return per puzzle how often a way chooses a right answer among ``width``.

    Averaged over as many groups of ``width`` trajectories as there are.
    """

    def is_right(case: int, start: int) -> bool:
        some = slice(start, start + width)
        values = samples.answers.value[case, some].tolist()
        return bool(samples.is_valid[case, start + WAYS[way](samples.keys[case][some], values)])

    starts = range(0, samples.is_valid.shape[1] - width + 1, width)
    return np.array(
        [np.mean([is_right(case, start) for start in starts]) for case in range(len(samples.keys))]
    )
