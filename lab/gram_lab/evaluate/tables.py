"""The tables of a model: the paper's, ours of sizes and mazes, and the grid of widths and depths.

Published figures and bounds come first, then the model, its ablations and deterministic twin.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from gram_core import puzzles
from gram_core.bound_step import buckets
from gram_core.checkpoint import LoadedModel
from gram_core.errors import ConfigError
from gram_core.puzzles import Task
from gram_lab.data.instances import Case, is_listed
from gram_lab.evaluate import samples as scores
from gram_lab.evaluate.published import GENERATION, GRAM_DEPTH, GRAM_SAMPLES, published
from gram_lab.evaluate.samples import VERIFIED, WAYS, SampleRule, Samples, Scores, accuracy
from gram_lab.evaluate.table import Column, Json, Row, table
from gram_lab.evaluate.variants import Plan, Variant, variants
from gram_lab.intervals import Figure, Kind, figure, wilson
from gram_lab.rollouts import Rollouts

NOTES = {
    "solving": (
        "Share of puzzles answered right. *Verified* rows stop all trajectories of a puzzle at the "
        "first valid answer among them, as the server does, and count the steps spent until then; "
        "rows *by value* and *by votes* choose among the answers after the last step without "
        "looking at the rules; rows without noise or without views run the same weights without "
        "them. Brackets hold 95 % intervals over puzzles."
    ),
    "published": "Published rows are on Sudoku-Extreme.",
    "sampling": (
        f"{GRAM_SAMPLES} samples a puzzle, {GRAM_DEPTH} supervision steps each. *Coverage* is the "
        "mean share of a puzzle's solutions among its samples; *valid samples* the share of single "
        "samples that are right. A row of ours takes each trajectory's first valid answer, as the "
        "server does; the row *no verifier* takes the answers after the last step; rows without "
        "noise or without views run the same weights without them. The two bounds are what a "
        "sampler without fault or preference, and one that never repeats itself, would reach on "
        "these puzzles. Brackets hold 95 % intervals over puzzles."
    ),
    "graphs": (
        "*Conflicts* are the violated edges of each graph's most frequent colouring, summed over "
        "the graphs. The paper does not state the edge probability of its random graphs, and "
        "coverage depends on it: 20 samples cannot cover a graph of more than 20 colourings. No "
        "test graph is isomorphic to a training graph."
    ),
    "generation": (
        "Samples from the empty board. Rows of a depth take every answer after the last step, "
        "before any verification; the row *first valid* stops at the first valid one, as `POST "
        "/generate` does. No symmetry views. Steps and GFLOP are per sample; brackets hold 95 % "
        "intervals over samples."
    ),
    "grid": (
        "*Verified* is right where any trajectory has a valid answer by that depth; steps are "
        "those until then, all trajectories of a puzzle together. At the full depth *one "
        "trajectory* takes the first answer, *value* the one that the value head expects most of, "
        "*votes* the most frequent one, *votes x value* the one with the largest sum of values. "
        "Brackets hold 95 % intervals over puzzles."
    ),
}


class TestSet(NamedTuple):
    """Puzzles to measure on."""

    name: str
    """What sets them apart, for headings; empty where a task has only one set."""
    data: str
    """Description for readers."""
    cases: list[Case]


SOLVED_WIDTHS = (1, 5, GRAM_SAMPLES)
CHOICES = (
    (1, "one trajectory", "no verifier"),
    *((width, way, f"by {way}") for width in SOLVED_WIDTHS[1:] for way in ("value", "votes")),
)
"""Widths, ways to choose one answer, and what their rows are called."""
SERVED = 64
"""Width and depth of the measured server request."""


def solving_table(loaded: LoadedModel, test: TestSet, plan: Plan) -> Json:
    """Measure a model whose puzzles want one answer."""
    cases, task = test.cases, loaded.task
    rows = published(task.name, task)
    notes = [NOTES["solving"], NOTES["published"]] if rows else [NOTES["solving"]]
    ours, *others = variants(loaded, plan)
    for variant in (ours, *others):
        runs = variant.run(cases, plan, width=GRAM_SAMPLES, depth=GRAM_DEPTH)
        for width in SOLVED_WIDTHS if variant is ours else (1, GRAM_SAMPLES):
            parts = [run.part(0, width) for run in runs]
            steps = float(np.mean([scores.lockstep_cost(part) for part in parts]))
            rows.append(_solved(variant, cases, parts, f"N = {width}, verified", steps))
        if variant is ours:
            seeds = [scores.last_answers(task, cases, run) for run in runs]
            for width, way, text in CHOICES:
                right = figures([{"exact": accuracy(each, way, width)} for each in seeds])
                rows.append(
                    ours.row(f"N = {width}, {text}", right, steps=float(width * GRAM_DEPTH))
                )
    runs = ours.run(cases, plan, width=SERVED, depth=SERVED, stops="solved")
    steps = float(np.mean([run.served_steps() for run in runs]))
    text = f"width {SERVED}, depth {SERVED}, verified"
    rows.append(_solved(ours, cases, runs, text, steps))
    return table(
        loaded.info.name,
        loaded.info.name,
        columns=(COLUMNS["exact"],),
        rows=rows,
        facts=plan.facts(loaded, cases, test.data),
        notes=notes,
    )


def _solved(
    variant: Variant, cases: Sequence[Case], runs: Sequence[Rollouts], text: str, steps: float
) -> Row:
    seeds = [scores.first_valid(variant.loaded.task, cases, run) for run in runs]
    exact = figures([{"exact": scores.any_valid(each)} for each in seeds])
    return variant.row(text, exact, steps=steps, seeds=seeds)


KINDS: dict[str, Kind] = {"samples": "mean", "coverage": "mean", "conflicts": "total"}
"""Of figures that are no shares of puzzles, by the key of their column."""
COLUMNS = {
    each.key: each
    for each in (
        Column("exact", "right"),
        Column("conflicts", "conflicts", "number"),
        Column("samples", "valid samples"),
        Column("any", f"any of {GRAM_SAMPLES} valid"),
        Column("coverage", "coverage"),
    )
}


def averaged(seeds: Sequence[Mapping[str, Scores]]) -> dict[str, Scores]:
    """Return scores per puzzle, by the key of their column, as means over seeds."""
    return {key: np.mean([each[key] for each in seeds], axis=0) for key in seeds[0]}


def figures(seeds: Sequence[Mapping[str, Scores]]) -> dict[str, Figure]:
    """Return the figures of scores per puzzle, of one seed or several."""
    found = averaged(seeds).items()
    return {key: figure(value, KINDS.get(key, "share")) for key, value in found}


def has_many(task: Task) -> bool:
    """Return whether puzzles of a task have many solutions, and their number is known."""
    return task.family in ("nqueens", "graph-coloring") and is_listed(task)


def sampling_table(loaded: LoadedModel, test: TestSet, plan: Plan) -> Json:
    """Measure a model whose puzzles have many solutions, of known number."""
    task, cases = loaded.task, test.cases
    name = title = loaded.info.name
    if test.name:
        title, name = f"{title}, {test.name}", f"{name}-{test.name.replace(' ', '-')}"
    bounds = {
        "bound: uniform over all solutions": scores.uniform_coverage(cases, GRAM_SAMPLES),
        "bound: never the same twice": scores.best_coverage(cases, GRAM_SAMPLES),
    }
    rows = published(task.name, task)
    for text, shares in bounds.items():
        rows.append(Row(name=text, measured=False, figures={"coverage": float(shares.mean())}))
    for number, variant in enumerate(variants(loaded, plan)):
        runs = variant.run(cases, plan, width=GRAM_SAMPLES, depth=GRAM_DEPTH)
        rows.append(_sampled(variant, cases, runs, scores.first_valid, ""))
        if number == 0:
            rows.append(_sampled(variant, cases, runs, scores.last_answers, "no verifier"))
    is_graph = task.has_adjacency
    queens, graphs = ("samples", "any", "coverage"), ("conflicts", "coverage", "samples", "any")
    return table(
        name,
        title,
        columns=[COLUMNS[key] for key in (graphs if is_graph else queens)],
        rows=rows,
        facts=plan.facts(loaded, cases, test.data),
        notes=(NOTES["sampling"], NOTES["graphs"]) if is_graph else (NOTES["sampling"],),
    )


def _sampled(
    variant: Variant, cases: Sequence[Case], runs: Sequence[Rollouts], rule: SampleRule, text: str
) -> Row:
    task = variant.loaded.task
    seeds = [rule(task, cases, run) for run in runs]
    found = figures([sample_scores(task, cases, each) for each in seeds])
    steps = float(np.mean([each.num_steps for each in seeds]))
    return variant.row(text, found, steps=steps, seeds=seeds)


def sample_scores(task: Task, cases: Sequence[Case], samples: Samples) -> dict[str, Scores]:
    """Return the scores of samples of puzzles with many solutions, by the key of their column."""
    found = {
        "samples": scores.sample_validity(samples),
        "any": scores.any_valid(samples),
        "coverage": scores.coverage(cases, samples),
    }
    if task.has_adjacency:
        found["conflicts"] = scores.conflicts(task, cases, samples)
    return found


NUM_SAMPLES = 1000
DEPTHS = (4, 8, GRAM_DEPTH, 32, 64)


def generation_table(loaded: LoadedModel, plan: Plan, *, num_samples: int = NUM_SAMPLES) -> Json:
    """Measure the boards generated from an empty one: how many are valid, and distinct.

    ``num_samples`` boards are made for every seed and depth.
    """
    # The empty board looks the same through every view, so views would only rename the answers.
    ours, *others = [
        replace(each, augment=False) for each in variants(loaded, plan) if each.augment
    ]
    wanted = [(ours, scores.last_answers, depth, f"{depth} steps") for depth in DEPTHS]
    first = f"first valid within {GRAM_DEPTH} steps"
    wanted.append((ours, scores.first_valid, GRAM_DEPTH, first))
    for each in others:
        wanted.append((each, scores.last_answers, GRAM_DEPTH, f"{GRAM_DEPTH} steps"))
    case = blank_case(loaded)
    rows = published(GENERATION, loaded.task)
    for variant, rule, depth, text in wanted:
        runs = variant.run([case], plan, width=num_samples, depth=depth)
        rows.append(_generated(variant, [rule(loaded.task, [case], run) for run in runs], text))
    return table(
        loaded.info.name,
        f"{loaded.info.name}, unconditional",
        columns=(Column("validity", "valid"), Column("uniqueness", "distinct among the valid")),
        rows=rows,
        facts=plan.facts(loaded, [case] * num_samples, "samples from the empty board"),
        notes=(NOTES["generation"],),
    )


def blank_case(loaded: LoadedModel) -> Case:
    family = puzzles.family(loaded.task.family)
    if not isinstance(family, puzzles.Generative):
        raise ConfigError("model", loaded.info.name, "its family has no empty instance")
    return Case(family.blank(loaded.task), "all", None)


def _generated(variant: Variant, seeds: Sequence[Samples], text: str) -> Row:
    valid = np.concatenate([samples.is_valid[0] for samples in seeds])
    boards = np.concatenate([samples.answers.tokens[0] for samples in seeds])[valid]
    unique = len({board.tobytes() for board in boards}) / max(1, len(boards))
    return variant.row(
        text,
        {"validity": wilson(float(valid.mean()), len(valid)), "uniqueness": unique},
        steps=float(np.mean([samples.num_steps for samples in seeds]) * len(seeds) / len(valid)),
        seeds=seeds,
    )


def grid_table(loaded: LoadedModel, test: TestSet, plan: Plan, *, width: int, depth: int) -> Json:
    """Measure all widths and depths up to these that are powers of two, from one recording.

    A row counts the first trajectories of each puzzle up to that step. At the full depth, one
    answer is also chosen by each way that does not look at the rules.
    """
    rows = []
    for variant in variants(loaded, plan):
        runs = variant.run(test.cases, plan, width=width, depth=depth)
        last = [scores.last_answers(loaded.task, test.cases, run) for run in runs]
        for some in buckets(width):
            at = np.stack([scores.solved_at(run.part(0, some)) for run in runs])  # (seeds, puzzles)
            for number in buckets(depth):
                right: list[dict[str, Scores]] = [{VERIFIED: each <= number} for each in at]
                for found, samples in zip(right, last, strict=True) if number == depth else ():
                    found.update({way: accuracy(samples, way, some) for way in WAYS})
                steps = some * float(np.minimum(at, number).mean())
                rows.append(variant.row(f"{some} x {number}", figures(right), steps=steps))
    return table(
        f"{loaded.info.name}-{width}-x-{depth}",
        f"{loaded.info.name}, up to {width} x {depth}",
        columns=tuple(Column(way, way) for way in (VERIFIED, *WAYS)),
        rows=rows,
        facts=plan.facts(loaded, test.cases, test.data),
        notes=(NOTES["grid"],),
    )
