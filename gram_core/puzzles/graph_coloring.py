"""Graph colouring: give every vertex one of k colours so that the ends of every edge differ.

Holds the rules, symmetries and instances of the family; how graphs are written is in
``coloring_graph``.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np

from gram_core.errors import UnknownTask
from gram_core.puzzles.base import Encoded, Symmetry, Task, Tokens, Violation
from gram_core.puzzles.body import check_fields, shown
from gram_core.puzzles.coloring_graph import (
    DEFAULT_COLORS,
    MAX_COLORS,
    MAX_VERTICES,
    ColoringGraph,
    read_graph,
)
from gram_core.puzzles.coloring_planting import plant
from gram_core.puzzles.violations import find_violations
from gram_kernels.tokens import BLANK, FIRST_VALUE, PAD, Constraint, Unit

_NAME = re.compile(r"graph-coloring-([1-9][0-9]{0,2})(?:-([1-9][0-9]?))?")
_FIELDS = ("vertices", "edges", "colors", "fixed", "dimacs")


class GraphColoring:
    """The colouring family: one token a vertex; colour c is value c, token c + 2."""

    name = "graph-coloring"

    def tasks(self) -> Sequence[str]:
        """Return the sizes that weights are usually made for."""
        return ("graph-coloring-8", "graph-coloring-10")

    def task(self, name: str) -> Task:
        """Return the task of that name: ``graph-coloring-<n>``, or ``-<n>-<k>`` when k is not 3."""
        match = _NAME.fullmatch(name)
        vertices = int(match[1]) if match else 0
        colors = int(match[2]) if match and match[2] else DEFAULT_COLORS
        if 1 <= vertices <= MAX_VERTICES and colors <= MAX_COLORS:
            task = _task(vertices, colors)
            if task.name == name:
                return task
        raise UnknownTask(
            f"no colouring task is named {shown(name)}: graph-coloring-8 has 8 vertices and "
            f"3 colours, graph-coloring-8-4 has 4; "
            f"there are at most {MAX_VERTICES} vertices and {MAX_COLORS} colours"
        )

    def parse(self, body: Mapping[str, object]) -> ColoringGraph:
        """Read ``vertices`` and ``edges``, or ``dimacs``, with ``colors`` and ``fixed``."""
        return read_graph(check_fields(body, puzzle=self.name, allowed=_FIELDS))

    def parse_text(self, text: str) -> ColoringGraph:
        """Read a DIMACS ``.col`` text, to be coloured in 3 colours."""
        return self.parse({"dimacs": text})

    def task_of(self, instance: ColoringGraph) -> Task:
        """Return the task of that many vertices and colours."""
        return _task(instance.vertices, instance.colors)

    def dump(self, instance: ColoringGraph) -> dict[str, object]:
        """Return the canonical body: edges in order, and only what is fixed."""
        return {
            "puzzle": self.name,
            "vertices": instance.vertices,
            "edges": [list(edge) for edge in instance.edges],
            "colors": instance.colors,
            "fixed": {str(vertex): color for vertex, color in instance.fixed},
        }

    def encode(self, instance: ColoringGraph) -> Encoded:
        """Return fixed colours as tokens, and the edges as the relation."""
        tokens = np.full(instance.vertices, BLANK, dtype=np.uint8)
        for vertex, color in instance.fixed:
            tokens[vertex] = color + FIRST_VALUE
        adjacency = np.zeros((instance.vertices, instance.vertices), dtype=np.bool_)
        for one, other in instance.edges:
            adjacency[one, other] = adjacency[other, one] = True
        return Encoded(tokens=tokens, adjacency=adjacency)

    def instance_of(self, task: Task, encoded: Encoded) -> ColoringGraph:
        """Return the graph of such tokens and relation."""
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
        """Return one unit an edge."""
        return [
            Unit(f"edge {one}-{other}", "edge", Constraint.DIFFERENT, (one, other))
            for one, other in instance.edges
        ]

    def check(self, instance: ColoringGraph, tokens: Tokens) -> bool:
        """Say whether every vertex has a colour, fixed ones keep theirs, and no edge clashes."""
        colors = [token - FIRST_VALUE for token in tokens.tolist()]
        if not all(0 <= color < instance.colors for color in colors):
            return False
        kept = all(colors[vertex] == color for vertex, color in instance.fixed)
        return kept and all(colors[one] != colors[other] for one, other in instance.edges)

    def violations(self, instance: ColoringGraph, tokens: Tokens) -> list[Violation]:
        """Return clashing edges, changed fixed colours and vertices without colour."""
        return find_violations(
            tokens,
            self.encode(instance).tokens,
            task=self.task_of(instance),
            units=self.units(instance),
            cell=lambda position: (position,),
        )

    def canonical(self, instance: ColoringGraph, tokens: Tokens) -> bytes:
        """Return the colours named by first appearance: a renaming of colours changes nothing."""
        names: dict[int, int] = {}
        return bytes(names.setdefault(token, len(names)) for token in tokens.tolist())

    def representative(self, instance: ColoringGraph, solution: Tokens) -> Tokens:
        """Return the colouring with its colours named by first appearance, fixed ones as fixed."""
        names = {color + FIRST_VALUE: color + FIRST_VALUE for _, color in instance.fixed}
        tokens = range(FIRST_VALUE, FIRST_VALUE + instance.colors)
        unused = iter([token for token in tokens if token not in names])
        for token in solution.tolist():
            if token not in names:
                names[token] = next(unused)
        return np.array([names[token] for token in solution.tolist()], dtype=solution.dtype)

    def symmetry(self, task: Task, rng: np.random.Generator) -> Symmetry:
        """Draw a renaming of vertices and of colours; the adjacency must be renamed with it."""
        colors = rng.permutation(task.num_values) + FIRST_VALUE
        return Symmetry(
            positions=rng.permutation(task.length).astype(np.int64),
            values=np.concatenate([[PAD, BLANK], colors]).astype(np.uint8),
        )

    def generate(
        self, task: Task, rng: np.random.Generator, *, num_solutions: int | None = 1
    ) -> ColoringGraph:
        """Join vertices of different hidden colours until few enough colourings remain."""
        edges = plant(task.size, task.num_values, rng, num_solutions=num_solutions)
        return ColoringGraph(vertices=task.size, edges=tuple(sorted(edges)), colors=task.num_values)

    def enumerate(
        self,
        instance: ColoringGraph,
        *,
        limit: int,
        max_time_s: float | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Iterator[Tokens]:
        """Yield up to limit colourings exactly, none a renaming of another."""
        from gram_core.puzzles.exact import enumerate_answers

        pinned = {color for _, color in instance.fixed}
        return enumerate_answers(
            self.encode(instance).tokens,
            self.task_of(instance),
            self.units(instance),
            limit=limit,
            max_time_s=max_time_s,
            should_stop=should_stop,
            interchangeable=[
                color + FIRST_VALUE for color in range(instance.colors) if color not in pinned
            ],
        )


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
        units=(),
        has_adjacency=True,
    )
