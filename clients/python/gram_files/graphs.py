"""Graphs in files: DIMACS ``.col``, DOT, and what networkx reads; see ``edges`` for plain lines."""

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from gram_files.entries import Entry, Item, Unread

PROBLEM = re.compile(r"\s*p\s+[A-Za-z]+\s+\d+", re.IGNORECASE)
EDGE = re.compile(r"\s*e\s+\d+\s+\d+\b", re.IGNORECASE)
COMMENT = re.compile(r"\s*(c\b|[#%]|$)", re.IGNORECASE)
DOT = re.compile(r"\A\s*(?:strict\s+)?(?:di)?graph\b[^{;\[]*\{", re.IGNORECASE)
DOT_REMARK = re.compile(r"//[^\n]*|/\*.*?\*/|^#[^\n]*", re.DOTALL | re.MULTILINE)
DOT_WORD = re.compile(
    r'"(?:[^"\\]|\\.)*"|--|->|-?[\w.]+|\[(?:"(?:[^"\\]|\\.)*"|[^]"])*\]|\S', re.DOTALL
)
DOT_MARKS = {"--", "->", ";", ",", "=", "}", "graph", "node", "edge"}
"""Words of DOT that are no vertices."""
COLORS = ("colors", "num_colors", "n_colors", "numColors", "colours", "k")
"""Names of the number of colours."""
LINES_OF_GRAPHS = {".g6": "graph6", ".s6": "sparse6"}
"""Files without a heading, by their end."""
NEIGHBOURS = re.compile(r"^\*(?:arcs|edges)list\b", re.IGNORECASE | re.MULTILINE)
UNNAMED = re.compile(r"^(\*vertices\s+(\d{1,5})[^\n]*\n)(?=\s*\*)", re.IGNORECASE | re.MULTILINE)
"""Vertices of which Pajek says only how many there are."""
LOADERS: tuple[tuple[re.Pattern[str], Callable[[Any, str], Any]], ...] = (
    (re.compile(r"<graphml\b"), lambda networkx, text: networkx.parse_graphml(text)),
    (
        re.compile(r"<gexf\b"),
        lambda networkx, text: networkx.read_gexf(io.BytesIO(text.encode())),
    ),
    (
        re.compile(r"^[ \t]*graph\s*\[", re.IGNORECASE | re.MULTILINE),
        lambda networkx, text: networkx.parse_gml(text, label="id"),
    ),
    (
        re.compile(r"^\*vertices\b", re.IGNORECASE | re.MULTILINE),
        lambda networkx, text: networkx.parse_pajek(UNNAMED.sub(_named, text)),
    ),
    (
        re.compile(r"\A>>graph6<<"),
        lambda networkx, text: networkx.from_graph6_bytes(text.strip().encode()),
    ),
    (
        re.compile(r"\A>>sparse6<<"),
        lambda networkx, text: networkx.from_sparse6_bytes(text.strip().encode()),
    ),
)
"""How a form of graphs is known, and read."""


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


def read_graph_file(name: str, text: str) -> list[Item] | None:
    """Return the graphs of a text in a form that is known by its beginning; None for others."""
    forms = LINES_OF_GRAPHS.values()
    form = next((form for end, form in LINES_OF_GRAPHS.items() if name.endswith(end)), None)
    head = next((f">>{form}<<" for form in forms if text.startswith(f">>{form}<<")), None)
    if form is not None or (head is not None and "\n" in text.strip()):
        head = head or f">>{form}<<"
        lines = enumerate(text.removeprefix(head).splitlines(), start=1)
        return [_loaded(f"{name}:{number}", f"{head}{line}") for number, line in lines if line]
    if DOT.match(text):
        return [_read_dot(name, text)]
    if NEIGHBOURS.search(text):
        return [Unread(name, "is Pajek with lists of neighbours: write *Edges, two ends a line")]
    is_known = any(known.search(text) for known, _ in LOADERS)
    return [_loaded(name, text)] if is_known else None


