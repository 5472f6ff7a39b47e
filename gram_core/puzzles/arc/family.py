"""Tasks of ARC-AGI: grids before and after a rule that nobody states, and one more grid to map.

Nothing can say whether an answer is right, so answers are candidates. Grids lie on one canvas, the
pairs below each other with inputs left and outputs right; what stands in an output has values of
its own, and so has what lies outside of a grid. Bodies are read in ``grids``; ``learned`` has the
tokens of models that know tasks by heart.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gram_core.puzzles.arc import learned
from gram_core.puzzles.arc.grids import (
    MAX_GRIDS,
    MAX_SIDE,
    NUM_COLORS,
    NUM_SHOWN,
    ArcTask,
    Grid,
    Pair,
    arc_task,
    read_task,
)
from gram_core.puzzles.base import Family, Padding
from gram_core.puzzles.body import INTEGER, check_fields, list_of, object_schema
from gram_core.puzzles.task import Encoded, Symmetries, Symmetry, Task, Tokens, ViewOf, Violation
from gram_kernels.tokens import BLANK, FIRST_VALUE

NUM_VALUES = NUM_COLORS + 1
"""Of one side: the colors, and what lies outside of a grid."""
OUTPUT = FIRST_VALUE + NUM_VALUES
"""Token of color 0 in an output; in an input it is FIRST_VALUE."""
NUM_TURNS = 8
Squares = NDArray[np.int64]
"""(pairs, 2, side, side) colors: inputs and outputs, the test grid last; ``NUM_COLORS`` outside."""
_ZEROS: Squares = np.array([FIRST_VALUE, OUTPUT])[:, None, None]
"""Token of color 0 on each side."""


class Arc(Family[ArcTask]):
    """Color c is token c + 2 in an input and c + 13 in an output; outside, 12 and 23."""

    name = "arc"
    has_verifier = False
    task_sizes = re.compile(r"([1-9][0-9]?)x[1-9][0-9]?")
    task_hint = f"there are arc-1x1 to arc-{MAX_SIDE}x{MAX_SIDE}"

    def tasks(self) -> Sequence[str]:
        return ("arc-10x10", f"arc-{MAX_SIDE}x{MAX_SIDE}")

    def make_task(self, *sizes: int) -> Task | None:
        return _task(sizes[0]) if sizes[0] <= MAX_SIDE else None

    def task(self, name: str) -> Task:
        return learned.TASK if name == learned.TASK.name else super().task(name)

    def schema(self) -> dict[str, object]:
        row = list_of({**INTEGER, "minimum": 0, "maximum": NUM_COLORS - 1}, minItems=1)
        grid = {**list_of(row, minItems=1, maxItems=MAX_SIDE), "description": "Rows of colors."}
        pair = {"type": "object", "properties": {"input": grid, "output": grid}}
        return object_schema(
            self.name,
            "ArcBody",
            "A task of ARC-AGI: what a rule makes of grids, and a grid to apply it to.",
            {
                "train": {
                    "description": f"Pairs that show the rule; a model sees the first {NUM_SHOWN}.",
                    **list_of(
                        {**pair, "required": ["input", "output"]}, minItems=1, maxItems=MAX_GRIDS
                    ),
                },
                "test": {
                    "description": "Grids whose output is wanted; an output is ignored.",
                    **list_of({**pair, "required": ["input"]}, minItems=1, maxItems=MAX_GRIDS),
                },
                "test_index": {
                    "description": "Which grid of `test` to answer, from 0, where it has several.",
                    **INTEGER,
                    "minimum": 0,
                },
            },
            required=["train", "test"],
            example={
                "train": [
                    {"input": [[1, 0], [0, 0]], "output": [[0, 1], [0, 0]]},
                    {"input": [[0, 0], [2, 3]], "output": [[0, 0], [3, 2]]},
                ],
                "test": [{"input": [[0, 5], [5, 4]]}],
            },
        )

    def parse(self, body: Mapping[str, object]) -> ArcTask:
        allowed = ("train", "test", "test_index")
        return read_task(check_fields(body, puzzle=self.name, allowed=allowed))

    def task_of(self, instance: ArcTask) -> Task:
        return learned.TASK if instance.is_learned else _task(instance.side)

    def pad(self, instance: ArcTask, task: Task) -> Padding[ArcTask] | None:
        """Return the task on a larger canvas; what an answer has beyond the smaller one is cut."""
        if task.size < instance.side:
            return None
        if task == learned.TASK:
            known = replace(instance, side=task.size, is_learned=True)
            return Padding(known, np.arange(task.length))
        part = slice(instance.side)
        positions = _positions(task.size)[:, :, part, part].transpose(0, 2, 1, 3).reshape(-1)
        return Padding(ArcTask(instance.pairs, instance.test, task.size), positions)

    def dump(self, instance: ArcTask) -> dict[str, object]:
        pairs = [{"input": _lists(one), "output": _lists(other)} for one, other in instance.pairs]
        test = [{"input": _lists(instance.test)}]
        return {"puzzle": self.name, "train": pairs, "test": test}

    def encode(self, instance: ArcTask) -> Encoded:
        return Encoded(self.fill(instance, None))

    def seen(
        self, instance: ArcTask, task: Task, *, seed: int, folder: Path
    ) -> tuple[Encoded, ViewOf]:
        if task != learned.TASK:
            return super().seen(instance, task, seed=seed, folder=folder)
        known = learned.find_known(instance, folder)
        tokens = learned.write_tokens(instance.test, None, known.first)
        return Encoded(tokens), learned.LearnedViews(known)

    def fill(self, instance: ArcTask, output: Grid | None) -> Tokens:
        """Return the canvas, (length,), with an output in the place of the blanks."""
        if instance.is_learned:
            return learned.write_tokens(instance.test, output, 0)
        size = instance.side
        squares: Squares = np.full((NUM_SHOWN + 1, 2, size, size), NUM_COLORS)
        for number, pair in enumerate(instance.shown):
            for square, grid in zip(squares[number], pair, strict=True):
                square[: len(grid), : len(grid[0])] = grid
        last, test = squares[-1], instance.test
        last[0, : len(test), : len(test[0])] = test
        if output is not None:
            last[1, : len(output), : len(output[0])] = output
        tokens = (squares + _ZEROS).astype(np.uint8)
        if output is None:
            tokens[-1, 1] = BLANK
        return tokens.transpose(0, 2, 1, 3).reshape(-1)

    def instance_of(self, task: Task, encoded: Encoded) -> ArcTask:
        squares = _squares(encoded.tokens, task.size)
        pairs = [Pair(*map(_crop, pair)) for pair in squares[:-1] if (pair[0] < NUM_COLORS).any()]
        return ArcTask(tuple(pairs), _crop(squares[-1, 0]), task.size)

    def decode(self, instance: ArcTask, tokens: Tokens) -> list[list[int | None]]:
        """Return the rows of the output; of an unfinished one, cells without a color are None."""
        if len(tokens) == learned.TASK.length:
            return _lists(learned.read_grids(tokens)[1])
        rows = _crop(_squares(tokens, instance.side)[-1, 1])
        return [[color if 0 <= color < NUM_COLORS else None for color in row] for row in rows]

    def canonical(self, instance: ArcTask, tokens: Tokens) -> bytes:
        return repr(self.decode(instance, tokens)).encode()

    def check(self, instance: ArcTask, tokens: Tokens) -> bool:
        """Say whether the output is a grid, and the rest as posted, wherever grids lie."""
        if not _has_output(instance, tokens):
            return False
        if len(tokens) == learned.TASK.length:
            return learned.read_grids(tokens)[0] == instance.test
        squares = _squares(tokens, instance.side)
        posted = [*(grid for pair in instance.shown for grid in pair), instance.test]
        given = [_crop(square) for square in squares.reshape(-1, *squares.shape[2:])[:-1]]
        return [grid for grid in given if grid] == posted

    def cell(self, instance: ArcTask, position: int) -> tuple[int, ...]:
        """Return row and column in the grid that has the position."""
        row, column = divmod(position, 2 * instance.side)
        return row % instance.side, column % instance.side

    def violations(self, instance: ArcTask, tokens: Tokens) -> list[Violation]:
        if self.check(instance, tokens):
            return []
        if _has_output(instance, tokens):
            return [Violation("given", ())]
        size = instance.side
        cells = tuple((row, column) for row in range(size) for column in range(size))
        return [Violation("the output is no rectangle of colors", cells)]

    def symmetry(self, task: Task, rng: np.random.Generator) -> Symmetry:
        return self.symmetries(task, rng, 1)[0]

    def symmetries(self, task: Task, rng: np.random.Generator, count: int) -> Symmetries:
        """Turn or mirror all grids, rename all colors but 0, and put the pairs in another order."""
        turned = _turns(task.size)[rng.integers(NUM_TURNS, size=count)]
        orders = rng.permuted(np.tile(np.arange(NUM_SHOWN), (count, 1)), axis=1)
        orders = np.pad(orders, ((0, 0), (0, 1)), constant_values=NUM_SHOWN)
        positions = np.take_along_axis(turned, orders[:, :, None], axis=1)
        colors = np.tile(np.arange(NUM_VALUES), (count, 1))
        colors[:, 1:NUM_COLORS] = rng.permuted(colors[:, 1:NUM_COLORS], axis=1)
        unnamed = np.tile(np.arange(FIRST_VALUE), (count, 1))
        values = np.concatenate((unnamed, colors + FIRST_VALUE, colors + OUTPUT), axis=1)
        return Symmetries(positions.reshape(count, -1), values.astype(np.uint8))

    def generate(
        self, task: Task, rng: np.random.Generator, *, num_solutions: int | None = 1
    ) -> ArcTask:
        """Make a task whose rule turns or mirrors grids and renames their colors."""
        turn, colors = rng.integers(NUM_TURNS), rng.permutation(NUM_COLORS)
        inputs = rng.integers(NUM_COLORS, size=(NUM_SHOWN + 1, task.size, task.size))
        outputs = [colors[_turn(grid, int(turn))] for grid in inputs]
        grids = [(_grid(one), _grid(other)) for one, other in zip(inputs, outputs, strict=True)]
        made = arc_task((Pair(*pair) for pair in grids[:-1]), grids[-1][0])
        return replace(made, is_learned=task == learned.TASK)


def _turn(grid: NDArray[Any], turn: int) -> NDArray[Any]:
    """Return a square, (..., side, side), under one of its eight symmetries."""
    turned = np.rot90(grid, turn % 4, axes=(-2, -1))
    return turned if turn < 4 else np.swapaxes(turned, -2, -1)


@cache
def _positions(size: int) -> Squares:
    """Return the position of each cell in the tokens, (pairs, 2, side, side)."""
    cells = np.arange(2 * (NUM_SHOWN + 1) * size * size).reshape(NUM_SHOWN + 1, size, 2, size)
    return cells.transpose(0, 2, 1, 3)


@cache
def _turns(size: int) -> NDArray[np.int64]:
    """Return (turns, pairs, 2 * side * side): positions in the order of the tokens of a turn."""
    turned = [_turn(_positions(size), turn).transpose(0, 2, 1, 3) for turn in range(NUM_TURNS)]
    return np.stack(turned).reshape(NUM_TURNS, NUM_SHOWN + 1, -1)


def _squares(tokens: Tokens, size: int) -> Squares:
    """Return the colors of the canvas; a token that has no color there is no color here either."""
    return tokens.astype(np.int64)[_positions(size)] - _ZEROS


def _box(square: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the part that has all cells inside of a grid."""
    inside = square != NUM_COLORS
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return square[:0, :0]
    return square[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _crop(square: NDArray[np.int64]) -> Grid:
    return _grid(_box(square))


def _has_output(instance: ArcTask, tokens: Tokens) -> bool:
    if len(tokens) == learned.TASK.length:
        return bool(learned.read_grids(tokens)[1])
    box = _box(_squares(tokens, instance.side)[-1, 1])
    return box.size > 0 and bool(((box >= 0) & (box < NUM_COLORS)).all())


def _grid(array: NDArray[np.int64]) -> Grid:
    return tuple(map(tuple, array.tolist()))


def _lists(grid: Grid) -> list[list[int | None]]:
    return [list(row) for row in grid]


@cache
def _task(size: int) -> Task:
    return Task(
        name=f"{Arc.name}-{size}x{size}",
        family=Arc.name,
        size=size,
        length=2 * (NUM_SHOWN + 1) * size * size,
        num_values=2 * NUM_VALUES,
        rows=(NUM_SHOWN + 1) * size,
        columns=2 * size,
        # A row has an input and its output; a column has all inputs, or all outputs.
        relations=("row", "column", "near", "near"),
        has_other_rules=True,
    )
