"""Turns rollouts into the figures people compare models by."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from gram_core import puzzles
from gram_core.puzzles import Task
from gram_lab.data.instances import Case
from gram_lab.rollouts import Rollouts


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Figures over one group of instances."""

    group: str
    instances: int
    width: int
    depth: int
    solved: float
    """Share of instances with a verified answer among ``width`` trajectories."""
    single: float
    """Share solved by the first trajectory, the one that sees the board as posted."""
    solved_by_width: dict[int, float]
    """Share solved by the first 1, 2, 4 ... trajectories."""
    distinct: float | None
    """Mean distinct solutions per instance; None when trajectories stopped at the first."""
    coverage: float | None
    """Mean share of all solutions found, over instances whose number is known."""
    steps_per_puzzle: float
    """Mean supervision steps spent on an instance, those of dropped trajectories included."""
    mismatches: int
    """Answers that the device verifier and the independent check judge differently; must be 0."""

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return asdict(self)


def summarise(
    task: Task, cases: Sequence[Case], found: Rollouts, *, is_complete: bool
) -> list[Report]:
    """Return one report over all cases and, where there are several groups, one each.

    Args:
        task: of the cases.
        cases: in the order of the rollouts.
        found: what their trajectories came to.
        is_complete: whether every trajectory ran, so that solutions may be counted.
    """
    outcomes = [
        _outcome(task, case, found, index, is_complete=is_complete)
        for index, case in enumerate(cases)
    ]
    groups = sorted({case.group for case in cases})
    named = {"all": outcomes} | {
        group: [each for each, case in zip(outcomes, cases, strict=True) if case.group == group]
        for group in (groups if len(groups) > 1 else ())
    }
    width = found.num_steps.shape[1]
    return [
        _report(group, chosen, width=width, depth=found.depth) for group, chosen in named.items()
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    first_solver: int | None
    is_single: bool
    distinct: int | None
    coverage: float | None
    num_steps: int
    mismatches: int


def _outcome(task: Task, case: Case, found: Rollouts, index: int, *, is_complete: bool) -> _Outcome:
    family = puzzles.family(task.family)
    valid = np.flatnonzero(found.first.at[index]).tolist()
    tokens = found.first.tokens[index]
    confirmed = [each for each in valid if family.check(case.instance, tokens[each])]
    keys = {family.canonical(case.instance, tokens[each]) for each in confirmed}
    is_counted = is_complete and case.num_solutions is not None
    return _Outcome(
        first_solver=min(confirmed, default=None),
        is_single=0 in confirmed,
        distinct=len(keys) if is_complete else None,
        coverage=len(keys) / case.num_solutions if is_counted and case.num_solutions else None,
        num_steps=int(found.num_steps[index].sum()),
        mismatches=len(valid) - len(confirmed),
    )


def _report(group: str, outcomes: Sequence[_Outcome], *, width: int, depth: int) -> Report:
    number = len(outcomes)
    solvers = [each.first_solver for each in outcomes if each.first_solver is not None]
    widths = [1 << power for power in range(width.bit_length())]
    counted = [each.distinct for each in outcomes if each.distinct is not None]
    coverages = [each.coverage for each in outcomes if each.coverage is not None]
    return Report(
        group=group,
        instances=number,
        width=width,
        depth=depth,
        solved=len(solvers) / number,
        single=sum(each.is_single for each in outcomes) / number,
        solved_by_width={
            each: sum(solver < each for solver in solvers) / number for each in widths
        },
        distinct=sum(counted) / number if counted else None,
        coverage=sum(coverages) / len(coverages) if coverages else None,
        steps_per_puzzle=sum(each.num_steps for each in outcomes) / number,
        mismatches=sum(each.mismatches for each in outcomes),
    )
