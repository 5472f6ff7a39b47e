"""Solve rates of one checkpoint by width, and their cost."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gram_core.checkpoint import LoadedModel
from gram_core.puzzles import Task
from gram_lab.data.instances import Case
from gram_lab.evaluate.samples import (
    Scores,
    any_valid,
    first_valid,
    most_frequent_valid,
    num_distinct,
    settled_answers,
)
from gram_lab.evaluate.variants import Plan, Variant
from gram_lab.rollouts import DEFAULT, Rollouts, Running, Stops


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Figures over one group of instances."""

    group: str
    instances: int
    width: int
    depth: int
    solved: float
    """Share of instances with a verified answer among ``width`` trajectories; without a verifier,
    of those whose most frequent answer is right."""
    single: float
    """Share solved by the first trajectory, which sees the board as posted."""
    solved_by_width: dict[int, float]
    """Share solved by the first 1, 2, 4 ... trajectories."""
    distinct: float | None
    """Mean distinct solutions per instance; None when trajectories stopped at the first."""
    coverage: float | None
    """Mean share of all solutions found, over instances whose number is known."""
    steps_per_puzzle: float
    """Mean supervision steps on an instance: of a job for one solution, in the server's order of
    starts, or of all trajectories where all ran."""
    mismatches: int
    """Answers that the device verifier and the independent check judge differently; must be 0."""

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def measure(
    loaded: LoadedModel,
    cases: Sequence[Case],
    *,
    width: int,
    depth: int,
    seed: int = 0,
    augment: bool = True,
    halt: Literal["verified", "settled"] = "verified",
    is_complete: bool = False,
    running: Running = DEFAULT,
) -> list[Report]:
    """Run trajectories on every case and summarise them.

    ``halt`` says when trajectories stop: at a verified answer, or without a verifier when their
    answer has settled. With ``is_complete`` every trajectory runs, also of solved instances, and
    solutions are counted.
    """
    plan = Plan(command="", running=running, seeds=(seed,))
    stops: Stops = "valid" if is_complete else "solved"
    if halt == "settled":
        stops = "settled"
    variant = Variant(loaded=loaded, augment=augment)
    (found,) = variant.run(cases, plan, width=width, depth=depth, stops=stops)
    return summarise(loaded.task, cases, found, halt=halt, is_complete=is_complete)


def summarise(
    task: Task,
    cases: Sequence[Case],
    found: Rollouts,
    *,
    halt: Literal["verified", "settled"] = "verified",
    is_complete: bool,
) -> list[Report]:
    """Return one report over all cases and, where there are several groups, one each.

    ``is_complete``: every trajectory ran, so solutions may be counted.
    """
    per_case = _scores(task, cases, found, is_verified=halt == "verified", is_complete=is_complete)
    whole = _report("all", per_case, np.ones(len(cases), dtype=bool), found)
    group_of = np.array([case.group for case in cases])
    groups = sorted(set(group_of.tolist()))
    if len(groups) == 1:
        return [whole]
    return [whole, *(_report(group, per_case, group_of == group, found) for group in groups)]


class _Scores(NamedTuple):
    """Each an array (cases,)."""

    by_width: dict[int, Scores]
    solved: Scores
    single: NDArray[np.bool_]
    distinct: NDArray[np.float64]
    """NaN where solutions were not counted, as is coverage."""
    coverage: Scores
    num_steps: NDArray[np.int64]
    num_mismatches: NDArray[np.int64]


def _scores(
    task: Task, cases: Sequence[Case], found: Rollouts, *, is_verified: bool, is_complete: bool
) -> _Scores:
    samples = (first_valid if is_verified else settled_answers)(task, cases, found)
    choose = any_valid if is_verified else most_frequent_valid
    distinct = np.where(is_complete, num_distinct(samples), np.nan)
    num_solutions = np.array([case.num_solutions or np.nan for case in cases])
    widths = [1 << power for power in range(samples.is_valid.shape[1].bit_length())]
    is_whole = is_complete or not is_verified
    return _Scores(
        by_width={width: choose(samples.part(0, width)) for width in widths},
        solved=choose(samples),
        single=samples.is_valid[:, 0],
        distinct=distinct,
        coverage=distinct / num_solutions,
        num_steps=samples.num_steps if is_whole else found.served_steps(),
        num_mismatches=samples.num_mismatches,
    )


def _report(group: str, scores: _Scores, chosen: NDArray[np.bool_], found: Rollouts) -> Report:
    return Report(
        group=group,
        instances=int(chosen.sum()),
        width=found.num_steps.shape[1],
        depth=found.depth,
        solved=float(scores.solved[chosen].mean()),
        single=float(scores.single[chosen].mean()),
        solved_by_width={
            width: float(each[chosen].mean()) for width, each in scores.by_width.items()
        },
        distinct=_mean(scores.distinct[chosen]),
        coverage=_mean(scores.coverage[chosen]),
        steps_per_puzzle=float(scores.num_steps[chosen].mean()),
        mismatches=int(scores.num_mismatches[chosen].sum()),
    )


def _mean(values: Scores) -> float | None:
    """Return the mean of the known values; None where there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
