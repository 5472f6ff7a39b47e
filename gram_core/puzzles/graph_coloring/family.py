"""Graph colouring: give every vertex one of k colours so that the ends of every edge differ.

Holds the rules, symmetries and instances of the family; input formats are in ``graph``.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from gram_core.puzzles.base import Family, Padding
from gram_core.puzzles.body import INTEGER, TEXT, check_fields, list_of, object_schema
from gram_core.puzzles.graph_coloring.dimacs import LINE_STARTS
from gram_core.puzzles.graph_coloring.generate import generate
from gram_core.puzzles.graph_coloring.graph import (
    DEFAULT_COLORS,
    MAX_COLORS,
    MAX_VERTICES,
    ColoringGraph,
    read_graph,
)
from gram_core.puzzles.task import Encoded, Symmetries, Symmetry, Task, Tokens, shuffled_values
from gram_kernels.tokens import BLANK, FIRST_VALUE, Constraint, Unit

_FIELDS = ("vertices", "edges", "adjacency", "colors", "fixed", "dimacs")
_EXAMPLE = {"vertices": 8, "edges": [[0, 1], [1, 2], [2, 0]], "colors": 3, "fixed": {"0": 1}}


class GraphColoring(Family[ColoringGraph]):
    """The colouring family: one token per vertex; colour c is value c, token c + 2."""

    name = "graph-coloring"
    task_sizes = re.compile(r"([1-9][0-9]{0,2})(?:-([1-9][0-9]?))?")
    task_hint = (
        "graph-coloring-8 has 8 vertices and 3 colours, graph-coloring-8-4 has 4; "
        f"there are at most {MAX_VERTICES} vertices and {MAX_COLORS} colours"
    )
    text_field = "dimacs"
    line_starts = LINE_STARTS

    def tasks(self) -> Sequence[str]:
        return ("graph-coloring-8", "graph-coloring-10")

    def make_task(self, *sizes: int) -> Task | None:
        """Return the task of (vertices,) or (vertices, colours)."""
        vertices, colors = sizes if len(sizes) == 2 else (*sizes, DEFAULT_COLORS)
        is_bounded = vertices <= MAX_VERTICES and colors <= MAX_COLORS
        return _task(vertices, colors) if is_bounded else None

    def schema(self) -> dict[str, object]:
        """Return the JSON Schema of the list form; DIMACS text is posted as plain text."""
        vertex = {"anyOf": [INTEGER, TEXT]}
        row = list_of(vertex)
        neighbours = {"additionalProperties": row, "type": "object"}
        return object_schema(
            self.name,
            "GraphColoringBody",
            "A graph whose vertices are to be coloured, neighbours differently.",
            {
                "vertices": {
                    "description": "Their number, or their names in the order of the answer.",
                    "anyOf": [INTEGER, row],
                },
                "edges": list_of(list_of(vertex, minItems=2, maxItems=2)),
                "adjacency": {
                    "description": "Instead of `vertices` and `edges`: a matrix of 0 and 1, or the "
                    "neighbours of each vertex, as lists or by name.",
                    "anyOf": [list_of(row), neighbours],
                },
                "colors": {"default": DEFAULT_COLORS, **INTEGER},
                "fixed": {
                    "description": "Colour, from 0, of vertices that have one already.",
                    "additionalProperties": INTEGER,
                    "type": "object",
                    "default": {},
                },
            },
            example=_EXAMPLE,
        )

    def parse(self, body: Mapping[str, object]) -> ColoringGraph:
        """Read ``vertices`` and ``edges``, or ``dimacs``, with ``colors`` and ``fixed``."""
        return read_graph(check_fields(body, puzzle=self.name, allowed=_FIELDS))

    def task_of(self, instance: ColoringGraph) -> Task:
        return _task(instance.vertices, instance.colors)

    def pad(self, instance: ColoringGraph, task: Task) -> Padding[ColoringGraph] | None:
        """Return the graph with isolated vertices.

        For each colour that it may not have, one that has that colour is joined to its vertices.
        """
        number, colors = instance.vertices, range(instance.colors, task.num_values)
        if instance.colors > task.num_values or number + len(colors) > task.size:
            return None
        taken = tuple(enumerate(colors, start=number))
        edges = {(vertex, other) for other, _ in taken for vertex in range(other)}
        # Models know few graphs with fixed colours: where colours may be renamed, they are.
        is_named = bool(instance.fixed)
        padded = ColoringGraph(
            vertices=task.size,
            edges=tuple(sorted(edges.union(instance.edges))),
            colors=task.num_values,
            fixed=instance.fixed + taken if is_named else (),
        )
        names = {} if is_named else {vertex: color + FIRST_VALUE for vertex, color in taken}
        return Padding(padded, np.arange(number), names)

    def dump(self, instance: ColoringGraph) -> dict[str, object]:
        """Return the canonical body, with sorted edges."""
        return {
            "puzzle": self.name,
            "vertices": instance.vertices,
            "edges": [list(edge) for edge in instance.edges],
            "colors": instance.colors,
            "fixed": {str(vertex): color for vertex, color in instance.fixed},
        }

    def encode(self, instance: ColoringGraph) -> Encoded:
        """Return fixed colours as tokens, and the edges as adjacency."""
        tokens = np.full(instance.vertices, BLANK, dtype=np.uint8)
        for vertex, color in instance.fixed:
            tokens[vertex] = color + FIRST_VALUE
        adjacency = np.zeros((instance.vertices, instance.vertices), dtype=np.bool_)
        for one, other in instance.edges:
            adjacency[one, other] = adjacency[other, one] = True
        return Encoded(tokens=tokens, adjacency=adjacency)

    def instance_of(self, task: Task, encoded: Encoded) -> ColoringGraph:
        tokens, adjacency = encoded.tokens.tolist(), encoded.adjacency
        assert adjacency is not None
        return ColoringGraph(
            vertices=task.size,
            edges=tuple((int(one), int(other)) for one, other in np.argwhere(np.triu(adjacency))),
            colors=task.num_values,
            fixed=tuple(
                (vertex, token - FIRST_VALUE)
                for vertex, token in enumerate(tokens)
                if token >= FIRST_VALUE
            ),
        )

    def decode(self, instance: ColoringGraph, tokens: Tokens) -> list[int | None]:
        """Return the colour of each vertex; null for one without colour."""
        return [token - FIRST_VALUE if token >= FIRST_VALUE else None for token in tokens.tolist()]

    def units(self, instance: ColoringGraph) -> Sequence[Unit]:
        return [
            Unit(f"edge {one}-{other}", "edge", Constraint.DIFFERENT, (one, other))
            for one, other in instance.edges
        ]

    def check(self, instance: ColoringGraph, tokens: Tokens) -> bool:
        colors = [token - FIRST_VALUE for token in tokens.tolist()]
        if not all(0 <= color < instance.colors for color in colors):
            return False
        kept = all(colors[vertex] == color for vertex, color in instance.fixed)
        return kept and all(colors[one] != colors[other] for one, other in instance.edges)

    def cell(self, instance: ColoringGraph, position: int) -> tuple[int, ...]:
        return (position,)

    def canonical(self, instance: ColoringGraph, tokens: Tokens) -> bytes:
        """Return the colours numbered by first appearance, so that renaming has no effect."""
        names: dict[int, int] = {}
        return bytes(names.setdefault(token, len(names)) for token in tokens.tolist())

    def representative(self, instance: ColoringGraph, solution: Tokens) -> Tokens:
        """Return the colouring with colours numbered by first appearance, fixed ones kept."""
        names = {color + FIRST_VALUE: color + FIRST_VALUE for _, color in instance.fixed}
        tokens = range(FIRST_VALUE, FIRST_VALUE + instance.colors)
        unused = iter([token for token in tokens if token not in names])
        for token in solution.tolist():
            if token not in names:
                names[token] = next(unused)
        return np.array([names[token] for token in solution.tolist()], dtype=solution.dtype)

    def symmetry(self, task: Task, rng: np.random.Generator) -> Symmetry:
        return self.symmetries(task, rng, 1)[0]

    def symmetries(self, task: Task, rng: np.random.Generator, count: int) -> Symmetries:
        """Draw renamings of vertices and colours; the adjacency must be renamed with them."""
        positions = rng.random((count, task.length)).argsort(axis=1)
        return Symmetries(positions, shuffled_values(task, rng, count))

    def generate(
        self, task: Task, rng: np.random.Generator, *, num_solutions: int | None = 1
    ) -> ColoringGraph:
        """Join vertices of different hidden colours until few enough colourings remain."""
        edges = generate(task.size, task.num_values, rng, num_solutions=num_solutions)
        return ColoringGraph(vertices=task.size, edges=tuple(sorted(edges)), colors=task.num_values)

    def interchangeable(self, instance: ColoringGraph) -> Sequence[int]:
        """Return the colours that no vertex is fixed to."""
        pinned = {color for _, color in instance.fixed}
        return [color + FIRST_VALUE for color in range(instance.colors) if color not in pinned]


@lru_cache(maxsize=64)
def _task(vertices: int, colors: int) -> Task:
    suffix = "" if colors == DEFAULT_COLORS else f"-{colors}"
    return Task(
        name=f"graph-coloring-{vertices}{suffix}",
        family=GraphColoring.name,
        size=vertices,
        length=vertices,
        num_values=colors,
        rows=1,
        columns=vertices,
        has_adjacency=True,
    )
