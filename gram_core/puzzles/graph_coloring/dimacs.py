"""Reader of the DIMACS ``.col`` text of a graph, whose vertices are counted from 1.

Knows lines and numbers; does not know colours.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from gram_core.puzzles.body import read_text, refuse

_FIELD = "dimacs"
_MAX_TEXT = 1_000_000
_SKIPPED = frozenset("ndvx%#")
"""Line types that colouring ignores: comments, values and coordinates of vertices."""
_KINDS = frozenset({"edge", "edges", "col", "color", "coloring", "graph", "sp", "tw", "td", "vc"})
"""Problems whose files hold a graph; edges of the last three are numbers alone."""
LINE_STARTS = frozenset({"c", *(f"{kind} " for kind in "pecndvx")})
"""First two characters of lines that a drawn board does not begin with."""


class Graph(NamedTuple):
    """A plain graph with vertices from 0."""

    vertices: int
    edges: list[tuple[int, int]]
    """Pairs with the smaller vertex first."""
    names: Mapping[str, int] = MappingProxyType({})
    """Vertex by its name in the text."""


def read_dimacs(value: object, *, max_vertices: int) -> Graph:
    """Read the problem line and the edge lines; an edge may be listed in both directions."""
    text = read_text(value, _FIELD, max_length=_MAX_TEXT)
    graph: Graph | None = None
    num_edges = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not line:
            # Must be cheap: a text may have a million of them.
            continue
        words = line.split()
        kind = words[0].lower() if words else ""
        if not words or kind in _SKIPPED or kind.startswith("c"):
            continue
        if kind == "p":
            if graph is not None:
                refuse(_FIELD, f"line {number} is a second problem line")
            graph, num_edges = _read_problem(words, number, max_vertices)
        elif kind in ("e", "a"):
            _read_edge(words[1:], number, graph)
        elif graph is not None and kind.isdigit():
            _read_edge(words, number, graph)
        else:
            refuse(_FIELD, f"line {number} does not start with c, p or e")
    if graph is None:
        refuse(_FIELD, "has no problem line: p edge VERTICES EDGES")
    # Files differ in whether they count each edge twice.
    if 2 * len(graph.edges) < num_edges:
        refuse(_FIELD, f"has {len(graph.edges)} of {num_edges} edges: its end is missing")
    return graph


def _read_problem(words: list[str], line: int, max_vertices: int) -> tuple[Graph, int]:
    """Return a graph without edges, and the number that its file counts."""
    if len(words) < 4 or words[1].lower() not in _KINDS:
        refuse(_FIELD, f"line {line} is not of the form: p edge VERTICES EDGES")
    vertices = _read_number(words[2], line, low=1, high=max_vertices)
    names = {str(vertex + 1): vertex for vertex in range(vertices)}
    return Graph(vertices, [], names), int(words[3][:9]) if words[3].isdecimal() else 0


def _read_edge(words: list[str], line: int, graph: Graph | None) -> None:
    if graph is None:
        refuse(_FIELD, f"line {line} comes before the problem line")
    # A third number is a weight.
    if len(words) not in (2, 3):
        refuse(_FIELD, f"line {line} is not of the form: e VERTEX VERTEX")
    one, other = (
        graph.names[word]
        if word in graph.names
        else _read_number(word, line, low=1, high=graph.vertices) - 1
        for word in words[:2]
    )
    if one == other:
        detail = f"line {line} joins vertex {one + 1} to itself, so no colour is left for it"
        refuse(_FIELD, detail, cells=[(one,)], rule=f"edge {one}-{one}")
    graph.edges.append((one, other) if one < other else (other, one))


def _read_number(word: str, line: int, *, low: int, high: int) -> int:
    is_number = word.isascii() and word.isdigit() and len(word) <= 9
    if not is_number:
        refuse(_FIELD, f"line {line} should hold whole numbers")
    if not low <= int(word) <= high:
        refuse(_FIELD, f"line {line} holds {int(word)}, which is not between {low} and {high}")
    return int(word)
