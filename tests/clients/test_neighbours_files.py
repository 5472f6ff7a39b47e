"""Files of people's other programs, each of a kind that none of the other tests has."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from typing import Any

import networkx
import numpy as np
import pytest

from gram_files import Entry, Unread, read

PUZZLE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
SOLUTION = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
ROWS = [PUZZLE[start : start + 9] for start in range(0, 81, 9)]
DIGITS = [[int(cell.replace(".", "0")) for cell in row] for row in ROWS]
SOLVED = [[int(cell) for cell in SOLUTION[start : start + 9]] for start in range(0, 81, 9)]
LINES = [",".join(map(str, row)) for row in DIGITS]


def cells(puzzle: Any) -> str:
    """Return the signs of a sudoku in any form, with a point for a blank."""
    rows = puzzle["grid"] if isinstance(puzzle, dict) else puzzle.splitlines()
    signs = "".join(str(sign) for row in rows for sign in row)
    return signs.replace("0", ".")


def told(content: bytes | str, name: str = "F") -> list[Any]:
    return [str(x) if isinstance(x, Unread) else (x.source, x.puzzle) for x in read(name, content)]


NESTED: dict[str, tuple[object, list[str]]] = {
    "in a field": ({"data": {"puzzle": PUZZLE}}, ["F"]),
    "a grid without a name": ({"id": 1, "grid": DIGITS, "solution": SOLVED}, ["F"]),
    "two fields deep, in rows": ({"result": {"sudoku": {"board": DIGITS}}}, ["F"]),
    "a list in a field": ({"data": {"puzzles": [PUZZLE, PUZZLE]}}, ["F:1", "F:2"]),
    "a field of each record": (
        [{"data": {"puzzle": PUZZLE}}, {"data": {"puzzle": PUZZLE}}],
        [*"12"],
    ),
    "a grid beside its solution": (
        {"newboard": {"grids": [{"value": DIGITS, "solution": SOLVED, "difficulty": "Hard"}]}},
        ["F"],
    ),
    "splits": ({"train": [{"puzzle": PUZZLE}], "test": [{"puzzle": PUZZLE}]}, [*"12"]),
    "rows of a viewer": (
        {"features": [{"name": "question"}], "rows": [{"row": {"question": PUZZLE}}] * 2},
        [*"12"],
    ),
    "columns and rows": (
        {"columns": ["puzzle", "solution"], "index": [0, 1], "data": [[PUZZLE, SOLUTION]] * 2},
        [*"12"],
    ),
    "numbered columns": (
        {"puzzle": {"0": PUZZLE, "1": PUZZLE}, "solution": {"0": SOLUTION, "1": SOLUTION}},
        [*"12"],
    ),
    "numbered records": ({"0": {"puzzle": PUZZLE}, "1": {"puzzle": PUZZLE}}, [*"12"]),
    "a talk": (
        {
            "messages": [
                {"role": "user", "content": f"Solve: {PUZZLE}"},
                {"role": "assistant", "content": SOLUTION},
            ]
        },
        ["F"],
    ),
    "a prompt": ({"prompt": f"Solve this: {PUZZLE}", "completion": SOLUTION}, ["F"]),
    "pairs": ([[PUZZLE, SOLUTION], [PUZZLE, SOLUTION]], [*"12"]),
}


@pytest.mark.parametrize("form", NESTED)
def test_a_puzzle_within_records_is_found_and_its_solution_is_none(form: str) -> None:
    value, places = NESTED[form]
    found = told(json.dumps(value))
    sources = [f"F:{place}" if place.isdigit() else place for place in places]
    assert [source for source, _ in found] == sources
    assert {cells(puzzle) for _, puzzle in found} == {PUZZLE}


def test_records_on_lines_are_numbered_by_their_line() -> None:
    line = json.dumps({"data": {"puzzle": PUZZLE}})
    two = json.dumps({"puzzles": [PUZZLE, PUZZLE]})
    assert [source for source, _ in told(f"{line}\n\n{two}\n{line}")] == [
        "F:1",
        "F:3.1",
        "F:3.2",
        "F:4",
    ]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"killer": True, "data": {"puzzle": PUZZLE}}, "F: has killer: only the rules"),
        ({"type": "diagonal", "puzzles": [PUZZLE]}, "F:1: has type: only the rules"),
        ({"grid": PUZZLE, "cages": [[1, 2]]}, "F: has cages: only the rules"),
        ({"size": 9, "grid": [[{"value": 5}]]}, "F: has cells that are objects"),
        ([1, 2], "F: is no puzzle, but [1, 2]"),
    ],
)
def test_a_record_whose_rules_or_cells_are_not_read_is_refused(value: object, reason: str) -> None:
    [said] = told(json.dumps(value))
    assert said.startswith(reason)


def archive(**files: str | bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, text in files.items():
            packed.writestr(name, text)
    return file.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed_files_are_unpacked(pack: Any) -> None:
    assert told(pack(f"{PUZZLE}\nx{PUZZLE}\n".encode())) == [("F:1", PUZZLE), ("F:2", f"x{PUZZLE}")]


def test_the_files_of_an_archive_are_read() -> None:
    table = f"quizzes,solutions\n{PUZZLE},{SOLUTION}\n"
    found = told(archive(**{"a.csv": table, "b/c.txt": PUZZLE}))
    assert found == [("F/a.csv:2", PUZZLE), ("F/b/c.txt", PUZZLE)]


def test_an_archive_in_an_archive_is_refused_by_its_name() -> None:
    files: dict[str, str | bytes] = {"a.txt": PUZZLE, "b.zip": archive(**{"c.txt": PUZZLE})}
    first, second = read("F", archive(**files))
    assert isinstance(first, Entry)
    assert isinstance(second, Unread)
    assert (second.source, second.reason) == ("F/b.zip", "is an archive in an archive: unpack it")


SUDOKUS = {
    "numpy's text": "\n".join(" ".join(f"{cell:.18e}" for cell in row) for row in DIGITS),
    "floats of a table": "\n".join(
        ",".join(f"{cell:.1f}" if cell else "" for cell in row) for row in DIGITS
    ),
    "LaTeX": "\\begin{sudoku}\n"
    + "\n".join("|" + "|".join(row).replace(".", " ") + "|." for row in ROWS)
    + "\n\\end{sudoku}",
    "Python": "board = [\n" + ",\n".join(f"    [{line}]" for line in LINES) + "\n]\n",
    "C": "int board[9][9] = {\n" + ",\n".join(f"{{{line}}}" for line in LINES) + "\n};",
    "MiniZinc": "start=[|\n" + "|\n".join(LINES) + "|];",
    "a title with ends": "Boards from books to solve by all who like them\n"
    + "\n".join(" ".join(map(str, row)) for row in DIGITS),
    "rows with slashes": "/".join(ROWS),
    "remarks in a table": f"# made\nquizzes,solutions\n# a remark\n{PUZZLE},{SOLUTION}",
}


@pytest.mark.parametrize("form", SUDOKUS)
def test_sudokus_of_other_programs_are_read(form: str) -> None:
    [(_, puzzle)] = told(SUDOKUS[form])
    assert cells(puzzle) == PUZZLE


def saved(array: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(array))
    return file.getvalue()


def test_arrays_of_signs_texts_and_missing_numbers_are_read() -> None:
    signs = [list(row) for row in ROWS]
    for array in (signs, np.array(signs, "S1"), [PUZZLE], np.where(DIGITS, DIGITS, np.nan)):
        [(source, puzzle)] = told(saved(array))
        assert (source, cells(puzzle)) == ("F:1", PUZZLE)
    [said] = told(saved([["a"] * 81]))
    assert said.startswith("F:1: is no puzzle: aaa")


MAZES = {
    "lines": "+--+--+--+\n|S    |  |\n+  +--+  +\n|  |    G|\n+--+--+--+",
    "wide cells": "Maze 1\n+---+---+---+\n| S     |   |\n+   +---+   +\n|   |     G |\n"
    "+---+---+---+",
    "boxes": "┌───┬─┐\n│S  │ │\n│ ┌─┘ │\n│ │  G│\n└─┴───┘",
    "blocks": "███████\n█S  █ █\n█ ███ █\n█ █  G█\n███████",
    "fields": "#,#,#,#,#,#,#\n#,S,,,#,,#\n#,,#,#,#,,#\n#,,#,,,G,#\n#,#,#,#,#,#,#",
}


@pytest.mark.parametrize("form", MAZES)
def test_mazes_of_other_programs_are_read(form: str) -> None:
    [(_, maze)] = told(MAZES[form])
    assert maze.replace(" ", ".") == "#######\n#S..#.#\n#.###.#\n#.#..G#\n#######"


def test_gaps_in_the_wall_mark_a_maze() -> None:
    gated = "#.###\n#...#\n###.#"
    assert told(f"{gated}\n\n{gated}") == [("F:1", gated), ("F:5", gated)]
    lines = "+  +--+\n|     |\n+--+  +"
    # No other puzzle is drawn with lines, so that its ends are named.
    assert told(lines) == [("F", "#S###\n#...#\n###G#")]


CYCLE = networkx.cycle_graph(5)
GRAPHS = {
    "weights": "0 1 0.5\n1 2 2.5\n2 3 1\n3 4 1\n4 0 1",
    "whole weights": "0 1 50\n1 2 20\n2 3 10\n3 4 10\n4 0 10",
    "arrows": "0 -> 1\n1 -> 2\n2 -> 3\n3 -> 4\n4 -> 0",
    "names": "WA NT\nNT Q\nQ NSW\nNSW V\nV WA",
    "a table": "Source,Target,Type\na,b,Undirected\nb,c,x\nc,d,x\nd,e,x\ne,a,x",
    "DOT": 'strict graph G {\n // x\n size="1"; node [shape=box];\n a -- b -- c [w=1]\n'
    " c -- d; d -- e -- a\n}",
    "neighbours": "0 1 4\n1 2\n2 3\n3 4\n4",
    "neighbours after a colon": "0: 1 4\n1: 0 2\n2: 1 3\n3: 2 4\n4: 3 0",
    "neighbours by name": json.dumps({str(one): list(CYCLE[one]) for one in CYCLE}),
    "METIS": "% x\n5 5\n2 5\n1 3\n2 4\n3 5\n4 1",
    "Matrix Market": "%%MatrixMarket matrix coordinate pattern symmetric\n%\n5 5 5\n"
    "2 1\n3 2\n4 3\n5 4\n5 1",
    "Pajek": "\n".join(networkx.generate_pajek(CYCLE)),
    "GEXF": "\n".join(networkx.generate_gexf(CYCLE)),
    "graph6": networkx.to_graph6_bytes(CYCLE),
    "sparse6": networkx.to_sparse6_bytes(CYCLE),
    "a matrix": "0 1 0 0 1\n1 0 1 0 0\n0 1 0 1 0\n0 0 1 0 1\n1 0 0 1 0",
    "a matrix in JSON": json.dumps(networkx.to_numpy_array(CYCLE).astype(int).tolist()),
    "a matrix of numpy": saved(networkx.to_numpy_array(CYCLE)),
    "edges in JSON": json.dumps([[5, 1], [1, 2], [2, 3], [3, 4], [4, 5]]),
    "edges alone": json.dumps(
        {"edges": [["a", "b"], ["b", "c"], ["c", "d"], ["d", "e"], ["e", "a"]]}
    ),
    "neighbours of networkx": json.dumps(networkx.adjacency_data(CYCLE)),
    "Cytoscape": json.dumps(networkx.cytoscape_data(CYCLE)),
    "plain nodes": json.dumps(
        {"nodes": [*"abcde"], "edges": [*zip("abcde", "bcdea", strict=True)]}
    ),
}


@pytest.mark.parametrize("form", GRAPHS)
def test_graphs_of_other_programs_are_read(form: str) -> None:
    [(source, body)] = told(GRAPHS[form])
    graph = networkx.Graph(body.get("edges"))
    if "adjacency" in body:
        graph = networkx.from_numpy_array(np.array(body["adjacency"]))
    assert source == "F"
    assert body["puzzle"] == "graph-coloring"
    assert networkx.is_isomorphic(graph, CYCLE)


def test_graphs_on_lines_are_known_by_the_end_of_the_name() -> None:
    lines = networkx.to_graph6_bytes(CYCLE, header=False) * 2
    assert [source for source, _ in told(lines, "F.g6")] == ["F.g6:1", "F.g6:2"]


METIS = "4 3\n2 3\n1\n1\n\n"


def test_vertices_without_edges_are_kept() -> None:
    for text in (
        METIS.replace("4 3", "4 2"),
        "1 2 3\n2\n3\n4\n",
        json.dumps({"1": [2], "2": [1], "3": [], "4": []}),
    ):
        [(_, body)] = told(text)
        assert [str(vertex) for vertex in body["vertices"]] == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("0 1 2\n1 2 0\n2 0 1\n3 1 0", "F: may be edges with weights, or vertices with their"),
        ("graph { subgraph x { a -- b } }", "F: is DOT with subgraphs"),
        ("TYPE: HCP\nEDGE_DATA_FORMAT: EDGE_LIST\n1 2\n2 3\nEOF", "F: is TSPLIB: write"),
        ("type octile\nheight 2\nwidth 2\nmap\n..\n@.", "F: is a map with diagonal moves"),
        ("<table><tr><td>5</td></tr></table>", "F: is XML or HTML of a form that is not read"),
    ],
)
def test_forms_that_are_not_read_are_named(content: str, reason: str) -> None:
    [said] = told(content)
    assert said.startswith(reason)


@pytest.mark.parametrize(
    "content", ["hello world\nfoo bar\nbaz qux", METIS, "[[1,4],[0,2],[1,3],[2,4],[3,0]]"]
)
def test_what_may_be_no_graph_is_none(content: str) -> None:
    [entry] = read("F", content)
    assert isinstance(entry, Entry)
    assert "edges" not in entry.puzzle


def test_a_sign_alone_is_no_board_of_one_square() -> None:
    assert told(f"{PUZZLE}\n?\nQ{PUZZLE[1:]}") == [
        ("F:1", PUZZLE),
        "F:2: is no puzzle: ?",
        ("F:3", f"Q{PUZZLE[1:]}"),
    ]


def test_boards_in_the_notation_of_chess_are_read() -> None:
    board = ".Q..\n....\n....\n...."
    assert told("1Q2/4/4/4 w - - 0 1\n1Q2/4/4/4") == [("F:1", board), ("F:2", board)]
    columns = [1, None, None, None]
    assert told(json.dumps(columns)) == [("F", {"puzzle": "nqueens", "queens": columns})]
