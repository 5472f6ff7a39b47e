"""How each paper measures its model, for any model; and two models on the same puzzles.

Every answer that counts passed the family's plain checker. Nothing but ``ours`` looks at the rules
before it chooses an answer.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gram_core.checkpoint import LoadedModel
from gram_core.errors import ConfigError
from gram_core.puzzles import Task
from gram_lab.data.instances import Case
from gram_lab.evaluate.published import GRAM_DEPTH, GRAM_SAMPLES, published
from gram_lab.evaluate.samples import (
    VERIFIED,
    Scores,
    accuracy,
    any_valid,
    first_valid,
    last_answers,
    most_frequent_valid,
    settled_answers,
)
from gram_lab.evaluate.table import Json, Row, table
from gram_lab.evaluate.tables import (
    COLUMNS,
    KINDS,
    TestSet,
    averaged,
    figures,
    has_many,
    sample_scores,
)
from gram_lab.evaluate.variants import Plan, Variant
from gram_lab.intervals import paired
from gram_lab.rollouts import Rollouts, Stops


class Protocol(NamedTuple):
    """Trajectories of a puzzle, their steps, and how one answer is chosen among them."""

    widths: tuple[int, ...]
    """The last is that of the run; smaller ones are means over groups of its trajectories."""
    depth: int | None
    """None: the checkpoint's own."""
    note: str
    ways: tuple[str, ...] = ()
    """Choices among the answers after the last step; see ``WAYS``."""
    stops: tuple[Stops, ...] = ("never",)
    """One run of the trajectories for each."""
    augment: bool = False
    """Whether each trajectory but the first sees the puzzle through a symmetry."""
    samples_many: bool = False
    """Whether all answers count where a puzzle has many solutions."""


PROTOCOLS: Mapping[str, Protocol] = {
    "gram": Protocol(
        (5, GRAM_SAMPLES),
        GRAM_DEPTH,
        "As GRAM is measured (arXiv 2605.19376): the answers of 5 and of 20 trajectories after 16 "
        "steps, of which the value head or the votes choose one; where puzzles have many "
        "solutions, 20 answers are samples.",
        ways=("value", "votes"),
        samples_many=True,
    ),
    "trm": Protocol(
        (1,),
        GRAM_DEPTH,
        "As HRM and TRM are measured (arXiv 2506.21734, 2510.04871): the answer of one trajectory "
        "after 16 steps, whatever its halting head says.",
        ways=("one trajectory",),
    ),
    "eqr": Protocol(
        (64,),
        128,
        "As EqR is measured (arXiv 2605.21488): the most frequent answer of 64 trajectories after "
        "128 steps. Its code may also choose the one that moved least, which is not recorded here.",
        ways=("votes",),
    ),
    "ours": Protocol(
        (16,),
        None,
        "As the server answers: 16 trajectories with symmetry views, until one has a verified "
        "answer; and, without the rules, until each has settled.",
        stops=("solved", "settled"),
        augment=True,
    ),
}
PAIRED = (
    "*First minus second* is the difference on the same puzzles, with its paired 95 % interval."
)


class Measured(NamedTuple):
    """Scores per puzzle, by the key of their column, and the mean number of steps for one."""

    scores: Mapping[str, Scores]
    steps: float


def protocol_table(name: str, models: Sequence[LoadedModel], test: TestSet, plan: Plan) -> Json:
    """Measure one model by a protocol, or two and their difference puzzle by puzzle.

    Raises:
        ConfigError: the second model is for another task.
    """
    first, protocol = models[0], PROTOCOLS[name]
    for other in models:
        if other.task.name != first.task.name:
            detail = f"is for {other.task.name}, not for {first.task.name}"
            raise ConfigError("against", other.info.id, detail)
    measured = [_measured(protocol, loaded, test.cases, plan) for loaded in models]
    ways = list(measured[0])
    keys = [key for key in COLUMNS if key in measured[0][ways[0]].scores]
    rows = published(first.task.name, first.task)
    for loaded, found in zip(models, measured, strict=True):
        variant = Variant(name=loaded.info.id, loaded=loaded)
        for way in ways:
            steps = found[way].steps
            rows.append(variant.row(way, figures([found[way].scores]), steps=steps))
    for way in ways if len(models) > 1 else ():
        one, two = (found[way].scores for found in measured)
        gains = {key: paired(one[key], two[key], KINDS.get(key, "share")) for key in keys}
        rows.append(Row(name=f"first minus second, {way}".removesuffix(", "), figures=gains))
    title = " and ".join(loaded.info.name for loaded in models)
    return table(
        "-".join([name, *(loaded.info.name for loaded in models), *test.name.split()]),
        f"{title}, protocol {name}",
        columns=[COLUMNS[key] for key in keys],
        rows=rows,
        facts=plan.facts(first, test.cases, test.data),
        notes=[protocol.note, *([PAIRED] if len(models) > 1 else ())],
    )


def _measured(
    protocol: Protocol, loaded: LoadedModel, cases: Sequence[Case], plan: Plan
) -> dict[str, Measured]:
    """Return what is measured for each way of choosing an answer, as means over the seeds."""
    depth = protocol.depth or loaded.info.depth
    variant = Variant(name=loaded.info.id, loaded=loaded, augment=protocol.augment)
    found = {}
    for stops in protocol.stops:
        runs = variant.run(cases, plan, width=protocol.widths[-1], depth=depth, stops=stops)
        seeds = [_scored(protocol, stops, loaded.task, cases, run) for run in runs]
        for way in seeds[0]:
            steps = float(np.mean([seed[way].steps for seed in seeds]))
            found[way] = Measured(averaged([seed[way].scores for seed in seeds]), steps)
    return found


def _scored(
    protocol: Protocol, stops: Stops, task: Task, cases: Sequence[Case], run: Rollouts
) -> dict[str, Measured]:
    if stops == "solved":
        right = any_valid(first_valid(task, cases, run))
        return {VERIFIED: Measured({"exact": right}, float(run.served_steps().mean()))}
    if stops == "settled":
        settled = settled_answers(task, cases, run)
        right = most_frequent_valid(settled)
        return {"settled, by votes": Measured({"exact": right}, float(settled.num_steps.mean()))}
    last = last_answers(task, cases, run)
    if protocol.samples_many and has_many(task):
        return {"": Measured(sample_scores(task, cases, last), float(last.num_steps.mean()))}
    return {
        f"N = {width}, by {way}" if width > 1 else way: Measured(
            {"exact": accuracy(last, way, width)}, float(width * run.depth)
        )
        for width in protocol.widths
        for way in protocol.ways
    }
