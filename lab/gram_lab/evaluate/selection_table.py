"""``gram-lab evaluate --selection``: one answer chosen from N, way by way."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from gram_core.checkpoint import LoadedModel
from gram_lab.data.instances import Case
from gram_lab.evaluate.intervals import figure
from gram_lab.evaluate.plan import Plan, contenders
from gram_lab.evaluate.rollouts import Answers, Rollouts
from gram_lab.evaluate.selection import VERIFIED, WAYS, accuracies, judged
from gram_lab.evaluate.table import Column, Row, Table

Halting = Literal["never", "act"]

WIDTHS = (1, 5, 20, 64)
NOTES = {
    "never": "All trajectories run to the last step and their last answers are chosen from.",
    "act": "A trajectory ends where the halt head stops it, or at the last step.",
}
READING = (
    "*One trajectory* takes the first answer, *value* the one that the value head expects most of, "
    "*votes* the most frequent one, *votes x value* the one with the largest sum of values, *halt* "
    "the one that the halt head is surest of; *verified* is right where any of the same answers "
    "is. Brackets hold 95 % intervals over puzzles."
)


def selection_table(
    loaded: LoadedModel,
    cases: Sequence[Case],
    plan: Plan,
    *,
    data: str,
    depth: int,
    halting: Halting,
    widths: Sequence[int] = WIDTHS,
) -> Table:
    """Measure every way of choosing at every width.

    Args:
        loaded: the checkpoint.
        cases: puzzles.
        plan: how to measure.
        data: what the cases are, in words.
        depth: supervision steps of every trajectory.
        halting: whether the halt head may stop a trajectory earlier.
        widths: trajectories that are chosen from.
    """
    ours = contenders(loaded, plan)[0]
    runs = ours.run(cases, plan, width=max(widths), depth=depth)
    moments = [run.halted if halting == "act" else run.final for run in runs]
    ready = [judged(loaded.task, cases, moment) for moment in moments]
    rows = []
    for width in widths:
        found = [accuracies(each, width) for each in ready]
        shares = {way: np.mean([each[way] for each in found], axis=0) for way in found[0]}
        steps = width * float(np.mean([_steps(*pair) for pair in zip(moments, runs, strict=True)]))
        rows.append(
            Row(
                name=f"N = {width}",
                figures={way: figure(share, "share") for way, share in shares.items()},
                steps=steps,
                flops=steps * ours.step_flops,
            )
        )
    suffix = "" if halting == "never" else f"-{halting}"
    return Table(
        name=f"{loaded.info.name}-depth-{depth}{suffix}",
        title=f"{loaded.info.name}, depth {depth}",
        columns=tuple(Column(way, way) for way in (*WAYS, VERIFIED)),
        rows=rows,
        facts=plan.facts(loaded, cases, data),
        notes=(NOTES[halting], READING),
    )


def _steps(moment: Answers, rollouts: Rollouts) -> float:
    """Mean steps of a trajectory until its answer was taken."""
    return float(np.where(moment.at > 0, moment.at, rollouts.depth).mean())
