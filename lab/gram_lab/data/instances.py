"""Reads puzzles to evaluate on: every form of file that ``gram`` reads, or generated ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from gram_core import puzzles
from gram_core.errors import ConfigError, CoreError, UnknownTask
from gram_core.puzzles import BLANK, Encoded, Task, Tokens
from gram_lab.data.graphs import EdgeProbabilities, coloring_classes
from gram_lab.data.pools import EDGE_PROBABILITIES, make_pool
from gram_lab.data.sudoku_files import is_archive, read_archive

if TYPE_CHECKING:
    # Only who reads files needs it on the path.
    from gram_files import Item


Row = TypeVar("Row")


class Case(NamedTuple):
    """One instance to evaluate."""

    instance: object
    group: str
    """Source or difficulty; reports are split by it."""
    num_solutions: int | None
    """All solutions, as ``canonical`` counts them; None where unknown."""


class Reading(NamedTuple):
    """What a file holds for a task."""

    cases: list[Case]
    refusals: list[str]
    """Where no puzzle of the task stands, and why."""


NUM_MADE = 200
LARGEST_LISTED: Mapping[str, int] = {"maze": 0, "sudoku": 6, "nqueens": 12, "graph-coloring": 16}
"""Side, or vertices, of the largest puzzles whose solutions are listed, so that training holds some
out, by family; of others all sizes are."""
RATING_BOUNDS = (1.7, 4.5, 7.0)
MAX_REFUSALS = 5
"""As many are named in one message."""


def is_listed(task: Task) -> bool:
    """Return whether all solutions of held-out instances are cheap to enumerate."""
    return task.size <= LARGEST_LISTED.get(task.family, task.size)


def read_cases(
    task: Task,
    path: Path | None,
    *,
    limit: int | None,
    edge_probabilities: EdgeProbabilities = EDGE_PROBABILITIES,
) -> list[Case]:
    """Return the cases of a file or, without one, held-out or freshly made instances.

    The file is one that ``read_data`` reads, all of it. At most ``limit`` cases are taken, spread
    evenly over the file; ``edge_probabilities`` are those of held-out random graphs.

    Raises:
        ConfigError: there are none, or nothing can verify answers.
    """
    _check_verified(task)
    if path is not None:
        cases, refusals = read_data(task, path, limit=limit)
        if refusals:
            raise ConfigError("data", str(path), "; ".join(refusals[:MAX_REFUSALS]))
        return cases
    if not is_listed(task):
        # Minimal puzzles with one solution, or others with many, the same ones each time.
        family, rng = puzzles.family(task.family), np.random.default_rng(0)
        number = 1 if task.family == "sudoku" else None
        made = [family.generate(task, rng, num_solutions=number) for _ in range(limit or NUM_MADE)]
        return [Case(instance, "all", number) for instance in made]
    return spread(held_out_cases(task, edge_probabilities=edge_probabilities), limit)


def read_data(task: Task, path: Path, *, limit: int | None) -> Reading:
    """Return the puzzles of a task in a file, and what else stands there.

    The file is an archive as for training, or of any form that ``gram_files`` reads.

    Raises:
        ConfigError: there is no puzzle of the task, or nothing can verify answers.
    """
    _check_verified(task)
    if is_archive(path):
        if task.name != "sudoku-9x9":
            raise ConfigError("data", str(path), f"holds puzzles of sudoku-9x9, not of {task.name}")
        boards = spread(list(read_archive(path).puzzles + np.uint8(BLANK)), limit)
        return Reading([Case(_instance(task, row), "all", 1) for row in boards], [])
    cases: list[Case] = []
    refusals: list[str] = []
    for found in spread(_found_in(task, path), limit):
        try:
            cases.append(_case(task, found))
        except CoreError as error:
            refusals.append(f"{found.source}: {error}")
    if not cases:
        reasons = "; ".join(refusals[:MAX_REFUSALS])
        raise ConfigError("data", str(path), f"holds no puzzle of {task.name}: {reasons}")
    return Reading(cases, refusals)


def _check_verified(task: Task) -> None:
    """Refuse to take well-formed answers for right ones."""
    if not puzzles.family(task.family).has_verifier:
        detail = "has no rules by which to count right answers: evaluate it with --corpus"
        raise ConfigError("puzzle", task.name, detail)


def spread(rows: Sequence[Row], limit: int | None) -> list[Row]:
    """Return at most that many, evenly spaced."""
    if limit is None or limit >= len(rows):
        return list(rows)
    chosen = np.linspace(0, len(rows) - 1, limit).round().astype(int)
    return [rows[index] for index in chosen]


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
    graphs = [None] * len(pool.givens) if pool.adjacency is None else pool.adjacency
    cases = []
    for givens, graph, number in zip(pool.givens, graphs, pool.num_solutions, strict=True):
        if graph is not None:
            # Without givens, colourings come in classes of renamed colours.
            number = len(coloring_classes(graph, task.num_values))
        cases.append(Case(_instance(task, givens, graph), "all", int(number)))
    return cases


def _found_in(task: Task, path: Path) -> "list[Item]":
    """Return what stands in a file, line by line where only the family knows its form."""
    try:
        from gram_files import Entry, read_file
    except ImportError as error:
        raise ConfigError("data", str(path), "needs gram_files, a part of gram-client") from error
    found = list(read_file(path))
    if len(found) > 1 or not isinstance(found[0], Entry) or not isinstance(found[0].puzzle, str):
        return found
    numbered = enumerate(found[0].puzzle.splitlines(), start=1)
    lines = [Entry(f"{path}:{number}", line) for number, line in numbered if line.strip()]
    has_whole = _is_of(task, found[0]) or not any(_is_of(task, line) for line in lines)
    return found if has_whole else [*lines]


def _is_of(task: Task, found: "Item") -> bool:
    try:
        _case(task, found)
    except CoreError:
        return False
    return True


def _case(task: Task, found: "Item") -> Case:
    """Return the case of a puzzle; raise ``CoreError`` unless it is one of the task."""
    from gram_files import Unread

    if isinstance(found, Unread):
        raise UnknownTask(found.reason)
    family = puzzles.family(task.family)
    puzzle = found.puzzle
    instance = family.parse_text(puzzle) if isinstance(puzzle, str) else family.parse(puzzle)
    name = family.task_of(instance).name
    if name != task.name:
        raise UnknownTask(f"is of {name}, not of {task.name}")
    is_single = task.family == "sudoku" and bool(found.fields.get("solution"))
    return Case(instance, _group(found.fields), 1 if is_single else None)


def _group(row: Mapping[str, object]) -> str:
    """Name the rating stratum, or the source of an unrated puzzle."""
    try:
        rating = float(str(row.get("ser", "")))
    except ValueError:
        return "hard" if "ser" in row else "all"
    for bound in RATING_BOUNDS:
        if rating <= bound:
            return f"SER <= {bound}"
    return f"SER > {RATING_BOUNDS[-1]}"


def _instance(task: Task, givens: Tokens, adjacency: NDArray[np.bool_] | None = None) -> object:
    encoded = Encoded(tokens=givens, adjacency=adjacency)
    return puzzles.family(task.family).instance_of(task, encoded)
