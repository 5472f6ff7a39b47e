"""Tables of puzzles that want one answer: the paper's of Sudoku, and ours of sizes and mazes."""

from collections.abc import Sequence

import numpy as np

from gram_core.checkpoint import LoadedModel
from gram_lab.data.instances import Case
from gram_lab.evaluate import scores
from gram_lab.evaluate.intervals import figure, wilson
from gram_lab.evaluate.measure import measure
from gram_lab.evaluate.plan import Contender, Plan, contenders
from gram_lab.evaluate.published import GRAM_DEPTH, GRAM_SAMPLES, published_rows
from gram_lab.evaluate.selection import WAYS, accuracies, judged
from gram_lab.evaluate.table import Column, Row, Table
from gram_lab.evaluate.trial import Puzzles
from gram_lab.rollouts import Rollouts

WIDTHS = (1, 5, GRAM_SAMPLES)
CHOSEN_WAYS = ("value", "votes")
SERVED_WIDTH = 64
SERVED_DEPTH = 64
COLUMNS = (Column("exact", "right"),)
NOTES = (
    "Share of puzzles answered right. *Verified* rows stop all trajectories of a puzzle at the "
    "first valid answer among them, as the server does, and count the steps spent until then; rows "
    "*by value* and *by votes* choose among the answers after the last step without looking at "
    "the rules; rows without noise or without views run the same weights without them. Brackets "
    "hold 95 % intervals over puzzles.",
)

PUBLISHED_NOTES = ("Published rows are on Sudoku-Extreme.",)


def solving_table(loaded: LoadedModel, puzzles: Puzzles, plan: Plan) -> Table:
    """Measure a model and its ablations beside the published rows.

    Args:
        loaded: a model of a Sudoku task.
        puzzles: with one solution each.
        plan: how to measure.
    """
    cases = puzzles.cases
    published = published_rows(loaded.task.name, loaded.task)
    return Table(
        name=loaded.info.name,
        title=loaded.info.name,
        columns=COLUMNS,
        rows=[
            *published,
            *_ours(loaded, cases, plan),
            _served(loaded, cases, plan),
        ],
        facts=plan.facts(loaded, cases, puzzles.data),
        notes=NOTES + (PUBLISHED_NOTES if published else ()),
    )


def _ours(loaded: LoadedModel, cases: Sequence[Case], plan: Plan) -> list[Row]:
    rows = []
    for number, contender in enumerate(contenders(loaded, plan)):
        runs = contender.run(cases, plan, width=GRAM_SAMPLES, depth=GRAM_DEPTH)
        widths = WIDTHS if number == 0 else (1, GRAM_SAMPLES)
        rows += [_verified(contender, cases, runs, width) for width in widths]
        if number == 0:
            rows += _chosen(contender, cases, runs)
    return rows


def _verified(
    contender: Contender, cases: Sequence[Case], runs: Sequence[Rollouts], width: int
) -> Row:
    parts = [rollouts.part(0, width) for rollouts in runs]
    samples = [scores.first_valid(contender.loaded.task, cases, part) for part in parts]
    steps = float(np.mean([scores.lockstep_cost(part).mean() for part in parts]))
    exact = np.mean([scores.any_valid(each) for each in samples], axis=0)
    return Row(
        name=f"{contender.name}, N = {width}, verified",
        figures={"exact": figure(exact, "share")},
        steps=steps,
        flops=steps * contender.step_flops,
        num_mismatches=sum(each.num_mismatches for each in samples),
    )


def _chosen(contender: Contender, cases: Sequence[Case], runs: Sequence[Rollouts]) -> list[Row]:
    seeds = [judged(contender.loaded.task, cases, rollouts.final) for rollouts in runs]
    rows = []
    for width in WIDTHS:
        found = [accuracies(each, width) for each in seeds]
        ways = CHOSEN_WAYS if width > 1 else tuple(WAYS)[:1]
        for way in ways:
            right = np.mean([each[way] for each in found], axis=0)
            name = f"by {way}" if width > 1 else "no verifier"
            steps = float(width * GRAM_DEPTH)
            rows.append(
                Row(
                    name=f"{contender.name}, N = {width}, {name}",
                    figures={"exact": figure(right, "share")},
                    steps=steps,
                    flops=steps * contender.step_flops,
                )
            )
    return rows


def _served(loaded: LoadedModel, cases: Sequence[Case], plan: Plan) -> Row:
    """What a request of the serving width and depth gets, its later trajectories saved."""
    reports = [
        measure(
            loaded,
            cases,
            width=SERVED_WIDTH,
            depth=SERVED_DEPTH,
            seed=seed,
            running=plan.running,
        )[0]
        for seed in plan.seeds
    ]
    steps = float(np.mean([report.steps_per_puzzle for report in reports]))
    solved = float(np.mean([report.solved for report in reports]))
    contender = contenders(loaded, plan)[0]
    return Row(
        name=f"ours, width {SERVED_WIDTH}, depth {SERVED_DEPTH}, verified",
        figures={"exact": wilson(solved, len(cases))},
        steps=steps,
        flops=steps * contender.step_flops,
        num_mismatches=sum(report.mismatches for report in reports),
    )
