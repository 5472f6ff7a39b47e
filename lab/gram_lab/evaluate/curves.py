"""What depth and width are worth: solve rates at every split of a budget of supervision steps.

One sweep makes the whole figure: each trajectory runs once, as deep as any point needs it, and a
point of width w and depth d counts the first w trajectories up to their d-th step. Knows no plot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gram_core import puzzles
from gram_lab.data.instances import Case
from gram_lab.evaluate.intervals import Figure, figure
from gram_lab.evaluate.measure import sweep_cases
from gram_lab.evaluate.plan import Contender, Plan

MAX_WIDTH = 256
MAX_DEPTH = 256
BUDGET = 4096
WORTHWHILE = 0.01
"""Share of puzzles that doubling the budget must add; the curve bends where it no longer does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One width and depth."""

    width: int
    depth: int
    solved: Figure
    """Share of puzzles with a valid answer."""
    steps: float
    """Mean steps spent when all trajectories of a puzzle stop at the first valid answer."""

    @property
    def budget(self) -> int:
        """Return the steps that an unsolved puzzle costs."""
        return self.width * self.depth

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return asdict(self) | {"solved": self.solved._asdict()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Point":
        """Read what ``to_json`` wrote."""
        return cls(**{**values, "solved": Figure(**values["solved"])})


class Curve(NamedTuple):
    """All points of one way to run a checkpoint."""

    name: str
    step_flops: int
    points: tuple[Point, ...]
    num_mismatches: int

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {
            "name": self.name,
            "flop_per_step": self.step_flops,
            "mismatches": self.num_mismatches,
            "bend": None if (bend := bent(self.points)) is None else bend.to_json(),
            "best_splits": [point.to_json() for point in best_splits(self.points)],
            "points": [point.to_json() for point in self.points],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Curve":
        """Read what ``to_json`` wrote."""
        points = tuple(Point.from_json(point) for point in values["points"])
        return cls(values["name"], values["flop_per_step"], points, values["mismatches"])


def curve(
    contender: Contender,
    cases: Sequence[Case],
    plan: Plan,
    *,
    budget: int = BUDGET,
    max_width: int = MAX_WIDTH,
    max_depth: int = MAX_DEPTH,
) -> Curve:
    """Measure all widths and depths that are powers of two within a budget.

    Args:
        contender: what to run.
        cases: puzzles.
        plan: how to measure.
        budget: largest width times depth.
        max_width: largest width.
        max_depth: largest depth.
    """
    depths = needed_depths(budget=budget, max_width=max_width, max_depth=max_depth)
    family = puzzles.family(contender.loaded.task.family)
    seeds, num_mismatches = [], 0
    for seed in plan.seeds:
        swept = sweep_cases(
            contender.loaded,
            cases,
            depths=depths,
            seed=seed,
            augment=contender.augment,
            is_complete=True,
            running=plan.running,
        )
        solved_at = np.zeros((len(cases), len(depths)), dtype=np.int64)
        for work, attempt in swept.attempts.items():
            if attempt.solved_at is None:
                continue
            if family.check(cases[work.instance].instance, attempt.tokens):
                solved_at[work] = attempt.solved_at
            else:
                num_mismatches += 1
        seeds.append(solved_at)
    points = grid(seeds, budget=budget, max_depth=max_depth)
    return Curve(contender.name, contender.step_flops, points, num_mismatches)


def needed_depths(*, budget: int, max_width: int, max_depth: int) -> list[int]:
    """Return how deep trajectory 0, 1, ... must run for all points within the budget."""
    depths = []
    for trajectory in range(min(max_width, budget)):
        # The narrowest width, a power of two, that this trajectory belongs to.
        width = 1 << trajectory.bit_length()
        depths.append(min(max_depth, budget // width))
    return [depth for depth in depths if depth]


def grid(seeds: Sequence[NDArray[np.int64]], *, budget: int, max_depth: int) -> tuple[Point, ...]:
    """Return the points that first valid steps make.

    Args:
        seeds: for each seed (puzzles, trajectories), the step from 1; 0 for none.
        budget: largest width times depth.
        max_depth: largest depth.
    """
    num_trajectories = seeds[0].shape[1]
    return tuple(
        _point(seeds, width, depth)
        for width in _powers(num_trajectories)
        for depth in _powers(min(max_depth, budget // width))
    )


def _powers(largest: int) -> list[int]:
    return [1 << power for power in range(largest.bit_length())]


def _point(seeds: Sequence[NDArray[np.int64]], width: int, depth: int) -> Point:
    solved, steps = [], []
    for solved_at in seeds:
        first = np.where(solved_at[:, :width] > 0, solved_at[:, :width], depth + 1).min(axis=1)
        solved.append(first <= depth)
        steps.append(width * np.minimum(first, depth))
    shares = np.asarray(np.mean(solved, axis=0, dtype=np.float64))
    return Point(
        width=width, depth=depth, solved=figure(shares, "share"), steps=float(np.mean(steps))
    )


def best_splits(points: Sequence[Point]) -> list[Point]:
    """Return the best width and depth of every budget, the cheaper of equals."""
    by_budget: dict[int, Point] = {}
    for point in points:
        rival = by_budget.get(point.budget)
        if rival is None or _rank(point) > _rank(rival):
            by_budget[point.budget] = point
    return [by_budget[budget] for budget in sorted(by_budget)]


def _rank(point: Point) -> tuple[float, float]:
    return point.solved.value, -point.steps


def bent(points: Sequence[Point]) -> Point | None:
    """Return the best split of the smallest budget from which no doubling is worth its steps.

    It is the serving default that the curve suggests. None where the last doubling still paid.
    """
    splits = best_splits(points)
    last = len(splits) - 1
    while last and splits[last].solved.value - splits[last - 1].solved.value < WORTHWHILE:
        last -= 1
    return splits[last] if last < len(splits) - 1 else None


def cheapest(points: Sequence[Point], solved: float) -> Point | None:
    """Return the point that reaches a share of solved puzzles in the fewest steps."""
    reached = [point for point in points if point.solved.value >= solved]
    return min(reached, key=lambda point: point.steps, default=None)
