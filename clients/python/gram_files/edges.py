"""Graphs in plain lines: edges, perhaps with weights, neighbours, METIS, and matrices."""

import csv
import re
from collections.abc import Sequence

from gram_files.cells import FLOAT
from gram_files.entries import Entry, Item, Unread
from gram_files.graphs import coloring
from gram_files.mazes import is_maze_row

REMARK = re.compile(r"\s*([#%]|//|$|(graph|flowchart)\s+(TD|TB|BT|LR|RL)\s*;?\s*$)")
BEHIND = re.compile(r"\s(?:#|//).*|\{.*")
"""What stands behind an edge: a remark, or what networkx knows of it."""
MATRIX_MARKET = "%%matrixmarket matrix coordinate"
JOIN = re.compile(r"\s*(?:<?[-=]{1,3}>|-{2,3}|[,;:])\s*|\s+")
HEAD = re.compile(r"\s*\w+\s*:")
NAME = re.compile(r"[A-Za-z]\w{0,30}|[0-9]{1,12}")
BRACKETS = str.maketrans("[]()", "    ")
NUMBER = re.compile(r"-?\d+(\.\d+)?([eE]-?\d+)?")
HEADINGS = (
    *(("source", "target"), ("from", "to"), ("src", "dst"), ("node1", "node2")),
    *(("u", "v"), ("vertex1", "vertex2"), ("node_1", "node_2"), ("id_1", "id_2")),
)
"""Names of the columns that hold the ends of edges."""
MIN_ROWS = 3
Rows = Sequence[Sequence[str]]
AMBIGUOUS = "may be edges with weights, or vertices with their neighbours: write two ends a line"
MAY_BE_MATRIX = "may be a matrix of weights, or edges with weights: write two ends a line"
MAX_QUEENS = 64
MAX_DIGITS = 12


def graph_of_lines(name: str, text: str) -> Item | None:
    """Return the graph that all lines of a text are together, where they can be nothing else."""
    lines = text.splitlines()
    if any(is_maze_row(line) and len({*line.strip()}) > 1 for line in lines):
        return None
    read = _fields if '"' in text else _words
    rows = [read(line) for line in lines if not REMARK.match(line)]
    if text[: len(MATRIX_MARKET)].casefold() == MATRIX_MARKET:
        found: object = graph_of([row[:2] for row in rows[1:] if row[:1] != row[1:2]])
    elif columns := _columns(next((line for line in lines if not REMARK.match(line)), "")):
        table = [_fields(line) for line in lines if not REMARK.match(line)]
        found = graph_of([[row[at] for at in columns if at < len(row)] for row in table[1:]])
    else:
        # What DIMACS has for remarks.
        numbers = [row for row in rows if row[0] not in ("c", "C")]
        rows = numbers if all(_is_number(word) for row in numbers for word in row) else rows
        heads = [HEAD.match(line) for line in lines if not REMARK.match(line)]
        forms = (_metis(lines), _tgf(lines), _matrix(rows))
        found = next(filter(None, forms), None) or _of_rows(_below_header(rows), all(heads))
    if isinstance(found, str):
        return Unread(name, found)
    return Entry(name, found) if isinstance(found, dict) else None


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= MAX_DIGITS


def is_adjacency(rows: Sequence[Sequence[object]]) -> bool:
    """Return whether rows of 0 and 1 are a graph, as no board of queens or digits has two ones."""
    columns = [list(column) for column in zip(*rows, strict=False)]
    is_symmetric = len(rows) >= MIN_ROWS and columns == [list(row) for row in rows]
    is_loop = any(row[at] for at, row in enumerate(rows)) if is_symmetric else True
    are_bits = all(type(cell) is int and cell in (0, 1) for row in rows for cell in row)
    return are_bits and not is_loop and any(row.count(1) > 1 for row in rows)


