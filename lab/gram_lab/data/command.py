"""``gram-lab data``: training puzzles of one's own, so that none need be fetched.

Writes npz archives as ``gram-lab train --data`` reads them. Needs numpy only.
"""

import argparse
import csv
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gram_core import puzzles
from gram_core.errors import ConfigError, CoreError
from gram_core.puzzles import FIRST_VALUE, Task
from gram_core.puzzles.maze.family import TOKENS
from gram_core.puzzles.maze.grid import FREE, GOAL, START, WALL
from gram_lab.console import progress_bar
from gram_lab.data.sudoku_classes import Key, class_key
from gram_lab.data.sudoku_files import Grids, read_archive, write_archive
from gram_lab.data.sudoku_search import NUM_CELLS, UNITS
from gram_lab.data.sudoku_vicinity import NUM_VIEWS, Found, Vicinity

MIN_GUESSES = 100.0
"""Guesses of the easier very hard puzzles (docs/data.md)."""


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    try:
        make(options)
    except (CoreError, OSError) as error:
        print(f"gram-lab data: {error}", file=sys.stderr)
        return 2
    return 0


def make(options: argparse.Namespace) -> None:
    task = puzzles.task(options.task)
    if task.name == "sudoku-9x9":
        _make_sudokus(options)
    elif task.family == "maze":
        _make_mazes(task, options)
    else:
        raise ConfigError("task", task.name, "is no sudoku-9x9 and no maze: training makes its own")


def _make_sudokus(options: argparse.Namespace) -> None:
    rng = np.random.default_rng(options.seed)
    shape = puzzles.task("sudoku-9x9")
    rules = puzzles.family("sudoku")
    search = Vicinity(
        read_archive(options.seeds).puzzles if options.seeds else None,
        rng,
        views=[rules.symmetry(shape, rng).positions for _ in range(NUM_VIEWS)],
        min_guesses=options.min_guesses,
        excluded=_excluded(options.exclude),
    )
    found = [each for each in _timed(search.rounds(), options) if len(each.puzzles)]
    parts = [np.concatenate([each[part] for each in found]) if found else None for part in range(3)]
    made, solutions, guesses = parts
    if made is None or solutions is None or guesses is None:
        raise ConfigError("minutes", options.minutes, "was too short to find a puzzle")
    made, solutions = made[: options.count], solutions[: options.count]
    guesses = guesses[: options.count].astype(np.float32)
    write_archive(options.output, Grids(made, solutions), guesses=guesses)
    quantiles = np.percentile(guesses, (5, 25, 50, 75, 95)).round(1).tolist()
    clues = (made > 0).sum(axis=1)
    told = {"count": len(made), "guesses_5_25_50_75_95": quantiles, "mean_clues": clues.mean()}
    print(json.dumps(told))


def _timed(rounds: Iterator[Found], options: argparse.Namespace) -> Iterator[Found]:
    """Yield rounds until the puzzles or the time are used up; show progress."""
    num_made = 0
    start_s, budget_s = time.monotonic(), 60.0 * options.minutes
    with progress_bar() as show:
        for found in rounds:
            num_made += len(found.puzzles)
            used = (time.monotonic() - start_s) / budget_s
            show(min(1.0, max(used, num_made / options.count)), f"{num_made} puzzles")
            yield found
            if num_made >= options.count or used >= 1.0:
                break


def _excluded(paths: Sequence[Path]) -> set[Key]:
    keys = set()
    for path in paths:
        for grid in _solutions(path):
            if not _is_complete(grid):
                raise ConfigError("exclude", str(path), "holds a solution that is no sudoku")
            keys.add(class_key(grid))
    return keys


def _solutions(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield the complete boards of an archive, or of the ``solution`` column of a table."""
    if path.suffix == ".npz":
        yield from read_archive(path).solutions
        return
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            text = (row.get("solution") or "").encode("ascii", "replace")
            yield np.frombuffer(text, dtype=np.uint8) - np.uint8(ord("0"))


def _is_complete(grid: NDArray[np.uint8]) -> bool:
    if grid.shape != (NUM_CELLS,):
        return False
    return bool((np.sort(grid[UNITS], axis=1) == np.arange(1, 10)).all())


def _make_mazes(task: Task, options: argparse.Namespace) -> None:
    family = puzzles.family(task.family)
    rng = np.random.default_rng(options.seed)
    codes = np.zeros(task.vocabulary, dtype=np.uint8)
    # As in the Maze-Hard archives, where path cells have their own code.
    for code, mark in enumerate((WALL, FREE, START, GOAL), start=1):
        codes[TOKENS[mark]] = code
    codes[FIRST_VALUE] = 5
    pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
    end_s = time.monotonic() + 60.0 * options.minutes
    with progress_bar() as show:
        while len(pairs) < options.count and time.monotonic() < end_s:
            maze = family.generate(task, rng, num_solutions=None)
            (answer,) = family.enumerate(maze, limit=1)
            pairs.append((codes[family.encode(maze).tokens], codes[answer]))
            show(len(pairs) / options.count, f"{len(pairs)} mazes")
    if not pairs:
        raise ConfigError("minutes", options.minutes, "was too short to make a maze")
    inputs, labels = (np.stack(part) for part in zip(*pairs, strict=True))
    np.savez(options.output, inputs=inputs, labels=labels)
    moves = (labels == codes[FIRST_VALUE]).sum(axis=1) + 1
    print(json.dumps({"count": len(pairs), "mean_moves": moves.mean()}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gram-lab data", description=__doc__)
    add = parser.add_argument
    add("task", help="sudoku-9x9 (very hard ones) or maze-ROWSxCOLUMNS")
    add("--output", type=Path, required=True, help="npz archive to write")
    add("--count", type=int, default=1000, help="puzzles wanted (default 1000)")
    add("--minutes", type=float, default=10.0, help="time budget (default 10)")
    add("--seeds", type=Path, help="npz archive of hard sudokus to search around")
    text = "archives or tables whose solutions no sudoku may share, up to symmetry"
    add("--exclude", type=Path, nargs="*", default=(), help=text)
    text = f"of a sudoku, on average over {NUM_VIEWS} views (default {MIN_GUESSES:.0f})"
    add("--min-guesses", type=float, default=MIN_GUESSES, help=text)
    add("--seed", type=int, default=0, help="of all choices (default 0)")
    return parser
