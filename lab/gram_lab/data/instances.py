"""Reads puzzles to evaluate on: TSV tables, NPZ archives, one a line, or generated ones."""

import csv
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gram_core import puzzles
from gram_core.errors import ConfigError, PuzzleInvalid
from gram_core.puzzles import BLANK, Encoded, Task, Tokens
from gram_lab.data.graphs import EdgeProbabilities, coloring_classes
from gram_lab.data.mazes import read_mazes
from gram_lab.data.pools import EDGE_PROBABILITIES, make_pool
from gram_lab.data.sudoku_files import read_archive


class Case(NamedTuple):
    """One instance to evaluate."""

    instance: object
    group: str
    """Source or difficulty; reports are split by it."""
    num_solutions: int | None
    """All solutions, as ``canonical`` counts them; None where unknown."""


SMALL_SUDOKU = 6
"""Largest board side that training generates itself, with a held-out part."""
NUM_GENERATED = 200
RATING_BOUNDS = (1.7, 4.5, 7.0)


def read_cases(
    task: Task,
    path: Path | None,
    *,
    limit: int | None,
    edge_probabilities: EdgeProbabilities = EDGE_PROBABILITIES,
) -> list[Case]:
    """Return the cases of a file or, without one, held-out or freshly made instances.

    The file is a ``.tsv`` with a ``puzzle`` column, an ``.npz`` as for training, else one puzzle
    a line, in the family's text form or as a JSON body. At most ``limit`` cases are taken, spread
    evenly over the file; ``edge_probabilities`` are those of held-out random graphs.
    """
    is_made = task.family == "maze" or (task.family == "sudoku" and task.size > SMALL_SUDOKU)
    if path is None and is_made:
        cases = _generated(task, limit or NUM_GENERATED)
    elif path is None:
        cases = held_out_cases(task, edge_probabilities=edge_probabilities)
    elif path.suffix == ".tsv":
        cases = _from_tsv(path)
    elif path.suffix == ".npz":
        cases = _from_archive(task, path)
    else:
        family = puzzles.family(task.family)
        lines = filter(str.strip, path.read_text(encoding="utf-8").splitlines())
        cases = [Case(_parsed(family, line, path), "all", None) for line in lines]
    return spread(cases, limit)


def spread(cases: list[Case], limit: int | None) -> list[Case]:
    """Return at most that many cases, evenly spaced."""
    if limit is None or limit >= len(cases):
        return cases
    chosen = np.linspace(0, len(cases) - 1, limit).round().astype(int)
    return [cases[index] for index in chosen]


def held_out_cases(
    task: Task,
    *,
    edge_probabilities: EdgeProbabilities = EDGE_PROBABILITIES,
    num_graphs: int | None = None,
) -> list[Case]:
    """Return the generated instances that training keeps out, with their numbers of solutions.

    For tasks whose solutions are cheap to enumerate; without ``num_graphs`` the pool's default.
    """
    pool = make_pool(task, "held_out", edge_probabilities=edge_probabilities, num_graphs=num_graphs)
    if pool.adjacency is not None:
        # Without givens, colourings come in classes of renamed colours.
        return [
            Case(
                _instance(task, givens, graph), "all", len(coloring_classes(graph, task.num_values))
            )
            for givens, graph in zip(pool.givens, pool.adjacency, strict=True)
        ]
    instances = [_instance(task, row) for row in pool.givens]
    numbers = pool.num_solutions.tolist()
    return [Case(board, "all", number) for board, number in zip(instances, numbers, strict=True)]


def _from_tsv(path: Path) -> list[Case]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    family = puzzles.family("sudoku")
    return [
        Case(_parsed(family, row["puzzle"], path), _group(row), 1 if row.get("solution") else None)
        for row in rows
    ]


def _group(row: dict[str, str]) -> str:
    """Name the rating stratum, or the source of an unrated puzzle."""
    try:
        rating = float(row.get("ser") or "")
    except ValueError:
        return "hard" if "ser" in row else "all"
    for bound in RATING_BOUNDS:
        if rating <= bound:
            return f"SER <= {bound}"
    return f"SER > {RATING_BOUNDS[-1]}"


def _parsed(family: puzzles.AnyFamily, text: str, path: Path) -> object:
    try:
        return family.parse(json.loads(text)) if text.startswith("{") else family.parse_text(text)
    except (PuzzleInvalid, json.JSONDecodeError) as error:
        raise ConfigError("data", str(path), f"{text!r} is no puzzle: {error}") from error


def _from_archive(task: Task, path: Path) -> list[Case]:
    if task.family == "maze":
        return [Case(_instance(task, row), "all", None) for row in read_mazes(path, task)]
    boards = read_archive(path).puzzles + np.uint8(BLANK)
    return [Case(_instance(task, row), "all", 1) for row in boards]


def _instance(task: Task, givens: Tokens, adjacency: NDArray[np.bool_] | None = None) -> object:
    encoded = Encoded(tokens=givens, adjacency=adjacency)
    return puzzles.family(task.family).instance_of(task, encoded)


def _generated(task: Task, count: int) -> list[Case]:
    """Make minimal puzzles with one solution, or mazes with many, the same ones each time."""
    family = puzzles.family(task.family)
    rng = np.random.default_rng(0)
    number = None if task.family == "maze" else 1
    return [
        Case(family.generate(task, rng, num_solutions=number), "all", number) for _ in range(count)
    ]