def graph_of_lists(rows: Sequence[Sequence[object]]) -> dict[str, object] | None:
    """Return the graph of lists of ends, or of neighbours; None where they may be either."""
    # Behind an edge networkx has what it knows of it.
    rows = [row[:2] if len(row) == 3 and isinstance(row[2], dict) else row for row in rows]
    if not all(type(cell) in (int, str) for row in rows for cell in row):
        return None
    ends = {(one, other) for one, row in enumerate(rows) for other in row}
    is_neighbours = bool(ends) and ends == {(other, one) for one, other in ends}
    if {*map(len, rows)} == {2} and not is_neighbours:
        return pairs_of([[str(cell) for cell in row] for row in rows])
    is_graph = is_neighbours and len({*map(len, rows)}) > 1
    return {"puzzle": "graph-coloring", "adjacency": list(rows)} if is_graph else None


def pairs_of(rows: Rows) -> dict[str, object] | None:
    """Return the graph of edges, before which their number may stand; None where it may be none."""
    if len(rows) < MIN_ROWS or {*map(len, rows)} != {2}:
        return None
    ends = {end for row in rows for end in row}
    if not all(_is_number(end) for end in ends):
        # Two words a line may be anything, unless they are few.
        is_graph = len(ends) <= len(rows) + 1 and all(one != other for one, other in rows)
        return graph_of(rows) if is_graph else None
    lengths = {*map(len, ends)}
    # Boxes of small sudokus are two or three cells wide.
    is_board = lengths in ({2}, {3}) and len(rows) % (2 * max(lengths)) == 0
    pairs = [(int(one), int(other)) for one, other in rows]
    lines = zip(*((row, column, row + column, row - column) for row, column in pairs), strict=True)
    # No two of them in a row, a column or a diagonal.
    is_small = max(map(max, pairs)) < MAX_QUEENS
    if is_board or (is_small and all(len({*line}) == len(pairs) for line in lines)):
        return None
    (num_vertices, num_edges), *rest = pairs
    used = {end for pair in rest for end in pair}
    first = min(1, *used)
    if num_edges != len(rest) or max(used) - first >= num_vertices:
        return graph_of(rows)
    return coloring(range(first, first + num_vertices), rest)


def _words(line: str) -> Sequence[str]:
    return JOIN.split(BEHIND.sub("", line).translate(BRACKETS).strip(" \t;,:"))


def _fields(line: str) -> Sequence[str]:
    """Return the fields of a row of a table, whose names may have spaces."""
    delimiter = next((sign for sign in ",;\t" if sign in line), None)
    try:
        fields = next(csv.reader([line], delimiter=delimiter)) if delimiter else _words(line)
    except csv.Error:
        return []
    return [field.strip() for field in fields]


def _columns(line: str) -> Sequence[int]:
    """Return the columns of both ends, if a header names them; a title may have such words too."""
    names = [word.strip("\"'").casefold() for word in _fields(line)]
    if len(names) > 2 and {",", ";", "\t"}.isdisjoint(line):
        return ()
    found = (pair for pair in HEADINGS if pair[0] in names and pair[1] in names)
    return [names.index(end) for end in next(found, ())]


def graph_of(rows: Rows) -> dict[str, object] | None:
    """Return the graph of edges, its vertices in order where they are numbers."""
    if not rows or any(len(row) != 2 or not all(row) for row in rows):
        return None
    edges = [[end.strip("\"'") for end in row] for row in rows]
    names = dict.fromkeys(end for edge in edges for end in edge)
    if all(_is_number(name) for name in names):
        return coloring(sorted(map(int, names)), [[*map(int, edge)] for edge in edges])
    return coloring(names, edges)


def _below_header(rows: Rows) -> Rows:
    """Return rows without names of columns above numbers."""
    is_head = len(rows) > 1 and not any(_is_number(word) for word in rows[0])
    has_numbers = all(_is_number(word) for row in rows[1:] for word in row[:2])
    return rows[1:] if is_head and has_numbers and len(rows[0]) == len(rows[1]) else rows


