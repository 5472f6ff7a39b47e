"""Mazes: find a shortest path from the start to the goal over free cells.

Holds the rules, symmetries and instances of the family; input formats are in ``grid``.
No unit says that a path is shortest, so ``check`` judges every answer (``Task.has_other_rules``).
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice

import numpy as np

from gram_core.errors import ExactTimeout
from gram_core.puzzles.base import Family, Padding, walled
from gram_core.puzzles.body import TEXT, check_fields, in_lines, list_of, object_schema
from gram_core.puzzles.maze.generate import generate
from gram_core.puzzles.maze.grid import (
    FREE,
    GOAL,
    MAX_SIDE,
    START,
    WALL,
    MazeGrid,
    make_maze,
    read_maze,
)
from gram_core.puzzles.maze.paths import all_paths, descent, neighbours, num_paths
from gram_core.puzzles.task import Encoded, Symmetry, Task, Tokens, Violation
from gram_kernels.tokens import BLANK, FIRST_VALUE, PAD

PATH = FIRST_VALUE
"""Token of a cell on the path; BLANK is a free cell off it."""
TOKENS = {FREE: BLANK, WALL: PATH + 1, START: PATH + 2, GOAL: PATH + 3}

_CHARACTERS = {token: character for character, token in TOKENS.items()}


class Maze(Family[MazeGrid]):
    """The maze family: walls, start and goal are given, a free cell is BLANK, the path is 2."""

    name = "maze"
    task_sizes = re.compile(r"([1-9][0-9]?)x([1-9][0-9]?)")
    task_hint = f"maze-30x20 has 30 rows and 20 columns; there are at most {MAX_SIDE} of each"
    text_signs = "SG#."

    def tasks(self) -> Sequence[str]:
        return ("maze-30x30",)

    def make_task(self, *sizes: int) -> Task | None:
        """Return the task of (rows, columns); a start and a goal need two cells."""
        rows, columns = sizes
        return _task(rows, columns) if rows * columns > 1 and max(sizes) <= MAX_SIDE else None

    def schema(self) -> dict[str, object]:
        grid = {
            "description": "Rows of `S` (start), `G` (goal), `#` (wall) and `.` or a space (free).",
            "anyOf": [TEXT, list_of(TEXT), list_of(list_of(TEXT))],
        }
        return object_schema(
            self.name,
            "MazeBody",
            "A maze whose shortest path from start to goal is wanted; the answer is the path's "
            "cells.",
            {"grid": grid},
            required=["grid"],
            example={"grid": ["S.#", "..#", "#.G"]},
        )

    def parse(self, body: Mapping[str, object]) -> MazeGrid:
        """Read ``{"grid": [...]}``, or one string of lines in its place."""
        return read_maze(check_fields(body, puzzle=self.name, allowed=("grid",)))

    def task_of(self, instance: MazeGrid) -> Task:
        return _task(instance.rows, instance.columns)

    def pad(self, instance: MazeGrid, task: Task) -> Padding[MazeGrid] | None:
        """Return the maze with walls at its right and below."""
        found = walled(instance.cells, instance.columns, task, wall=WALL)
        if found is None:
            return None
        cells, positions = found
        padded = replace(instance, rows=task.rows, columns=task.columns, cells=cells)
        return Padding(padded, positions)

    def dump(self, instance: MazeGrid) -> dict[str, object]:
        grid = in_lines(instance.cells, instance.columns, is_text=instance.is_text)
        return {"puzzle": self.name, "grid": grid}

    def encode(self, instance: MazeGrid) -> Encoded:
        return Encoded(tokens=np.array([TOKENS[cell] for cell in instance.cells], dtype=np.uint8))

    def instance_of(self, task: Task, encoded: Encoded) -> MazeGrid:
        cells = "".join(_CHARACTERS[token] for token in encoded.tokens.tolist())
        return make_maze(cells, task.columns)

    def decode(self, instance: MazeGrid, tokens: Tokens) -> list[list[int]]:
        """Return the path as [row, column] from start to goal.

        For a wrong answer, the marked cells that the walk does not reach follow, row by row.
        """
        marked = set(np.flatnonzero(tokens == PATH).tolist())
        walked = _walk(instance, marked)
        rest = sorted(marked - set(walked))
        ends = [] if walked[-1] == instance.goal else [instance.goal]
        return [list(instance.cell(position)) for position in [*walked, *rest, *ends]]

    def check(self, instance: MazeGrid, tokens: Tokens) -> bool:
        """Say whether the marked cells are a path from start to goal, and none is shorter."""
        is_marked = tokens == PATH
        if np.count_nonzero(is_marked) != instance.num_moves - 1:
            return False
        # Everything but the marks must be the maze as it was posted.
        if not np.array_equal(np.where(is_marked, BLANK, tokens), self.encode(instance).tokens):
            return False
        marked = set(np.flatnonzero(is_marked).tolist())
        walked = _walk(instance, marked)
        # The walk uses as many marks as a shortest path has, so there is no detour.
        return walked[-1] == instance.goal and len(walked) == instance.num_moves + 1

    def violations(self, instance: MazeGrid, tokens: Tokens) -> list[Violation]:
        """Return changed and illegal cells, gaps, branches, closed loops, and a path too long.

        A shortest path never touches itself, so each of its cells has exactly two marked
        neighbours and each end one; a cell with fewer is at a ``gap``, with more at a ``branch``.
        """
        is_legal = np.isin(tokens, (BLANK, PATH)) | (tokens == self.encode(instance).tokens)
        found = super().violations(instance, np.where(is_legal, tokens, np.uint8(PAD)))
        return found + _broken_path(instance, set(np.flatnonzero(tokens == PATH).tolist()))

    def symmetry(self, task: Task, rng: np.random.Generator) -> Symmetry:
        """Draw a rotation or reflection that keeps the board's shape; start and goal may swap."""
        positions = np.arange(task.length, dtype=np.int64).reshape(task.rows, task.columns)
        is_square = task.rows == task.columns
        quarters = int(rng.integers(4)) if is_square else 2 * int(rng.integers(2))
        positions = np.rot90(positions, quarters)
        if rng.random() < 0.5:
            positions = positions.T if is_square else positions[::-1]
        values = np.arange(task.vocabulary, dtype=np.uint8)
        if rng.random() < 0.5:
            values[[TOKENS[START], TOKENS[GOAL]]] = values[[TOKENS[GOAL], TOKENS[START]]]
        return Symmetry(positions=positions.reshape(-1).copy(), values=values)

    def generate(
        self, task: Task, rng: np.random.Generator, *, num_solutions: int | None = 1
    ) -> MazeGrid:
        """Scatter walls until the goal is far; add walls until ``num_solutions`` paths remain."""
        return generate(task.rows, task.columns, rng, num_solutions=num_solutions)

    def enumerate(
        self,
        instance: MazeGrid,
        *,
        limit: int,
        max_time_s: float | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Iterator[Tokens]:
        """Yield up to ``limit`` shortest paths; the time per path does not grow."""
        until_s = None if max_time_s is None else time.monotonic() + max_time_s
        towards = descent(instance.passages, instance.goal)
        givens = self.encode(instance).tokens
        for number, path in enumerate(islice(all_paths(towards, instance.start), limit)):
            is_late = until_s is not None and time.monotonic() >= until_s
            if is_late or (should_stop is not None and should_stop()):
                raise ExactTimeout(f"stopped with {number} shortest paths")
            yield with_path(givens, path)

    def count(self, instance: MazeGrid) -> int:
        """Return the number of shortest paths, by dynamic programming over the cells."""
        towards = descent(instance.passages, instance.goal)
        return num_paths(towards, instance.start)[instance.start]


def with_path(givens: Tokens, path: Sequence[int]) -> Tokens:
    """Return the tokens of a maze with a path, ends included, marked between its ends."""
    answer = givens.copy()
    answer[list(path[1:-1])] = PATH
    return answer


@lru_cache(maxsize=16)
def _task(rows: int, columns: int) -> Task:
    return Task(
        name=f"{Maze.name}-{rows}x{columns}",
        family=Maze.name,
        size=max(rows, columns),
        length=rows * columns,
        num_values=len(TOKENS),
        rows=rows,
        columns=columns,
        allows_blank=True,
        has_other_rules=True,
    )


def _walk(maze: MazeGrid, marked: set[int]) -> list[int]:
    """Return the positions of a greedy walk from the start over marked cells.

    Where a walk could branch it takes the first cell not yet walked; the goal is taken at once.
    """
    walked, seen = [maze.start], {maze.start}
    passages, goal = maze.passages, maze.goal
    while walked[-1] != goal:
        adjacent = list(neighbours(passages, walked[-1]))
        options = [cell for cell in adjacent if cell in marked and cell not in seen]
        if goal in adjacent:
            options = [goal]
        if not options:
            break
        walked.append(options[0])
        seen.add(options[0])
    return walked


def _broken_path(maze: MazeGrid, marked: set[int]) -> list[Violation]:
    ends = {maze.start, maze.goal}
    passages = maze.passages
    steps = marked | ends
    found = []
    for position in sorted(steps):
        adjacent = [cell for cell in neighbours(passages, position) if cell in steps]
        wanted = 1 if position in ends else 2
        if len(adjacent) != wanted:
            rule = "gap" if len(adjacent) < wanted else "branch"
            cells = (position, *(adjacent if rule == "branch" else ()))
            found.append(Violation(rule, tuple(map(maze.cell, cells))))
    if found or len(steps) == maze.num_moves + 1:
        return found
    walked = _walk(maze, marked)
    if len(walked) > maze.num_moves + 1:
        rule = f"longer than shortest: {len(walked) - 1} moves instead of {maze.num_moves}"
        found.append(Violation(rule, tuple(map(maze.cell, walked))))
    loops = sorted(steps - set(walked))
    if loops:
        found.append(Violation("closed loop", tuple(map(maze.cell, loops))))
    return found
