"""The paper's table of unconditional generation: boards made up from an empty one."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gram_core import puzzles
from gram_core.checkpoint import LoadedModel
from gram_core.errors import ConfigError
from gram_lab.data.instances import Case
from gram_lab.evaluate import scores
from gram_lab.evaluate.intervals import wilson
from gram_lab.evaluate.plan import Contender, Plan, contenders
from gram_lab.evaluate.published import GENERATION, GRAM_DEPTH, published_rows
from gram_lab.evaluate.scores import Samples, Take
from gram_lab.evaluate.table import Column, Row, Table

NUM_SAMPLES = 1000
DEPTHS = (4, 8, GRAM_DEPTH, 32, 64)
COLUMNS = (Column("validity", "valid"), Column("uniqueness", "distinct among the valid"))
NOTES = (
    "Samples from the empty board. Rows of a depth take every answer after the last step, before "
    "any verification; the row *first valid* stops at the first valid one, as `POST /generate` "
    "does. No symmetry views. Steps and GFLOP are per sample; brackets hold 95 % intervals over "
    "samples.",
)


def generation_table(loaded: LoadedModel, plan: Plan, *, num_samples: int = NUM_SAMPLES) -> Table:
    """Measure raw validity and uniqueness beside the published rows.

    Args:
        loaded: a model that generates.
        plan: how to measure.
        num_samples: boards to make up for every seed and depth.
    """
    ours, *rivals = generators(loaded, plan)
    case = blank_case(loaded)
    rows = published_rows(GENERATION, loaded.task)
    for depth in DEPTHS:
        name = f"{ours.name}, {depth} steps"
        samples = sampled(ours, case, plan, num_samples=num_samples, depth=depth)
        rows.append(_row(ours, name, samples))
    first = sampled(
        ours, case, plan, num_samples=num_samples, depth=GRAM_DEPTH, take=scores.first_valid
    )
    rows.append(_row(ours, f"{ours.name}, first valid within {GRAM_DEPTH} steps", first))
    for rival in rivals:
        samples = sampled(rival, case, plan, num_samples=num_samples, depth=GRAM_DEPTH)
        rows.append(_row(rival, f"{rival.name}, {GRAM_DEPTH} steps", samples))
    return Table(
        name=loaded.info.name,
        title=f"{loaded.info.name}, unconditional",
        columns=COLUMNS,
        rows=rows,
        facts=plan.facts(loaded, [case] * num_samples, "samples from the empty board"),
        notes=NOTES,
    )


def generators(loaded: LoadedModel, plan: Plan) -> list[Contender]:
    """Return the model and its rivals, all without views.

    The empty board looks the same through every view, so views would only rename the answers.
    """
    return [replace(each, augment=False) for each in contenders(loaded, plan) if each.augment]


def blank_case(loaded: LoadedModel) -> Case:
    """Return the empty instance of a model's task."""
    family = puzzles.family(loaded.task.family)
    if not isinstance(family, puzzles.Generative):
        raise ConfigError("model", loaded.info.name, "its family has no empty instance")
    return Case(family.blank(loaded.task), "all", None)


def sampled(
    contender: Contender,
    case: Case,
    plan: Plan,
    *,
    num_samples: int,
    depth: int,
    take: Take = scores.last_answers,
) -> list[Samples]:
    """Return the samples of every seed."""
    runs = contender.run([case], plan, width=num_samples, depth=depth)
    return [take(contender.loaded.task, [case], run) for run in runs]


def validity(seeds: Sequence[Samples]) -> float:
    """Return the share of all samples that are valid."""
    return float(np.mean([samples.is_valid.mean() for samples in seeds]))


def _row(contender: Contender, name: str, seeds: Sequence[Samples]) -> Row:
    valid = np.concatenate([samples.is_valid[0] for samples in seeds])
    boards = np.concatenate([samples.tokens[0] for samples in seeds])[valid]
    steps = float(np.mean([samples.num_steps[0] / samples.is_valid.shape[1] for samples in seeds]))
    unique = len({board.tobytes() for board in boards}) / max(1, len(boards))
    return Row(
        name=name,
        figures={"validity": wilson(validity(seeds), len(valid)), "uniqueness": unique},
        steps=steps,
        flops=steps * contender.step_flops,
        num_mismatches=sum(samples.num_mismatches for samples in seeds),
    )
