"""Graphs to colour as posted: the instance, its JSON and DIMACS forms, and clashes.

Knows vertices, edges and colours; does not know tokens, units or solving.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gram_core.errors import Issue
from gram_core.puzzles.body import (
    describe,
    is_integer,
    printable,
    raise_issues,
    read_integer,
    read_list,
    read_pairs,
    refuse,
)
from gram_core.puzzles.graph_coloring.dimacs import Graph, read_dimacs

MAX_VERTICES = 256
MAX_COLORS = 32
DEFAULT_COLORS = 3

_MAX_EDGES = MAX_VERTICES * (MAX_VERTICES - 1)
"""In both directions."""
_VERTEX = re.compile(r"0|[1-9][0-9]{0,8}")

Edge = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColoringGraph:
    """A graph to colour so that the ends of every edge differ."""

    vertices: int
    """Number of vertices, which are numbered from 0."""
    edges: tuple[Edge, ...]
    """Pairs with the smaller vertex first, in order, each once."""
    colors: int = DEFAULT_COLORS
    """Number of colours, which are numbered from 0."""
    fixed: tuple[tuple[int, int], ...] = ()
    """(vertex, colour) of the vertices that already have their colour, in order."""


def read_graph(fields: Mapping[str, object]) -> ColoringGraph:
    """Read a graph from checked fields; raise ``PuzzleInvalid`` with the place of each error."""
    fields = _numbered(fields)
    whole = next((name for name in ("dimacs", "adjacency") if name in fields), None)
    for field in ("vertices", "edges", "adjacency"):
        if whole not in (None, field) and field in fields:
            refuse(field, f"cannot stand beside {whole}: post one of the two")
    if whole == "dimacs":
        graph = read_dimacs(fields["dimacs"], max_vertices=MAX_VERTICES)
    elif whole == "adjacency":
        graph = _read_adjacency(fields["adjacency"])
    else:
        for field, what in (("vertices", "the number of vertices"), ("edges", "a list of pairs")):
            if field not in fields:
                refuse(field, f"is missing: {what}, or else a DIMACS text as dimacs")
        vertices = read_integer(fields["vertices"], "vertices", low=1, high=MAX_VERTICES)
        entries = read_list(fields["edges"], "edges", max_items=_MAX_EDGES)
        pairs = read_pairs(entries, "edges", below=vertices)
        raise_issues(_bad_edges(pairs))
        graph = Graph(vertices, [(min(pair), max(pair)) for pair in pairs])
    colors = read_integer(fields.get("colors", DEFAULT_COLORS), "colors", low=1, high=MAX_COLORS)
    fixed = _read_fixed(fields.get("fixed", {}), graph.vertices, colors)
    instance = ColoringGraph(
        vertices=graph.vertices,
        edges=tuple(sorted(set(graph.edges))),
        colors=colors,
        fixed=tuple(sorted(fixed.items())),
    )
    raise_issues(_clashes(instance))
    return instance


def _numbered(fields: Mapping[str, object]) -> Mapping[str, object]:
    """Return the fields of a graph with its vertices numbered, in the order of their names."""
    vertices, neighbours = fields.get("vertices"), fields.get("adjacency")
    if isinstance(vertices, list | tuple):
        numbers = _numbers(vertices, "vertices")
        changed: dict[str, object] = {"vertices": len(numbers)}
    elif isinstance(neighbours, Mapping):
        numbers = _numbers([*neighbours], "adjacency")
        changed = {"adjacency": _number_all([*neighbours.values()], "adjacency", numbers)}
    else:
        return fields
    if "edges" in fields:
        edges = read_list(fields["edges"], "edges", max_items=MAX_VERTICES**2)
        changed["edges"] = _number_all(edges, "edges", numbers)
    if isinstance(fixed := fields.get("fixed"), Mapping):
        changed["fixed"] = {
            str(_number(name, "fixed", numbers)): color for name, color in fixed.items()
        }
    return {**fields, **changed}


def _numbers(names: Sequence[object], field: str) -> Mapping[str, int]:
    numbers: dict[str, int] = {}
    for index, name in enumerate(read_list(names, field, max_items=MAX_VERTICES)):
        if not (isinstance(name, str) or is_integer(name)) or numbers.get(str(name)) is not None:
            refuse(f"{field}[{index}]", f"must be a name of its own, not {describe(name)}")
        numbers[str(name)] = index
    return numbers


def _number_all(
    groups: Sequence[object], field: str, numbers: Mapping[str, int]
) -> list[list[int]]:
    names = (
        read_list(group, f"{field}[{index}]", max_items=MAX_VERTICES)
        for index, group in enumerate(groups)
    )
    return [
        [_number(name, f"{field}[{index}][{at}]", numbers) for at, name in enumerate(group)]
        for index, group in enumerate(names)
    ]


def _number(name: object, field: str, numbers: Mapping[str, int]) -> int:
    # Only these are printed: a nested value may be deeper than str can follow.
    number = numbers.get(str(name)) if isinstance(name, str) or is_integer(name) else None
    if number is None:
        refuse(field, f"names no vertex: {describe(name)}")
    return number


def _read_adjacency(value: object) -> Graph:
    """Read rows of 0 and 1, or the neighbours of each vertex; an edge may stand there once."""
    rows = [
        read_list(row, f"adjacency[{vertex}]", max_items=MAX_VERTICES)
        for vertex, row in enumerate(read_list(value, "adjacency", max_items=MAX_VERTICES))
    ]
    vertices = read_integer(len(rows), "number of rows of adjacency", low=1, high=MAX_VERTICES)
    # Full rows of neighbours would each name a vertex as its own.
    if all(len(row) == vertices and all(cell in (0, 1) for cell in row) for row in rows):
        rows = [[other for other, cell in enumerate(row) if cell] for row in rows]
    edges = set()
    for one, row in enumerate(rows):
        for index, entry in enumerate(row):
            field = f"adjacency[{one}]"
            other = read_integer(entry, f"{field}[{index}]", low=0, high=vertices - 1)
            raise_issues(_self_loop(field, one, other))
            edges.add((min(one, other), max(one, other)))
    return Graph(vertices, sorted(edges))


def _self_loop(field: str, one: int, other: int) -> Iterator[Issue]:
    if one == other:
        detail = f"joins vertex {one} to itself, so no colour is left for it"
        yield Issue(field, detail, ((one,),), f"edge {one}-{one}")


def _bad_edges(edges: Sequence[Edge]) -> Iterator[Issue]:
    """Yield loops and repetitions; an edge in both directions is none."""
    first_at: dict[Edge, int] = {}
    for index, (one, other) in enumerate(edges):
        first = first_at.setdefault((one, other), index)
        if one == other:
            yield from _self_loop(f"edges[{index}]", one, other)
        elif first != index:
            detail = f"repeats edges[{first}]: {one}-{other}"
            yield Issue(f"edges[{index}]", detail, ((one,), (other,)))


def _read_fixed(value: object, vertices: int, colors: int) -> dict[int, int]:
    if not isinstance(value, Mapping):
        refuse("fixed", f"must be an object of vertex to colour, not {describe(value)}")
    if len(value) > vertices:
        refuse("fixed", f"has {len(value)} entries; the graph has {vertices} vertices")
    fixed = {}
    for key, color in value.items():
        field = f"fixed[{printable(key)}]"
        if not isinstance(key, str) or not _VERTEX.fullmatch(key) or int(key) >= vertices:
            refuse(field, f"is not a vertex: they are 0 to {vertices - 1}")
        fixed[int(key)] = read_integer(color, field, low=0, high=colors - 1)
    return fixed


def _clashes(graph: ColoringGraph) -> Iterator[Issue]:
    color_of = dict(graph.fixed)
    return (
        Issue(
            "fixed",
            f"vertices {one} and {other} both have colour {color_of[one]}, but an edge joins them",
            ((one,), (other,)),
            f"edge {one}-{other}",
        )
        for one, other in graph.edges
        if one in color_of and color_of[one] == color_of.get(other)
    )
