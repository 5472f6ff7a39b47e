"""The paper's tables of puzzles with many solutions: N-Queens and Graph Coloring."""

from collections.abc import Sequence

import numpy as np

from gram_core.checkpoint import LoadedModel
from gram_core.puzzles import Task
from gram_lab.data.instances import Case
from gram_lab.evaluate import scores
from gram_lab.evaluate.intervals import Figure, Kind, figure
from gram_lab.evaluate.plan import Contender, Plan, contenders
from gram_lab.evaluate.published import GRAM_DEPTH, GRAM_SAMPLES, published_rows
from gram_lab.evaluate.scores import Samples, Scores, Take
from gram_lab.evaluate.table import Column, Row, Table
from gram_lab.evaluate.trial import Puzzles
from gram_lab.rollouts import Rollouts

KINDS: dict[str, Kind] = {
    "samples": "mean",
    "any": "share",
    "coverage": "mean",
    "conflicts": "total",
}
COLUMNS = {
    "nqueens": (
        Column("samples", "valid samples"),
        Column("any", f"any of {GRAM_SAMPLES} valid"),
        Column("coverage", "coverage"),
    ),
    "graph-coloring": (
        Column("conflicts", "conflicts", "number"),
        Column("coverage", "coverage"),
        Column("samples", "valid samples"),
        Column("any", f"any of {GRAM_SAMPLES} valid"),
    ),
}
NOTES = (
    f"{GRAM_SAMPLES} samples a puzzle, {GRAM_DEPTH} supervision steps each. *Coverage* is the mean "
    "share of a puzzle's solutions among its samples; *valid samples* the share of single samples "
    "that are right. A row of ours takes each trajectory's first valid answer, as the server does; "
    "the row *no verifier* takes the answers after the last step; rows without noise or without "
    "views run the same weights without them. The two bounds are what a "
    "sampler without fault or preference, and one that never repeats itself, would reach on these "
    "puzzles. Brackets hold 95 % intervals over puzzles.",
)
GRAPHS_NOTES = (
    "*Conflicts* are the violated edges of each graph's most frequent colouring, summed over "
    "the graphs. The paper does not state the edge probability of its random graphs, and coverage "
    "depends on it: 20 samples cannot cover a graph of more than 20 colourings. No test graph is "
    "isomorphic to a training graph.",
)


def sampling_table(loaded: LoadedModel, puzzles: Puzzles, plan: Plan) -> Table:
    """Measure a model, its ablations and its bounds beside the published rows.

    Args:
        loaded: a model of a task whose instances know their number of solutions.
        puzzles: held-out instances.
        plan: how to measure.
    """
    task, cases = loaded.task, puzzles.cases
    name = title = loaded.info.name
    if puzzles.name:
        title = f"{title}, {puzzles.name}"
        name = f"{name}-{puzzles.name.replace(' ', '-')}"
    return Table(
        name=name,
        title=title,
        columns=COLUMNS[task.family],
        rows=[
            *published_rows(task.name, task),
            *_bounds(cases),
            *_ours(loaded, cases, plan),
        ],
        facts=plan.facts(loaded, cases, puzzles.data),
        notes=NOTES + (GRAPHS_NOTES if task.has_adjacency else ()),
    )


def _bounds(cases: Sequence[Case]) -> list[Row]:
    bounds = {
        "bound: uniform over all solutions": scores.uniform_coverage(cases, GRAM_SAMPLES),
        "bound: never the same twice": scores.best_coverage(cases, GRAM_SAMPLES),
    }
    return [
        Row(name=name, figures={"coverage": float(shares.mean())}, is_measured=False)
        for name, shares in bounds.items()
    ]


def _ours(loaded: LoadedModel, cases: Sequence[Case], plan: Plan) -> list[Row]:
    rows = []
    for number, contender in enumerate(contenders(loaded, plan)):
        runs = contender.run(cases, plan, width=GRAM_SAMPLES, depth=GRAM_DEPTH)
        rows.append(_row(contender, cases, runs, scores.first_valid, contender.name))
        if number == 0:
            name = f"{contender.name}, no verifier"
            rows.append(_row(contender, cases, runs, scores.last_answers, name))
    return rows


def _row(
    contender: Contender, cases: Sequence[Case], runs: Sequence[Rollouts], take: Take, name: str
) -> Row:
    task = contender.loaded.task
    seeds = [take(task, cases, rollouts) for rollouts in runs]
    steps = float(np.mean([samples.num_steps.mean() for samples in seeds]))
    scored = [_scores(task, cases, samples) for samples in seeds]
    figures: dict[str, Figure | float] = {
        key: figure(np.mean([each[key] for each in scored], axis=0), KINDS[key])
        for key in scored[0]
    }
    return Row(
        name=name,
        figures=figures,
        steps=steps,
        flops=steps * contender.step_flops,
        num_mismatches=sum(samples.num_mismatches for samples in seeds),
    )


def _scores(task: Task, cases: Sequence[Case], samples: Samples) -> dict[str, Scores]:
    found = {
        "samples": scores.sample_validity(samples),
        "any": scores.any_valid(samples),
        "coverage": scores.coverage(task, cases, samples),
    }
    if task.family == "graph-coloring":
        found["conflicts"] = scores.conflicts(task, cases, samples)
    return found
