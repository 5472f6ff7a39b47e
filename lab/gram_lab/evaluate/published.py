"""Figures that others published on the paper's tasks, and what the paper's own model costs.

``published.json`` has them, from arXiv 2605.19376 ("Generative Recursive Reasoning") and, for rows
that name them, from the papers of those methods. Steps are as their authors count them.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files

from gram_core.config import preset
from gram_core.flops import step_flops
from gram_core.puzzles import Task
from gram_lab.evaluate.table import Row

GRAM_SAMPLES = 20
"""Samples per puzzle in the paper."""
GRAM_DEPTH = 16
"""Supervision steps of a sample in the paper."""
SUDOKU_TASK = "sudoku-9x9"
GENERATION = "generate"
NUM_TEST_GRAPHS: Mapping[str, int] = {"graph-coloring-8": 255, "graph-coloring-10": 192}
"""Test graphs of the paper, over which conflicts are summed."""


def published(name: str, task: Task) -> list[Row]:
    """Return a row for each method published on a task, or on generation; none for most."""
    text = files("gram_lab.evaluate").joinpath("published.json").read_text(encoding="utf-8")
    rows = []
    for each in json.loads(text).get(name, ()):
        # None where its authors do not say.
        steps = each.get("steps")
        is_known = steps is not None and each.get("is_paper_model", False)
        rows.append(
            Row(
                name=each["method"],
                measured=False,
                steps_per_puzzle=steps,
                flop_per_puzzle=paper_step_flops(task) * steps if is_known else None,
                figures=each["figures"],
            )
        )
    return rows


def paper_step_flops(task: Task) -> int:
    """Return the FLOP of a supervision step of the paper's 10 M model on a task."""
    if task.family == "graph-coloring":
        # The paper has a token for each pair of vertices.
        length = task.size * (task.size - 1) // 2 + task.size
        task = replace(task, length=length, columns=length)
    config = preset("paper", task)
    if task.family == "sudoku":
        config = replace(config, mixer="token")
    return step_flops(config, task)
