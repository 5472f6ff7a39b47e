"""Turns attempts into the figures people compare models by."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType

from gram_core import puzzles
from gram_core.puzzles.base import Task
from gram_lab.data.instances import Case
from gram_lab.evaluate.sweep import Attempt, Work


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
    task: Task,
    cases: Sequence[Case],
    attempts: dict[Work, Attempt],
    *,
    width: int,
    depth: int,
    is_complete: bool,
    dropped_steps: Mapping[int, int] = MappingProxyType({}),
) -> list[Report]:
    """Return one report over all cases and, where there are several groups, one each.

    Args:
        task: of the cases.
        cases: in the order that ``Work.instance`` counts them.
        attempts: what each trajectory came to; missing ones were dropped as not needed.
        width: trajectories per instance.
        depth: supervision steps per trajectory.
        is_complete: whether every trajectory ran, so that solutions may be counted.
        dropped_steps: spent on a case by trajectories that were dropped on their way.
    """
    by_case: list[dict[int, Attempt]] = [{} for _ in cases]
    for work, attempt in attempts.items():
        by_case[work.instance][work.trajectory] = attempt
    outcomes = [
        _outcome(
            task, case, found, is_complete=is_complete, num_dropped=dropped_steps.get(index, 0)
        )
        for index, (case, found) in enumerate(zip(cases, by_case, strict=True))
    ]
    groups = sorted({case.group for case in cases})
    named = [("all", outcomes)]
    if len(groups) > 1:
        named += [
            (
                group,
                [each for each, case in zip(outcomes, cases, strict=True) if case.group == group],
            )
            for group in groups
        ]
    return [_report(group, chosen, width=width, depth=depth) for group, chosen in named]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    first_solver: int | None
    is_single: bool
    distinct: int | None
    coverage: float | None
    num_steps: int
    mismatches: int


def _outcome(
    task: Task, case: Case, found: dict[int, Attempt], *, is_complete: bool, num_dropped: int
) -> _Outcome:
    family = puzzles.family(task.family)
    valid = {index: each for index, each in found.items() if each.solved_at is not None}
    confirmed = {
        index: each for index, each in valid.items() if family.check(case.instance, each.tokens)
    }
    keys = {family.canonical(case.instance, each.tokens) for each in confirmed.values()}
    is_counted = is_complete and case.num_solutions is not None
    return _Outcome(
        first_solver=min(confirmed, default=None),
        is_single=0 in confirmed,
        distinct=len(keys) if is_complete else None,
        coverage=len(keys) / case.num_solutions if is_counted and case.num_solutions else None,
        num_steps=sum(each.num_steps for each in found.values()) + num_dropped,
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
