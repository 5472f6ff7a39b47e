"""What the paper's figures cost with a model of ours: the block of a model's card."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from gram_core.checkpoint import LoadedModel
from gram_core.flops import inference_parameters, step_flops
from gram_core.puzzles.base import Task
from gram_lab.data.instances import Case
from gram_lab.evaluate import scores
from gram_lab.evaluate.curves import cheapest, curve
from gram_lab.evaluate.generation_table import (
    DEPTHS,
    NUM_SAMPLES,
    blank_case,
    generators,
    sampled,
    validity,
)
from gram_lab.evaluate.plan import Contender, Plan, contenders
from gram_lab.evaluate.published import (
    GENERATION,
    GRAM_DEPTH,
    GRAM_SAMPLES,
    SAMPLING,
    SUDOKU,
    SUDOKU_TASK,
    Published,
    paper_step_flops,
)
from gram_lab.evaluate.rollouts import Rollouts
from gram_lab.evaluate.scores import Samples, Scores
from gram_lab.evaluate.trial import Trial, puzzles_of

COVERAGE_NOTE = (
    "Coverage is not compared: the paper does not state the edge probability of its graphs, which "
    "decides how much 20 samples can cover."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One published figure of the paper's model, and what reaching it takes here."""

    what: str
    """The figure, in words."""
    paper_steps: int
    paper_flops: int
    """Per puzzle."""
    setting: str | None
    """The cheapest setting that reaches it; None where none does."""
    reached: str
    """What that setting reaches, or the most that any does."""
    steps: float | None
    flops: float | None

    def sentence(self) -> str:
        """Return it in words."""
        paper = f"{self.what}: the paper's model takes {self.paper_steps} supervision steps, "
        paper += f"{_gigaflops(self.paper_flops)}, a puzzle."
        if self.setting is None or self.flops is None:
            return f"- {paper} Not reached here: {self.reached}."
        ratio = self.paper_flops / self.flops
        return (
            f"- {paper} Here {self.setting} gives {self.reached} in {self.steps:.1f} steps on "
            f"average, {_gigaflops(self.flops)}: {ratio:,.0f} times cheaper."
        )


def _gigaflops(flops: float) -> str:
    return f"{flops / 1e9:,.3g} GFLOP" if flops < 1e11 else f"{flops / 1e9:,.0f} GFLOP"


def card_block(
    loaded: LoadedModel, plan: Plan, trial: Trial, *, budget: int
) -> tuple[dict[str, object], list[str]]:
    """Return what a card says of a model's cost, for programs and as Markdown.

    Args:
        loaded: the shipped model.
        plan: how to measure.
        trial: the puzzles; of several sets of graphs, the first.
        budget: largest width times depth to look through.
    """
    measured, found = _comparisons(loaded, plan, trial, budget)
    values = {"model": loaded.info.id, "measured_on": measured, "command": plan.command}
    comparisons = [asdict(each) for each in found]
    opening = [f"**Cost.** {cost_sentences(loaded)}", ""]
    if found:
        opening += [f"The same figures as the paper's, on {measured}:", ""]
    sentences = [each.sentence() for each in found]
    if loaded.task.has_adjacency:
        sentences += ["", COVERAGE_NOTE]
    lines = [*opening, *sentences, "", f"    {plan.command}"]
    return {**values, "comparisons": comparisons}, lines


def _comparisons(
    loaded: LoadedModel, plan: Plan, trial: Trial, budget: int
) -> tuple[str, list[Comparison]]:
    """Return what was measured on, in words, and what came out.

    Nothing for tasks without published figures, and none for Sudoku puzzles made here: they are
    easier than those that were published on.
    """
    if loaded.info.purpose == "generate":
        number = trial.limit or NUM_SAMPLES
        return f"{number:,} samples", generation_costs(loaded, plan, num_samples=number)
    has_data = loaded.task.name in SAMPLING or (loaded.task.name == SUDOKU_TASK and trial.data)
    if not has_data:
        return "", []
    puzzles = puzzles_of(loaded.task, trial)[0]
    measured = f"{len(puzzles.cases):,} puzzles ({puzzles.data})"
    if loaded.task.name in SAMPLING:
        return measured, sampling_costs(loaded, puzzles.cases, plan)
    return measured, solving_costs(loaded, puzzles.cases, plan, budget=budget)


def cost_sentences(loaded: LoadedModel) -> str:
    """Return what a model is made of and what its step costs, beside the paper's."""
    own = step_flops(loaded.model.config, loaded.task)
    paper = paper_step_flops(loaded.task)
    return (
        f"{loaded.info.num_parameters:,} parameters, {inference_parameters(loaded.model):,} of "
        f"them at inference; {own / 1e6:,.1f} MFLOP a supervision step. The paper's 10 M model "
        f"takes {paper / 1e6:,.0f} MFLOP a step on this task (computed from its published sizes), "
        f"{paper / own:,.0f} times as many."
    )


