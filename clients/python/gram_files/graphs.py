"""Graphs in DIMACS ``.col`` texts, one or several in a file."""

import re
from collections.abc import Iterator

from gram_files.entries import Entry

PROBLEM = re.compile(r"\s*p\s+[A-Za-z]+\s+\d+", re.IGNORECASE)
EDGE = re.compile(r"\s*e\s+\d+\s+\d+\b", re.IGNORECASE)
COMMENT = re.compile(r"\s*(c\b|[#%]|$)", re.IGNORECASE)


def is_dimacs(text: str) -> bool:
    """Return whether the first line that is no comment belongs to a graph."""
    first = next((line for line in text.splitlines() if not COMMENT.match(line)), "")
    return bool(PROBLEM.match(first) or EDGE.match(first))


def read_dimacs(name: str, text: str) -> Iterator[Entry]:
    """Yield each graph, with the comments before its problem line."""
    graphs: list[list[str]] = []
    comments: list[str] = []
    starts: list[int] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if COMMENT.match(line):
            comments.append(line)
            continue
        if PROBLEM.match(line) or not graphs:
            graphs.append([])
            starts.append(number)
        graphs[-1] += [*comments, line]
        comments = []
    for start, graph in zip(starts, graphs, strict=True):
        yield Entry(f"{name}:{start}", "\n".join(graph).strip("\n"))
