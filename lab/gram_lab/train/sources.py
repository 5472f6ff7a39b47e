"""Finds the training source of a task: generated instances or files."""

from pathlib import Path

import numpy as np

from gram_core.catalog import Purpose
from gram_core.errors import ConfigError
from gram_core.puzzles import Task
from gram_lab.data.examples import Source
from gram_lab.data.mazes import CarvedMazes, MazeFiles
from gram_lab.data.pools import PooledSource, make_pool, queens_solutions, with_empty_board
from gram_lab.data.sudoku_files import SudokuFiles
from gram_lab.train.empty_boards import EmptyBoards
from gram_lab.train.recipe import Recipe

EMPTY_BOARD_SHARE = 0.1
"""Share of queens examples that start from the empty board."""


def training_source(
    task: Task, data: Path | None, chosen: Recipe, *, purpose: Purpose = "solve"
) -> Source:
    """Return the source of a task; ``data`` is the folder of its files where it needs some."""
    if purpose == "generate":
        return EmptyBoards(task)
    if task.name == "sudoku-9x9":
        if data is None:
            raise ConfigError("data", None, "sudoku-9x9 trains on files: pass --data FOLDER")
        return SudokuFiles(
            data,
            max_rating=chosen.max_rating,
            hard_share=chosen.hard_share,
            open_share=chosen.open_share,
        )
    if task.family == "maze":
        return MazeFiles(data, task) if data else CarvedMazes(task)
    pool = make_pool(task, "train")
    if task.family != "nqueens":
        return PooledSource(task, pool)
    solutions = queens_solutions(task.size)
    pool = with_empty_board(pool, solutions)
    weights = np.full(len(pool.givens), (1 - EMPTY_BOARD_SHARE) / (len(pool.givens) - 1))
    weights[-1] = EMPTY_BOARD_SHARE
    return PooledSource(task, pool, weights)
