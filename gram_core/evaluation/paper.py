"""``gram-server evaluate --paper-tables``: our rows of the paper's tables, model by model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gram_core.checkpoint import LoadedModel
from gram_core.evaluation.instances import Case, held_out_cases, read_cases, spread
from gram_core.evaluation.plan import Plan
from gram_core.evaluation.published import NUM_TEST_GRAPHS
from gram_core.evaluation.sampling_table import sampling_table
from gram_core.evaluation.sudoku_table import sudoku_table
from gram_core.evaluation.table import Table
from gram_core.training.graphs import EdgeProbabilities
from gram_core.training.pools import EDGE_PROBABILITIES

TEXTBOOK_PROBABILITY: EdgeProbabilities = (0.5, 0.5)
GRAPHS_NOTE = (
    "The paper does not state the edge probability of its random graphs, and coverage depends on "
    "it: 20 samples cannot cover a graph of more than 20 colourings. Held-out graphs are not "
    "isomorphic to a training graph.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What the models are tested on."""

    data: Path | None = None
    """Sudoku puzzles; None makes some."""
    limit: int | None = None
    """At most that many puzzles a table."""
    edge_probabilities: Sequence[EdgeProbabilities] = (TEXTBOOK_PROBABILITY, EDGE_PROBABILITIES)
    """One table of random graphs for each."""


def paper_tables(models: Sequence[LoadedModel], plan: Plan, trial: Trial) -> Iterator[Table]:
    """Yield the tables of each model as they are measured."""
    for loaded in models:
        if loaded.task.family == "graph-coloring":
            for probabilities in trial.edge_probabilities:
                yield _coloring(loaded, plan, trial, probabilities)
        elif loaded.task.family == "nqueens":
            yield _queens(loaded, plan, trial)
        elif loaded.task.family == "sudoku":
            cases = read_cases(loaded.task, trial.data, limit=trial.limit)
            yield sudoku_table(loaded, cases, plan, data=_name(trial.data))


def _name(data: Path | None) -> str:
    return data.name if data else "made minimal puzzles"


def _queens(loaded: LoadedModel, plan: Plan, trial: Trial) -> Table:
    cases = spread(held_out_cases(loaded.task), trial.limit)
    return sampling_table(
        loaded,
        cases,
        plan,
        name=loaded.info.name,
        title=loaded.info.name,
        data="held-out boards with 1 to 3 queens, no symmetric image of a training board",
    )


def _coloring(
    loaded: LoadedModel, plan: Plan, trial: Trial, probabilities: EdgeProbabilities
) -> Table:
    low, high = probabilities
    said = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    cases: list[Case] = held_out_cases(
        loaded.task,
        edge_probabilities=probabilities,
        num_graphs=NUM_TEST_GRAPHS.get(loaded.task.name),
    )
    return sampling_table(
        loaded,
        spread(cases, trial.limit),
        plan,
        name=f"{loaded.info.name}-p-{said.replace(' ', '-')}",
        title=f"{loaded.info.name}, edge probability {said}",
        data=f"held-out random graphs of edge probability {said} that three colours suffice for",
        notes=GRAPHS_NOTE,
    )
