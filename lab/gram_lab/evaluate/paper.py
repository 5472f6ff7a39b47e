"""``gram-lab evaluate --paper-tables``: our rows of the paper's tables, model by model."""

from collections.abc import Iterator, Sequence

from gram_core.checkpoint import LoadedModel
from gram_lab.evaluate.generation_table import NUM_SAMPLES, generation_table
from gram_lab.evaluate.plan import Plan
from gram_lab.evaluate.sampling_table import sampling_table
from gram_lab.evaluate.solving_table import solving_table
from gram_lab.evaluate.table import Table
from gram_lab.evaluate.trial import Trial, puzzles_of

WITH_MANY_SOLUTIONS = ("nqueens", "graph-coloring")


def paper_tables(models: Sequence[LoadedModel], plan: Plan, trial: Trial) -> Iterator[Table]:
    """Yield the tables of each model as they are measured."""
    for loaded in models:
        if loaded.info.purpose == "generate":
            yield generation_table(loaded, plan, num_samples=trial.limit or NUM_SAMPLES)
            continue
        make = sampling_table if loaded.task.family in WITH_MANY_SOLUTIONS else solving_table
        for puzzles in puzzles_of(loaded.task, trial):
            yield make(loaded, puzzles, plan)
