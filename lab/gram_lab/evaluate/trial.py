"""Which puzzles the paper's tasks are measured on here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gram_core.puzzles import Task
from gram_lab.data.graphs import EdgeProbabilities
from gram_lab.data.instances import Case, held_out_cases, read_cases, spread
from gram_lab.data.pools import EDGE_PROBABILITIES
from gram_lab.evaluate.published import NUM_TEST_GRAPHS, SUDOKU_TASK

TEXTBOOK_PROBABILITY: EdgeProbabilities = (0.5, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What models are tried on."""

    data: Path | None = None
    """Puzzles of ``data_task``; None makes some, as for every other task."""
    data_task: str = SUDOKU_TASK
    limit: int | None = None
    """At most that many puzzles, or samples from the empty board."""
    edge_probabilities: Sequence[EdgeProbabilities] = (TEXTBOOK_PROBABILITY, EDGE_PROBABILITIES)
    """One set of random graphs for each."""


class Puzzles(NamedTuple):
    """A test set."""

    name: str
    """What is special about it, for headings; empty where a task has only one."""
    data: str
    """What it is, in words."""
    cases: list[Case]


def puzzles_of(task: Task, trial: Trial) -> list[Puzzles]:
    """Return the test sets of a task: as the paper's, as far as it states them."""
    if task.family == "graph-coloring":
        return [_graphs(task, trial, each) for each in trial.edge_probabilities]
    if task.family == "nqueens":
        data = "held-out boards with 1 to 3 queens, no symmetric image of a training board"
        return [Puzzles("", data, spread(held_out_cases(task), trial.limit))]
    path = trial.data if task.name == trial.data_task else None
    cases = read_cases(task, path, limit=trial.limit)
    return [Puzzles("", path.name if path else "held out or freshly made", cases)]


def _graphs(task: Task, trial: Trial, probabilities: EdgeProbabilities) -> Puzzles:
    low, high = probabilities
    said = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    cases = held_out_cases(
        task, edge_probabilities=probabilities, num_graphs=NUM_TEST_GRAPHS.get(task.name)
    )
    return Puzzles(
        f"edge probability {said}",
        f"held-out random graphs of edge probability {said} that three colours suffice for",
        spread(cases, trial.limit),
    )
