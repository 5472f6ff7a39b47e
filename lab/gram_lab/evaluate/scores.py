"""Numbers per puzzle that the samples of a puzzle make; figures average them.

A sample is one trajectory's answer: its first valid one, as the server returns it, or the one after
the last step, as a model without a verifier gives it. Every score is an array (puzzles,).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gram_core import puzzles
from gram_core.puzzles import Task, Tokens
from gram_lab.data.instances import Case
from gram_lab.rollouts import Answers, Rollouts

Scores = NDArray[np.float64]


class Samples(NamedTuple):
    """Answers of all puzzles, each judged by the family's plain checker."""

    tokens: Tokens
    """(puzzles, width, length)."""
    is_valid: NDArray[np.bool_]
    """(puzzles, width)."""
    num_steps: Scores
    """(puzzles,) supervision steps spent on all of a puzzle's samples."""
    num_mismatches: int
    """Answers that the device verifier judges differently; must be 0."""


Take = Callable[[Task, Sequence[Case], Rollouts], Samples]
"""Makes samples of rollouts: ``first_valid`` or ``last_answers``."""


def first_valid(task: Task, cases: Sequence[Case], rollouts: Rollouts) -> Samples:
    """Return what the server would: each trajectory stops at its first valid answer."""
    at = rollouts.first.at
    steps = np.where(at > 0, at, rollouts.depth).sum(axis=1).astype(np.float64)
    return _judged(task, cases, rollouts.first, claimed=at > 0, steps=steps)


def last_answers(task: Task, cases: Sequence[Case], rollouts: Rollouts) -> Samples:
    """Return what a model without a verifier gives: the answers after the last step."""
    width = rollouts.is_valid.shape[1]
    steps = np.full(len(cases), width * rollouts.depth, dtype=np.float64)
    claimed = rollouts.is_valid[:, :, -1]
    return _judged(task, cases, rollouts.final, claimed=claimed, steps=steps)


def _judged(
    task: Task,
    cases: Sequence[Case],
    answers: Answers,
    *,
    claimed: NDArray[np.bool_],
    steps: Scores,
) -> Samples:
    family = puzzles.family(task.family)
    is_valid = np.array(
        [
            [family.check(case.instance, row) for row in rows]
            for case, rows in zip(cases, answers.tokens, strict=True)
        ]
    )
    return Samples(answers.tokens, is_valid, steps, int((is_valid != claimed).sum()))


def sample_validity(samples: Samples) -> Scores:
    """Return the share of each puzzle's samples that are valid."""
    return np.asarray(samples.is_valid.mean(axis=1))


def any_valid(samples: Samples) -> Scores:
    """Return 1 for a puzzle with at least one valid sample."""
    return np.asarray(samples.is_valid.any(axis=1), dtype=np.float64)


def coverage(task: Task, cases: Sequence[Case], samples: Samples) -> Scores:
    """Return each puzzle's distinct valid samples over all of its solutions."""
    family = puzzles.family(task.family)
    shares = []
    for case, rows, valid in zip(cases, samples.tokens, samples.is_valid, strict=True):
        keys = {family.canonical(case.instance, row) for row in rows[valid]}
        shares.append(len(keys) / _number(case))
    return np.array(shares)


def uniform_coverage(cases: Sequence[Case], num_samples: int) -> Scores:
    """Return the coverage expected of a sampler that is always right and never prefers."""
    numbers = _numbers(cases)
    return np.asarray(1.0 - (1.0 - 1.0 / numbers) ** num_samples)


def best_coverage(cases: Sequence[Case], num_samples: int) -> Scores:
    """Return the coverage of samples that are all valid and never alike."""
    return np.asarray(np.minimum(1.0, num_samples / _numbers(cases)))


def conflicts(task: Task, cases: Sequence[Case], samples: Samples) -> Scores:
    """Return the broken rules (violated edges) of each puzzle's most frequent answer."""
    family = puzzles.family(task.family)
    broken = []
    for case, rows in zip(cases, samples.tokens, strict=True):
        keys = [family.canonical(case.instance, row) for row in rows]
        # Of equally frequent answers, the one found by the earliest trajectory.
        winner = Counter(keys).most_common(1)[0][0]
        violations = family.violations(case.instance, rows[keys.index(winner)])
        broken.append(len(violations))
    return np.array(broken, dtype=np.float64)


def lockstep_cost(rollouts: Rollouts) -> Scores:
    """Return the steps spent when all trajectories advance together until one is valid."""
    at = np.where(rollouts.first.at > 0, rollouts.first.at, rollouts.depth)
    cost: Scores = at.min(axis=1) * np.float64(at.shape[1])
    return cost


def _numbers(cases: Sequence[Case]) -> Scores:
    return np.array([_number(case) for case in cases], dtype=np.float64)


def _number(case: Case) -> int:
    assert case.num_solutions is not None
    return case.num_solutions