def _tgf(lines: Sequence[str]) -> dict[str, object] | None:
    """Return the graph in Trivial Graph Format: vertices, ``#``, edges, with labels."""
    bare = [line.split() for line in lines if line.strip()]
    at = bare.index(["#"]) if ["#"] in bare else 0
    vertices, ends = [row[0] for row in bare[:at]], [row[:2] for row in bare[at + 1 :]]
    is_whole = all(len(pair) == 2 and {*pair} <= {*vertices} for pair in ends)
    return coloring(vertices, ends) if vertices and ends and is_whole else None


def _metis(lines: Sequence[str]) -> dict[str, object] | None:
    """Return the graph whose lines are the neighbours of a vertex each, below their numbers."""
    (*head,), *rows = [line.split() for line in lines if not line.startswith("%")] or [[]]
    if not 2 <= len(head) <= 4 or not all(
        _is_number(word) for row in (head, *rows) for word in row
    ):
        return None
    # Whether vertices have sizes and weights, and edges weights; how many weights a vertex has.
    form, count = [*head[2:], "000", "1"][:2] if len(head) < 4 else head[2:]
    sizes, weights, steps = (int(sign != "0") for sign in form.rjust(3, "0")[-3:])
    rows = [row[sizes + weights * int(count) :: 1 + steps] for row in rows]
    num_vertices, num_edges = map(int, head[:2])
    ends = [(one, int(word)) for one, row in enumerate(rows, start=1) for word in row]
    is_whole = len(ends) == 2 * num_edges and len(rows) >= num_vertices > 1
    if not is_whole or any(rows[num_vertices:]) or {*ends} != {(end, one) for one, end in ends}:
        return None
    return coloring(range(1, num_vertices + 1), ends)


def _matrix(rows: Rows) -> dict[str, object] | str | None:
    """Return the graph of a matrix, below its size or names; of weights a reason."""
    heads, *rest = rows or [[]]
    if [row[0] for row in rest] == [*heads] and {len(row) for row in rest} == {len(heads) + 1}:
        named = _bits([row[1:] for row in rest]) or []
        ends = [
            (one, other)
            for one, row in zip(heads, named, strict=False)
            for other, cell in zip(heads, row, strict=True)
            if cell
        ]
        return coloring(heads, ends) if named else None
    if len(heads) == 1 and heads[0] == str(len(rest)):
        rows = rest
    cells = [
        list(row[0]) if len(row) == 1 else [FLOAT.sub(r"\1", cell) for cell in row] for row in rows
    ]
    if matrix := _bits(cells):
        return {"puzzle": "graph-coloring", "adjacency": matrix}
    is_weighted = len(cells) == MIN_ROWS and cells == [
        [*column] for column in zip(*cells, strict=False)
    ]
    is_weighted = is_weighted and all(row[at] == "0" for at, row in enumerate(cells))
    return MAY_BE_MATRIX if is_weighted and all(map(_is_number, cells[0])) else None


def _bits(cells: Rows) -> list[list[int]] | None:
    if not all({*row} <= {"0", "1"} for row in cells):
        return None
    matrix = [[int(cell) for cell in row] for row in cells]
    return matrix if is_adjacency(matrix) else None


def _of_rows(rows: Rows, has_heads: bool) -> dict[str, object] | str | None:
    """Return the graph of rows of two ends, two ends and a weight, or neighbours; or a reason."""
    if not all(NAME.fullmatch(word) for row in rows for word in row[:2]):
        return None
    heads = {row[0] for row in rows}
    is_neighbours = len(heads) == len(rows) >= MIN_ROWS and all(map(heads.issuperset, rows))
    lengths = {*map(len, rows)}
    if lengths == {3} and not has_heads:
        has_weights = all(NUMBER.fullmatch(row[2]) for row in rows)
        # Three digits a line are boxes of a sudoku, or a small board.
        is_board = len(rows) % 9 == 0 and all(len(word) == 1 for row in rows for word in row)
        if not has_weights or is_board:
            return None
        return AMBIGUOUS if is_neighbours else graph_of([row[:2] for row in rows])
    if is_neighbours and (has_heads or len(lengths) > 1):
        edges = [(row[0], other) for row in rows for other in row[1:]]
        return coloring([row[0] for row in rows], edges)
    return None if has_heads else pairs_of(rows)
