"""Solve rates of one checkpoint by width, and their cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gram_core.checkpoint import LoadedModel
from gram_core.puzzles import Task
from gram_lab.data.instances import Case
from gram_lab.evaluate.samples import (
    any_valid,
    coverage,
    first_valid,
    most_frequent_valid,
    num_distinct,
    settled_answers,
)
from gram_lab.evaluate.variants import Plan, Variant
from gram_lab.rollouts import DEFAULT, Rollouts, Running, Stops

Halt = Literal["verified", "settled"]
"""When trajectories stop: at a verified answer, or without a verifier when their answer has
settled."""


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


def measure(
    loaded: LoadedModel,
    cases: Sequence[Case],
    *,
    width: int,
    depth: int,
    seed: int = 0,
    augment: bool = True,
    halt: Halt = "verified",
    is_complete: bool = False,
    running: Running = DEFAULT,
) -> list[Report]:
    """Run trajectories on every case and summarise them.

    With ``is_complete`` every trajectory runs, also of solved instances, and solutions are counted.
    """
    stops: Stops = "settled" if halt == "settled" else "valid" if is_complete else "solved"
    (found,) = Variant(loaded=loaded, augment=augment).run(
        cases, Plan(running=running, seeds=(seed,)), width=width, depth=depth, stops=stops
    )
    return summarise(loaded.task, cases, found, halt=halt, is_complete=is_complete)


def summarise(
    task: Task,
    cases: Sequence[Case],
    found: Rollouts,
    *,
    halt: Halt = "verified",
    is_complete: bool,
) -> list[Report]:
    """Return one report over all cases and, where there are several groups, one each.

    ``is_complete``: every trajectory ran, so solutions may be counted.
    """
    samples = (first_valid if halt == "verified" else settled_answers)(task, cases, found)
    choose = any_valid if halt == "verified" else most_frequent_valid
    solved, width = choose(samples), samples.is_valid.shape[1]
    by_width = {
        1 << power: choose(samples.part(0, 1 << power)) for power in range(width.bit_length())
    }
    is_whole = is_complete or halt == "settled"
    num_steps = samples.num_steps if is_whole else found.served_steps()

    def report(group: str, chosen: NDArray[np.bool_]) -> Report:
        covered = coverage(cases, samples)[chosen]
        known = covered[~np.isnan(covered)]
        return Report(
            group=group,
            instances=int(chosen.sum()),
            width=width,
            depth=found.depth,
            solved=float(solved[chosen].mean()),
            single=float(samples.is_valid[chosen, 0].mean()),
            solved_by_width={each: float(by_width[each][chosen].mean()) for each in by_width},
            distinct=float(num_distinct(samples)[chosen].mean()) if is_complete else None,
            coverage=float(known.mean()) if is_complete and len(known) else None,
            steps_per_puzzle=float(num_steps[chosen].mean()),
            mismatches=int(samples.num_mismatches[chosen].sum()),
        )

    whole = report("all", np.ones(len(cases), dtype=bool))
    group_of = np.array([case.group for case in cases])
    groups = sorted(set(group_of.tolist()))
    return [whole, *(report(group, group_of == group) for group in groups if len(groups) > 1)]
