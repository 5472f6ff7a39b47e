"""Mazes to train on: what is read or carved, and what a drawn example aims at."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from gram_core import puzzles
from gram_core.errors import ConfigError
from gram_core.puzzles import BLANK, FIRST_VALUE, Encoded, Tokens
from gram_core.puzzles.maze.grid import FREE, GOAL, START, WALL
from gram_lab.data.instances import read_cases
from gram_lab.data.maze_kinds import Cells, carved, set_ends, usual_maze
from gram_lab.data.mazes import CELLS_A_STEP, Mazes
from gram_lab.train.recipe import choices
from gram_lab.train.sources import training_source, validation_examples

CODES = {"#": 1, ".": 2, "S": 3, "G": 4}
TASK = puzzles.task("maze-4x4")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    family = puzzles.family("maze")
    rng = np.random.default_rng(0)
    mazes = [family.generate(TASK, rng, num_solutions=None) for _ in range(30)]
    inputs = np.array([[CODES[cell] for cell in maze.cells] for maze in mazes], dtype=np.uint8)
    np.savez(tmp_path / "some_train.npz", inputs=inputs)
    return tmp_path


def moves(givens: Tokens, target: Tokens) -> str:
    """Return the path of a target as letters, whose order in the alphabet is that of the moves."""
    family = puzzles.family("maze")
    maze = family.instance_of(TASK, Encoded(tokens=givens))
    assert family.check(maze, target)
    cells: list[list[int]] = family.decode(maze, target)  # type: ignore[assignment]
    letters = {(1, 0): "D", (0, -1): "L", (0, 1): "R", (-1, 0): "U"}
    return "".join(letters[to[0] - at[0], to[1] - at[1]] for at, to in pairwise(cells))


def test_the_first_target_is_the_least_shortest_path_of_the_view(folder: Path) -> None:
    examples = Mazes(TASK, folder).draw(60, 0.0, np.random.default_rng(1))
    family = puzzles.family("maze")
    assert examples.targets.shape == (60, 1, 16)
    num_several = 0
    for givens, targets in zip(examples.givens, examples.targets, strict=True):
        maze = family.instance_of(TASK, Encoded(tokens=givens))
        every = [moves(givens, tokens) for tokens in family.enumerate(maze, limit=1000)]
        assert moves(givens, targets[0]) == min(every)
        num_several += len(every) > 1
    assert num_several > 0


def test_mazes_are_a_training_source_with_examples_to_validate_by(folder: Path) -> None:
    source = Mazes(TASK, folder)
    assert validation_examples(source).givens.shape == (24, 16)
    cases = read_cases(TASK, folder / "some_train.npz", limit=5)
    assert len(cases) == 5
    assert all(case.num_solutions is None for case in cases)


def test_folders_without_fitting_mazes_are_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no \*train\*\.npz"):
        Mazes(TASK, tmp_path / "none")
    with pytest.raises(ConfigError, match="no mazes of 9 cells"):
        Mazes(puzzles.task("maze-3x3"), folder)


def test_without_files_mazes_are_made() -> None:
    source = training_source(TASK, None, choices(TASK)[0])
    examples = source.draw(20, 0.0, np.random.default_rng(1))
    for givens, target in zip(examples.givens, examples.targets[:, 0], strict=True):
        moves(givens, target)
    assert len({givens.tobytes() for givens in examples.givens}) >= 15


def test_every_cell_is_told_its_first_move_and_from_when_it_can_know() -> None:
    task = puzzles.task("maze-9x9")
    examples = Mazes(task).draw(20, 0.0, np.random.default_rng(4))
    assert examples.auxiliary is not None
    planes = (examples.givens, examples.targets[:, 0], examples.auxiliary)
    for givens, target, (numbers, due, answer_due) in zip(*planes, strict=True):
        maze = puzzles.family("maze").instance_of(task, Encoded(tokens=givens))
        goal = divmod(maze.goal, 9)
        for cell in np.flatnonzero(numbers).tolist():
            at, moves = divmod(cell, 9), 0
            while at != goal:
                number = int(numbers[at[0] * 9 + at[1]])
                down, right = ((1, 0), (0, -1), (0, 1), (-1, 0))[number - 1]
                at, moves = (at[0] + down, at[1] + right), moves + 1
                assert maze.cells[at[0] * 9 + at[1]] != WALL
            assert due[cell] == (moves - 1) // CELLS_A_STEP
            if cell == maze.start:
                assert moves == maze.num_moves
        assert numbers[maze.start] > 0 == numbers[maze.goal]
        # The path is known from the start on, cell by cell, and the rest with the goal.
        path = maze.num_moves + np.arange(1, maze.num_moves)
        marked = (target == FIRST_VALUE) & (givens == BLANK)
        assert sorted(answer_due[marked]) == sorted(path // CELLS_A_STEP)
        assert answer_due.max() <= 2 * maze.num_moves // CELLS_A_STEP


def test_mazes_are_of_many_kinds_and_sizes() -> None:
    rng = np.random.default_rng(0)
    drawn = [usual_maze(30, 30, rng) for _ in range(200)]
    shares = [float((cells == WALL).mean()) for cells in drawn]
    assert min(shares) < 0.1
    assert max(shares) > 0.8, "most of the board is wall around a small maze"
    filled = [cells[cells != WALL].size for cells in drawn]
    loops = [num_ways(cells) - (size - 1) for cells, size in zip(drawn, filled, strict=True)]
    assert 20 < loops.count(0) < 150, "some mazes have one way between two cells, some many"
    starts = {int(np.flatnonzero(cells.reshape(-1) == START)[0]) for cells in drawn}
    assert len(starts) > 50


@pytest.mark.parametrize("newest", [0.0, 0.5, 1.0])
def test_a_carved_maze_has_one_way_between_any_two_cells(newest: float) -> None:
    cells = carved(21, 15, np.random.default_rng(2), newest=newest)
    free = int((cells == FREE).sum())
    assert free == 10 * 7 + 10 * 7 - 1
    assert num_ways(cells) == free - 1
    opened = carved(21, 15, np.random.default_rng(2), newest=newest, opened=0.2)
    assert num_ways(opened) >= (opened == FREE).sum()


def test_ends_are_placed_where_a_way_leads_between_them() -> None:
    rng = np.random.default_rng(0)
    cells = np.array([list("#..#"), list("#..#")])
    assert set_ends(cells, rng, at_corners=True)
    assert [*cells[0]] == ["#", START, FREE, "#"]
    assert [*cells[1]] == ["#", FREE, GOAL, "#"]
    assert not set_ends(np.array([list(".#."), list(".#.")]), rng, at_corners=True)
    assert not set_ends(np.array([list("#.#")]), rng, at_corners=False)


def num_ways(cells: Cells) -> int:
    """Count the pairs of open cells side by side."""
    is_open = cells != WALL
    return int((is_open[1:] & is_open[:-1]).sum() + (is_open[:, 1:] & is_open[:, :-1]).sum())


def test_a_carved_maze_comes_again_with_its_seed() -> None:
    drawn = [Mazes(TASK).draw(5, 0.0, np.random.default_rng(seed)) for seed in (3, 3, 4)]
    assert (drawn[0].givens == drawn[1].givens).all()
    assert (drawn[0].targets == drawn[1].targets).all()
    assert (drawn[0].givens != drawn[2].givens).any()