def solving_costs(
    loaded: LoadedModel, cases: Sequence[Case], plan: Plan, *, budget: int
) -> list[Comparison]:
    """Return what the paper's shares of solved puzzles take, over all splits of a budget."""
    ours = contenders(loaded, plan)[0]
    points = curve(ours, cases, plan, budget=budget).points
    best = max(points, key=lambda point: point.solved.value)
    found = []
    for each in (row for row in SUDOKU if row.is_paper_model):
        point = cheapest(points, each.figures["exact"])
        shown = point or best
        found.append(
            _comparison(
                each,
                f"{100 * each.figures['exact']:.2f} % exact on Sudoku-Extreme ({each.method})",
                ours,
                setting=f"width {point.width}, depth {point.depth}" if point else None,
                reached=f"{100 * shown.solved.value:.2f} % at {shown.width} x {shown.depth}",
                steps=point.steps if point else None,
            )
        )
    return found


Score = Callable[[Task, Sequence[Case], Samples], Scores]
SCORES: dict[str, tuple[str, Score]] = {
    "samples": ("% of boards answered", lambda task, cases, samples: scores.any_valid(samples)),
    "coverage": ("% coverage", scores.coverage),
    "conflicts": ("conflicts", scores.conflicts),
}


def sampling_costs(loaded: LoadedModel, cases: Sequence[Case], plan: Plan) -> list[Comparison]:
    """Return how many samples the paper's accuracy, coverage or conflicts take."""
    ours = contenders(loaded, plan)[0]
    runs = ours.run(cases, plan, width=GRAM_SAMPLES, depth=GRAM_DEPTH)
    published = [row for row in SAMPLING.get(loaded.task.name, ()) if row.is_paper_model]
    return [
        _sampling(ours, cases, runs, row, key=key, target=target)
        for row in published
        for key, target in row.figures.items()
        if not (key == "coverage" and loaded.task.has_adjacency)
    ]


def _sampling(
    ours: Contender,
    cases: Sequence[Case],
    runs: Sequence[Rollouts],
    row: Published,
    *,
    key: str,
    target: float,
) -> Comparison:
    unit, score = SCORES[key]
    task = ours.loaded.task
    scale = len(cases) if key == "conflicts" else 100
    wanted = target if key == "conflicts" else 100 * target
    what = f"{wanted:.1f} {unit}"
    value, steps = 0.0, None
    for number in range(1, GRAM_SAMPLES + 1):
        seeds = [scores.first_valid(task, cases, run.part(0, number)) for run in runs]
        value = scale * float(np.mean([score(task, cases, seed).mean() for seed in seeds]))
        if (value <= wanted) if key == "conflicts" else (value >= wanted):
            steps = float(np.mean([seed.num_steps.mean() for seed in seeds]))
            break
    return _comparison(
        row,
        what,
        ours,
        setting=None if steps is None else f"a width of {number}",
        reached=f"{value:.1f} {unit}" + ("" if steps else f" with {GRAM_SAMPLES} samples"),
        steps=steps,
    )


def generation_costs(loaded: LoadedModel, plan: Plan, *, num_samples: int) -> list[Comparison]:
    """Return what the paper's raw validity takes, by depth."""
    ours, case = generators(loaded, plan)[0], blank_case(loaded)
    by_depth = {
        depth: validity(sampled(ours, case, plan, num_samples=num_samples, depth=depth))
        for depth in DEPTHS
    }
    row = next(row for row in GENERATION if row.is_paper_model)
    target = row.figures["validity"]
    depth = next((depth for depth, share in by_depth.items() if share >= target), None)
    shown = depth or max(by_depth, key=lambda each: by_depth[each])
    return [
        _comparison(
            row,
            f"{100 * target:.2f} % raw validity",
            ours,
            setting=f"a depth of {depth}" if depth else None,
            reached=f"{100 * by_depth[shown]:.2f} %" + ("" if depth else f" at depth {shown}"),
            steps=depth,
        )
    ]


def _comparison(
    row: Published,
    what: str,
    ours: Contender,
    *,
    setting: str | None,
    reached: str,
    steps: float | None,
) -> Comparison:
    assert row.steps is not None
    return Comparison(
        what=what,
        paper_steps=row.steps,
        paper_flops=row.steps * paper_step_flops(ours.loaded.task),
        setting=setting,
        reached=reached,
        steps=steps,
        flops=None if steps is None else steps * ours.step_flops,
    )
