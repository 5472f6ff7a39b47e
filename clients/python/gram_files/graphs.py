"""Graphs: DIMACS ``.col`` texts, one or several in a file, lists of edges, GML and GraphML."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gram_files.cells import is_maze_row
from gram_files.entries import Entry, Item, Unread

PROBLEM = re.compile(r"\s*p\s+[A-Za-z]+\s+\d+", re.IGNORECASE)
EDGE = re.compile(r"\s*e\s+\d+\s+\d+\b", re.IGNORECASE)
COMMENT = re.compile(r"\s*(c\b|[#%]|$)", re.IGNORECASE)
PAIR = re.compile(r"\s*(\d{1,6})(?:\s+|\s*[,;]\s*)(\d{1,6})(?:\s+\{.*\})?\s*")
"""Two ends of an edge, as in the lists of networkx and SNAP."""
GML = re.compile(r"^[ \t]*graph\s*\[", re.IGNORECASE | re.MULTILINE)
GRAPHML = re.compile(r"<graphml\b")
MIN_PAIRS = 3


def is_dimacs(text: str) -> bool:
    """Return whether the first line that is no comment belongs to a graph."""
    first = next((line for line in text.splitlines() if not COMMENT.match(line)), "")
    return bool(PROBLEM.match(first) or EDGE.match(first))


def read_dimacs(name: str, text: str) -> Iterator[Entry]:
    """Yield each graph, with the comments before its problem line.

    Edges before the first problem line stay with it, for whoever reads it to refuse.
    """
    graphs: list[list[str]] = []
    comments: list[str] = []
    starts: list[int] = []
    has_problem = False
    for number, line in enumerate(text.splitlines(), start=1):
        if COMMENT.match(line):
            comments.append(line)
            continue
        is_problem = PROBLEM.match(line) is not None
        if not graphs or (is_problem and has_problem):
            graphs.append([])
            starts.append(number)
        has_problem |= is_problem
        graphs[-1] += [*comments, line]
        comments = []
    for start, graph in zip(starts, graphs, strict=True):
        yield Entry(f"{name}:{start}", "\n".join(graph).strip("\n"))


def pairs_of(text: str) -> list[tuple[int, int]]:
    """Return the edges of a text that is pairs of numbers alone, and nothing else they may be."""
    lines = text.splitlines()
    if any(is_maze_row(line) and len({*line.strip()}) > 1 for line in lines):
        return []
    rows = [PAIR.fullmatch(line) for line in lines if not COMMENT.match(line)]
    pairs = [(row[1], row[2]) for row in rows if row]
    lengths = {len(end) for pair in pairs for end in pair}
    # Boxes of small sudokus are two or three cells wide.
    is_board = lengths in ({2}, {3}) and len(rows) % (2 * max(lengths)) == 0
    # So that no row and no column has two.
    is_queens = all(len({*ends}) == len(pairs) for ends in zip(*pairs, strict=True))
    if len(pairs) < max(MIN_PAIRS, len(rows)) or is_board or is_queens:
        return []
    return [(int(one), int(other)) for one, other in pairs]


def graph_of_pairs(name: str, pairs: Sequence[tuple[int, int]]) -> Entry:
    """Return the graph of some edges, which the numbers of vertices and edges may precede."""
    (num_vertices, num_edges), *rest = pairs
    ends = {end for pair in rest for end in pair}
    first = min(1, *ends)
    if num_edges != len(rest) or max(ends) - first >= num_vertices:
        return Entry(name, coloring(sorted(ends.union(pairs[0])), pairs))
    listed = [(vertex, end) for vertex, pair in enumerate(rest, start=1) for end in pair]
    # METIS writes the neighbours of each vertex: two in a cycle.
    is_metis = num_vertices == num_edges and {*listed} == {(end, one) for one, end in listed}
    return Entry(name, coloring(range(first, first + num_vertices), listed if is_metis else rest))


def is_graph_file(text: str) -> bool:
    return GML.search(text) is not None or GRAPHML.search(text) is not None


def read_graph_file(name: str, text: str) -> Item:
    """Return the graph in GML or GraphML."""
    try:
        # Brought by whoever has such graphs.
        import networkx
    except ImportError:
        return Unread(name, "is GML or GraphML: reading it needs networkx")
    try:
        is_xml = GRAPHML.search(text) is not None
        graph = networkx.parse_graphml(text) if is_xml else networkx.parse_gml(text, label="id")
    # A broken file raises whatever the parser came upon.
    except Exception as error:
        return Unread(name, f"holds no graph: {str(error).partition(chr(10))[0]}")
    return Entry(name, coloring(graph.nodes, list(graph.edges), graph.graph, graph.nodes.values()))


def linked(value: object) -> dict[str, object] | None:
    """Return the body of a graph that is written as nodes and links; None where it is none."""
    if not isinstance(value, dict):
        return None
    try:
        nodes = list(value["nodes"])
        vertices = [node["id"] for node in nodes]
        links = value["links"] if "links" in value else value["edges"]
        edges = [(link["source"], link["target"]) for link in links]
        # Where networkx keeps what is said of a whole graph.
        return coloring(vertices, edges, value.get("graph"), nodes)
    except (KeyError, TypeError):
        return None


def coloring(
    vertices: Iterable[object],
    edges: Iterable[Sequence[object]],
    about: object = None,
    nodes: Iterable[Mapping[str, object]] = (),
) -> dict[str, object]:
    """Return the body of a graph, each edge once.

    ``about`` may have the number of ``colors``; each of ``nodes``, in order, the ``color``, a whole
    number, that its vertex has already.
    """
    once = {frozenset(edge[:2]): list(edge[:2]) for edge in edges}
    named = list(vertices)
    body: dict[str, object] = {"puzzle": "graph-coloring", "vertices": named}
    body["edges"] = list(once.values())
    # Others are how to draw it.
    fixed = {
        str(vertex): node["color"]
        for vertex, node in zip(named, nodes, strict=False)
        if type(node.get("color")) is int
    }
    if fixed:
        body["fixed"] = fixed
    if isinstance(about, Mapping) and "colors" in about:
        body["colors"] = about["colors"]
    return body
