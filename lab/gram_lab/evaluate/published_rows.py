"""Published figures as rows of our tables."""

from collections.abc import Sequence

from gram_core.puzzles.base import Task
from gram_lab.evaluate.published import Published, paper_step_flops
from gram_lab.evaluate.table import Row


def published_rows(published: Sequence[Published], task: Task) -> list[Row]:
    """Return one row a method, with FLOP where the paper's own model is meant."""
    flops = paper_step_flops(task)
    return [
        Row(
            name=each.method,
            figures=dict(each.figures),
            steps=each.steps,
            flops=flops * each.steps if each.is_paper_model and each.steps else None,
            is_measured=False,
        )
        for each in published
    ]