def _named(head: re.Match[str]) -> str:
    return head[1] + "".join(f'{number} "{number}"\n' for number in range(1, int(head[2]) + 1))


def _loaded(name: str, text: str) -> Item:
    try:
        # Brought by whoever has such graphs.
        import networkx
    except ImportError:
        return Unread(name, "is a graph in a form whose reading needs networkx")
    load = next(load for known, load in LOADERS if known.search(text))
    try:
        graph = load(networkx, text)
    # A broken file raises whatever the parser came upon.
    except Exception as error:
        return Unread(name, f"holds no graph: {str(error).partition(chr(10))[0]}")
    return Entry(name, coloring(graph.nodes, list(graph.edges), graph.graph, graph.nodes.values()))


def _read_dot(name: str, text: str) -> Item:
    """Return the graph that a DOT text without subgraphs draws."""
    words = DOT_WORD.findall(DOT_REMARK.sub("", text).strip().partition("{")[2])
    words = [word.strip('"') for word in words if word[0] != "["]
    if words[-1:] != ["}"] or "subgraph" in words or not set(":{}").isdisjoint(words[:-1]):
        return Unread(name, "is DOT with subgraphs or ports, or cut off: write a list of edges")
    marks = {at for at, word in enumerate(words) if word in DOT_MARKS}
    # A setting has a name and a value beside its sign.
    marks |= {at + step for at in marks if words[at] == "=" for step in (-1, 1)}
    vertices = dict.fromkeys(word for at, word in enumerate(words) if at not in marks)
    joins = [at for at in marks if words[at] in ("--", "->")]
    return Entry(name, coloring(vertices, [(words[at - 1], words[at + 1]) for at in sorted(joins)]))


def linked(value: object) -> dict[str, object] | None:
    """Return the body of a graph that is written as nodes and links; None where it is none.

    Those of networkx, D3 and Cytoscape, and lists of neighbours by name.
    """
    if not isinstance(value, dict):
        return None
    try:
        if "elements" in value:
            parts = value["elements"]
            value = {part: [each["data"] for each in parts[part]] for part in ("nodes", "edges")}
        if "nodes" not in value:
            return _of_neighbours(value)
        nodes = list(value["nodes"])
        has_names = all(isinstance(node, str | int) for node in nodes)
        # What has no name is meant by its place.
        vertices = nodes if has_names else [node.get("id", at) for at, node in enumerate(nodes)]
        if "adjacency" in value:
            ends = zip(vertices, value["adjacency"], strict=True)
            edges = [(one, other["id"]) for one, others in ends for other in others]
        else:
            links = value["links"] if "links" in value else value["edges"]
            edges = [tuple(link) if isinstance(link, list) else _ends_of(link) for link in links]
        # Where networkx keeps what is said of a whole graph.
        about: dict[str, object] = {**value}
        if isinstance(graph := value.get("graph"), dict):
            about |= graph
        body = coloring(vertices, edges, about, () if has_names else nodes)
        return {**body, "fixed": value["fixed"]} if "fixed" in value else body
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _ends_of(link: Mapping[str, object]) -> tuple[object, object]:
    one, other = ("from", "to") if "from" in link else ("source", "target")
    return link[one], link[other]


def _of_neighbours(value: Mapping[str, object]) -> dict[str, object] | None:
    """Return the body of a graph whose vertices are fields with their neighbours."""
    if not all(isinstance(others, list | dict) for others in value.values()):
        return None
    ends = [(one, other) for one, others in value.items() for other in others]  # type: ignore[attr-defined]
    is_graph = bool(ends) and all(str(other) in value for _, other in ends)
    return coloring(value, [(one, str(other)) for one, other in ends]) if is_graph else None


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
    named_colors = (about[name] for name in COLORS if isinstance(about, Mapping) and name in about)
    if (colors := next(named_colors, None)) is not None:
        body["colors"] = colors
    return body
