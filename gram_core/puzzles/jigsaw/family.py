"""Jigsaw sudoku: every digit once in each row, column and region, whatever the regions' shapes.

Two cells of one region are neighbours in the instance's graph, which model and verifier see.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from gram_core.puzzles.base import Family
from gram_core.puzzles.body import INTEGER, NULL, TEXT, check_fields, list_of, object_schema
from gram_core.puzzles.jigsaw.board import (
    MAX_SIZE,
    MIN_SIZE,
    JigsawBoard,
    draw_cells,
    draw_regions,
    numbered,
    read_board,
)
from gram_core.puzzles.jigsaw.generate import generate
from gram_core.puzzles.task import (
    Encoded,
    Symmetries,
    Symmetry,
    Task,
    Tokens,
    line_units,
    shuffled_values,
)
from gram_kernels.tokens import BLANK, Constraint, Unit


class Jigsaw(Family[JigsawBoard]):
    """Digit d is value d - 1, token d + 1."""

    name = "jigsaw"
    task_sizes = re.compile(r"([3-9])x[3-9]")
    task_hint = f"there are jigsaw-{MIN_SIZE}x{MIN_SIZE} to jigsaw-{MAX_SIZE}x{MAX_SIZE}"
    text_signs = "j:,_"

    def tasks(self) -> Sequence[str]:
        return ("jigsaw-6x6",)

    def make_task(self, *sizes: int) -> Task:
        return _task(sizes[0])

    def schema(self) -> dict[str, object]:
        cell = {"anyOf": [INTEGER, TEXT, NULL]}
        board = {"anyOf": [TEXT, list_of(TEXT), list_of(list_of(cell))]}
        pair = list_of(INTEGER, minItems=2, maxItems=2)
        regions = {"anyOf": [*board["anyOf"], list_of(list_of(pair))]}
        return object_schema(
            self.name,
            "JigsawBody",
            "A sudoku whose regions have any shape.",
            {
                "grid": {"description": "Rows of digits, `.` where blank.", **board},
                "regions": {
                    "description": "Rows of one letter or number for each region, or the (row, "
                    "column) of the cells of each.",
                    **regions,
                },
            },
            required=["grid"],
            example={
                "grid": "...53.\n.4..1.\n......\n......\n.3..4.\n.61...",
                "regions": "aaaabb\ncaaddb\ncccdbb\nccdddb\neeffff\neeeeff",
            },
        )

    def parse(self, body: Mapping[str, object]) -> JigsawBoard:
        return read_board(check_fields(body, puzzle=self.name, allowed=("grid", "regions")))

    def task_of(self, instance: JigsawBoard) -> Task:
        return _task(instance.size)

    def dump(self, instance: JigsawBoard) -> dict[str, object]:
        grid = draw_cells(instance, instance.cells)
        return {"puzzle": self.name, "grid": grid, "regions": draw_regions(instance)}

    def encode(self, instance: JigsawBoard) -> Encoded:
        regions = np.array(instance.regions)
        together = regions[:, None] == regions
        np.fill_diagonal(together, val=False)
        return Encoded(np.array(instance.cells, dtype=np.uint8) + np.uint8(BLANK), together)

    def instance_of(self, task: Task, encoded: Encoded) -> JigsawBoard:
        assert encoded.adjacency is not None
        # A region is known by its first cell.
        together = encoded.adjacency | np.eye(task.length, dtype=np.bool_)
        regions = numbered(together.argmax(axis=1).tolist())
        cells = tuple((encoded.tokens - BLANK).tolist())
        return JigsawBoard(size=task.size, cells=cells, regions=regions)

    def decode(self, instance: JigsawBoard, tokens: Tokens) -> object:
        return draw_cells(instance, [max(token - BLANK, 0) for token in tokens.tolist()])

    def units(self, instance: JigsawBoard) -> Sequence[Unit]:
        return [
            Unit(name, name.partition(" ")[0], Constraint.PERMUTATION, tuple(places))
            for name, places in instance.lines()
        ]

    def check(self, instance: JigsawBoard, tokens: Tokens) -> bool:
        size, digits = instance.size, [token - BLANK for token in tokens.tolist()]
        regions: list[list[int]] = [[] for _ in range(size)]
        for region, digit in zip(instance.regions, digits, strict=True):
            regions[region].append(digit)
        lines = [digits[at : at + size] for at in range(0, size * size, size)]
        wanted = list(range(1, size + 1))
        groups = [*lines, *zip(*lines, strict=True), *regions]
        kept = zip(instance.cells, digits, strict=True)
        return all(sorted(group) == wanted for group in groups) and all(
            given in (0, digit) for given, digit in kept
        )

    def symmetry(self, task: Task, rng: np.random.Generator) -> Symmetry:
        return self.symmetries(task, rng, 1)[0]

    def symmetries(self, task: Task, rng: np.random.Generator, count: int) -> Symmetries:
        """Draw permutations of digits, rows and columns, and transpositions.

        Lines may be permuted freely: a region is what the graph says, in one piece or not.
        """
        lines = rng.random((2, count, task.size)).argsort(axis=2)
        rows, columns = lines[0][:, :, None], lines[1][:, None, :]
        positions = rows * task.size + columns
        is_turned = rng.random(count) < 0.5
        positions[is_turned] = positions[is_turned].transpose(0, 2, 1)
        return Symmetries(positions.reshape(count, -1), shuffled_values(task, rng, count))

    def generate(
        self, task: Task, rng: np.random.Generator, *, num_solutions: int | None = 1
    ) -> JigsawBoard:
        """Empty cells of a random full board until ``num_solutions`` is reached."""
        return generate(task.size, rng, num_solutions=num_solutions)


@cache
def _task(size: int) -> Task:
    cells = np.arange(size * size).reshape(size, size)
    return Task(
        name=f"{Jigsaw.name}-{size}x{size}",
        family=Jigsaw.name,
        size=size,
        length=size * size,
        num_values=size,
        rows=size,
        columns=size,
        # The regions are the instance's, and reach the verifier as its graph.
        units=line_units(cells, Constraint.PERMUTATION),
        has_adjacency=True,
        relations=("row", "column", "edge", "edge"),
    )
