"""``gram-lab evaluate --grid``: every width and depth that are powers of two, from one recording.

A row of a width and a depth counts the first trajectories of each puzzle up to that step. At the
full depth one answer is also chosen without looking at the rules, way by way.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gram_core.checkpoint import LoadedModel
from gram_lab.data.instances import Case
from gram_lab.evaluate.intervals import figure
from gram_lab.evaluate.plan import Contender, Plan, contenders
from gram_lab.evaluate.selection import VERIFIED, WAYS, Judged, accuracies, judged
from gram_lab.evaluate.table import Column, Row, Table
from gram_lab.rollouts import Rollouts

COLUMNS = tuple(Column(way, way) for way in (VERIFIED, *WAYS))
NOTES = (
    "*Verified* is right where any trajectory has a valid answer by that depth; steps are those "
    "until then, all trajectories of a puzzle together. At the full depth *one trajectory* takes "
    "the first answer, *value* the one that the value head expects most of, *votes* the most "
    "frequent one, *votes x value* the one with the largest sum of values, *halt* the one that the "
    "halt head is surest of. Brackets hold 95 % intervals over puzzles.",
)


def grid_table(
    loaded: LoadedModel, cases: Sequence[Case], plan: Plan, *, data: str, width: int, depth: int
) -> Table:
    """Measure a model, its ablations and its twin at all widths and depths up to these."""
    rows = [
        row
        for contender in contenders(loaded, plan)
        for row in _rows(contender, cases, plan, width, depth)
    ]
    return Table(
        name=f"{loaded.info.name}-{width}-x-{depth}",
        title=f"{loaded.info.name}, up to {width} x {depth}",
        columns=COLUMNS,
        rows=rows,
        facts=plan.facts(loaded, cases, data),
        notes=NOTES,
    )


def _rows(
    contender: Contender, cases: Sequence[Case], plan: Plan, width: int, depth: int
) -> list[Row]:
    runs = contender.run(cases, plan, width=width, depth=depth)
    ready = [judged(contender.loaded.task, cases, run.final) for run in runs]
    return [
        _row(contender, runs, ready if number == depth else (), each, number)
        for each in powers(width)
        for number in powers(depth)
    ]


def powers(largest: int) -> list[int]:
    """Return the powers of two below a number, and the number."""
    return [*(1 << power for power in range((largest - 1).bit_length())), largest]


def _row(
    contender: Contender,
    runs: Sequence[Rollouts],
    ready: Sequence[Judged],
    width: int,
    depth: int,
) -> Row:
    first = [verified_at(run, width, depth) for run in runs]
    chosen = [accuracies(each, width) for each in ready]
    shares = {way: np.mean([each[way] for each in chosen], axis=0) for way in WAYS if chosen}
    shares[VERIFIED] = np.mean([at <= depth for at in first], axis=0, dtype=np.float64)
    steps = width * float(np.mean([np.minimum(at, depth) for at in first]))
    return Row(
        name=f"{contender.name}, {width} x {depth}",
        figures={way: figure(share, "share") for way, share in shares.items()},
        steps=steps,
        flops=steps * contender.step_flops,
    )


def verified_at(run: Rollouts, width: int, depth: int) -> NDArray[np.int64]:
    """Return the step at which each puzzle is solved, (puzzles,); beyond the depth for none."""
    at = run.first.at[:, :width]
    return np.asarray(np.where((at > 0) & (at <= depth), at, depth + 1).min(axis=1))
