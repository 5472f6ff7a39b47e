"""What other programs export, in which a board is easily taken for another: read as was meant."""

import io
import json
from typing import Any

import networkx
import numpy as np
import pytest

from gram_files import Entry, Unread, read

PUZZLE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
SOLUTION = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
ZEROS = PUZZLE.replace(".", "0")
ROWS = [PUZZLE[start : start + 9] for start in range(0, 81, 9)]
DIGITS = [[int(cell.replace(".", "0")) for cell in row] for row in ROWS]
SPACED = [" ".join(row) for row in ROWS]
REGIONS = ["aaabbbccc"] * 3 + ["dddeeefff"] * 3 + ["ggghhhiii"] * 3
BARS = ["|".join((row[:3], row[3:6], row[6:])) for row in ROWS]
CELLS = [[[row, column] for row in (0, 1) for column in (at, at + 1)] for at in (0, 2)]


def told(content: bytes | str, name: str = "F") -> list[Any]:
    return [str(x) if isinstance(x, Unread) else x.puzzle for x in read(name, content)]


def cells(puzzle: Any) -> str:
    """Return the signs of a sudoku in any form, with a point for a blank."""
    rows = puzzle["grid"] if isinstance(puzzle, dict) else puzzle.split("\n")
    return "".join(str(sign) for row in rows for sign in row).replace("0", ".")


def table(rows: list[str]) -> str:
    return "\n".join(f"| {' | '.join(row.replace('.', ' '))} |" for row in rows)


ONE: dict[str, str] = {
    "cells apart before a solution": f"{','.join(ZEROS)},{SOLUTION}",
    "labels of columns": "1 2 3 4 5 6 7 8 9\n" + "\n".join(SPACED),
    "labels around": "\n".join(
        ["  A B C D E F G H I", *(f"{at} {row}" for at, row in enumerate(SPACED, start=1))]
    ),
    "labels of rows with a colon": "\n".join(
        f"R{at}: {row}" for at, row in enumerate(ROWS, start=1)
    ),
    "Markdown without a title": f"{table(['.' * 9])}\n|{'-|' * 9}\n{table(ROWS)}",
    "columns between boxes": "\n".join(row.replace("|", "\t\t") for row in BARS).replace(".", "."),
    "pandas": "\n".join(
        ["   " + "    ".join("012345678")]
        + [
            f"{at}  " + "  ".join("NaN" if cell == "." else f"{cell}.0" for cell in row)
            for at, row in enumerate(ROWS)
        ]
    ),
    "spaces for blanks": "\n".join(f"|{row}|".replace(".", " ") for row in BARS),
    "spaces without a frame": "\n".join(row.replace(".", " ").rstrip() for row in ROWS),
    "floats in JSON": json.dumps([[float(cell) for cell in row] for row in DIGITS]),
    "numbers and empty texts": json.dumps([[cell or "" for cell in row] for row in DIGITS]),
    "floats in texts": json.dumps(
        [[f"{cell}.0" if cell else " " for cell in row] for row in DIGITS]
    ),
    "a list on each line": "\n".join(map(str, DIGITS)),
    "numpy's repr": "array([" + ",\n       ".join(map(str, DIGITS)) + "], dtype=int8)",
    "a session": "In [1]: p\nOut[1]:\narray([" + ",\n       ".join(map(str, DIGITS)) + "])",
    "a program": f"# mine\n\nboard = np.array({DIGITS})\n",
    "tuples": str(tuple(map(tuple, DIGITS))),
    "a module": "export default [\n" + ",\n".join(map(str, DIGITS)) + "\n];\n",
    "Java": "int[][] grid = {\n" + ",\n".join(map(str, DIGITS)) + "\n};",
    "YAML": "rows:\n" + "\n".join(f'  - "{row}"' for row in ROWS),
    "lists of YAML": "rows:\n" + "\n".join(f"  - {row}" for row in DIGITS),
    "a prompt": json.dumps({"prompt": "Solve:\n" + "\n".join(ROWS), "completion": SOLUTION}),
    "a number": json.dumps({"puzzle": int(ZEROS)}),
    "numpy in a table": f'puzzle,id\n"array([{", ".join(ZEROS)}])",1\n',
    "a column of another name": f"problem,board\nEasy 12,{PUZZLE}\n",
    "LaTeX": "\\begin{tabular}{*9c}\n"
    + "\n".join(f"{' & '.join(row.replace('.', ' '))} \\\\ \\hline" for row in ROWS)
    + "\n\\end{tabular}",
    "a file of pandas": "\n".join(
        ["\t" + "\t".join("012345678"), *(f"{at}\t" + "\t".join(ROWS[at]) for at in range(9))]
    ),
    "names of a puzzle and its solution": f"puzzle: {PUZZLE}\nsolution: {SOLUTION}\n",
    "the end of a file of DOS": f"{PUZZLE}\n\x1a",
    "wide digits": "\n".join(ROWS).translate({ord("5"): "\uff15", ord("."): "\uff0e"}),
    "an ellipsis": PUZZLE.replace("...", "\u2026"),
    "signs that are not seen": "\u200b".join(PUZZLE),
}


@pytest.mark.parametrize("form", ONE)
def test_a_sudoku_is_read_without_what_stands_around_it(form: str) -> None:
    [puzzle] = told(ONE[form])
    assert cells(puzzle) == PUZZLE


NUMBERED = [row.translate(str.maketrans("abcdefghi", "012345678")) for row in REGIONS]
JIGSAWS: dict[str, str] = {
    "a record": json.dumps({"grid": PUZZLE, "regions": REGIONS}),
    "a row of a table": f"puzzle,layout\n{PUZZLE},{''.join(REGIONS)}\n",
    "a line": f"{PUZZLE} {''.join(REGIONS)}",
    "a section": "[Puzzle]\n" + "\n".join([*ROWS, "[Regions]", *REGIONS]),
    "a drawing behind": "\n".join([*ROWS, "", *REGIONS]),
    "a drawing before": "\n".join(["Jigsaw sudoku 1", *NUMBERED, *ROWS]),
}


@pytest.mark.parametrize("form", JIGSAWS)
def test_a_map_of_regions_makes_a_jigsaw_of_a_board(form: str) -> None:
    [puzzle] = told(JIGSAWS[form])
    assert puzzle["puzzle"] == "jigsaw"
    assert "".join(puzzle["grid"]).replace("\n", "") == PUZZLE
    assert len({*"".join(puzzle["regions"])}) == 9


MAZE = "#######\n#S..#.#\n#.###.#\n#....G#\n#######"
CYCLE = networkx.cycle_graph(5)


def test_gaps_in_a_wall_two_signs_wide_mark_a_maze() -> None:
    assert told("##  ######\n##      ##\n######  ##") == ["#S###\n#...#\n###G#"]


def test_colours_of_a_terminal_are_no_cells() -> None:
    assert told(f"\x1b[1m{PUZZLE[:2]}\x1b[0m{PUZZLE[2:]}".encode()) == [PUZZLE]


WIDE = MAZE.translate({ord("#"): "##", ord("."): "  ", ord("S"): "S ", ord("G"): " G"})
MAZES: dict[str, str] = {
    "cells two signs wide": WIDE,
    "blocks two signs wide": WIDE.replace("#", "\u2588"),
    "rows in quotes": "\n".join(f"  '{row}'," for row in MAZE.split("\n")),
    "rows of Java": "String[] maze = {\n"
    + ",\n".join(f'"{row}"' for row in MAZE.split("\n"))
    + "\n};",
}


@pytest.mark.parametrize("form", MAZES)
def test_a_maze_is_read_without_what_makes_it_look_well(form: str) -> None:
    [puzzle] = told(MAZES[form])
    assert puzzle == MAZE


GRAPHS: dict[str, str] = {
    "other names of columns": "node_1,node_2\n0,1\n1,2\n2,3\n3,4\n4,0",
    "remarks behind edges": "0 1 # x\n1 2 // y\n2 3\n3 4\n4 0",
    "edges in brackets": "(0, 1)\n(1, 2)\n(2, 3)\n(3, 4)\n(4, 0)",
    "Mermaid": "graph TD;\na-->b;\nb-->c;\nc-->d;\nd-->e;\ne-->a;",
    "quoted numbers": '"a","b"\n"0","1"\n"1","2"\n"2","3"\n"3","4"\n"4","0"',
    "names with spaces": 'id,from,to\n1,"New York",Rome\n2,Rome,Oslo\n3,Oslo,Bonn\n4,Bonn,Bern\n'
    '5,Bern,"New York"',
    "TGF": "1 a\n2 b\n3 c\n4 d\n5 e\n#\n1 2\n2 3\n3 4 x\n4 5\n5 1",
    "METIS with weights": "5 5 011 1\n7 2 1 5 1\n7 1 1 3 1\n7 2 1 4 1\n7 3 1 5 1\n7 4 1 1 1",
    "large numbers": "10 100001\n100001 3466\n3466 937\n937 5\n5 10",
    "a labelled matrix": ",a,b,c,d,e\na,0,1,0,0,1\nb,1,0,1,0,0\nc,0,1,0,1,0\nd,0,0,1,0,1\n"
    "e,1,0,0,1,0",
    "a matrix below its size": "5\n0 1 0 0 1\n1 0 1 0 0\n0 1 0 1 0\n0 0 1 0 1\n1 0 0 1 0",
    "a printed matrix": str(networkx.to_numpy_array(CYCLE).astype(int)),
    "tuples": str(list(CYCLE.edges)),
    "tuples with weights": str([(*edge, {"weight": 1}) for edge in CYCLE.edges]),
    "sets of neighbours": str({one: {*CYCLE[one]} for one in CYCLE}),
    "YAML": "\n".join(f"v{one}: [v{(one - 1) % 5}, v{(one + 1) % 5}]" for one in CYCLE),
    "DOT with escapes": 'graph { "a\\"b" -- -1 -- c -- d [label="x]y"]; d -- e -- "a\\"b" }',
    "Pajek without names": "*Vertices 5\n*Edges\n1 2\n2 3\n3 4\n4 5\n5 1\n",
    "Matrix Market in capitals": "%%MatrixMarket MATRIX Coordinate pattern symmetric\n5 5 5\n"
    "2 1\n3 2\n4 3\n5 4\n5 1",
    "places for names": json.dumps(
        {
            "nodes": [{"name": name} for name in "abcde"],
            "links": [{"source": one, "target": (one + 1) % 5} for one in range(5)],
        }
    ),
    "from and to": json.dumps(
        {
            "nodes": [{"id": one} for one in range(5)],
            "edges": [{"from": one, "to": (one + 1) % 5} for one in range(5)],
        }
    ),
}


@pytest.mark.parametrize("form", GRAPHS)
def test_a_graph_has_the_vertices_that_it_had_elsewhere(form: str) -> None:
    [body] = told(GRAPHS[form])
    graph = networkx.Graph(body.get("edges"))
    if "adjacency" in body:
        graph = networkx.from_numpy_array(np.array(body["adjacency"]))
    assert networkx.is_isomorphic(graph, CYCLE)
    assert len(body.get("vertices", graph)) == 5


def test_boards_of_light_up_and_game_ids_are_parted() -> None:
    boards = ["..1.\n....\n.#..\n....", "#..1\n....\n....\n...#"]
    assert told("\n\n".join(boards)) == boards
    for ids in (["7x7:b11p2Bb0b01pBBb", "7x7:a2i0a1aBh2h0a2a2i1a"], ["2:0,0R,0,0", "2:0,0,0,1"]):
        assert told("\n".join(ids)) == ids


def test_of_two_boards_in_a_prompt_neither_is_meant() -> None:
    record = {"prompt": "\n".join(["An example", *ROWS, "Solve this", *ROWS[::-1]])}
    assert told(json.dumps(record)) == [record]


def test_a_list_of_numbers_is_no_edge() -> None:
    assert told("[4, 8, 10]") == ["F: is no puzzle, but [4, 8, 10]"]


@pytest.mark.parametrize("name", ["colors", "num_colors", "k"])
def test_the_number_of_colours_beside_nodes_is_kept(name: str) -> None:
    [body] = told(json.dumps({"nodes": ["a", "b"], "edges": [["a", "b"]], name: 4}))
    assert body["colors"] == 4


def test_graphs_below_one_heading_are_numbered_by_their_lines() -> None:
    lines = b">>graph6<<" + networkx.to_graph6_bytes(CYCLE, header=False) * 2
    assert [entry.source for entry in read("F", lines)] == ["F:1", "F:2"]


def saved(array: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(array))
    return file.getvalue()


def test_arrays_of_one_maze_and_of_mazes_that_are_not_square_are_read() -> None:
    codes = [["#.SG".index(sign) + 1 for sign in row] for row in MAZE.split("\n")]
    square = [[*row] for row in [*codes, [1] * 7, [1] * 7]]
    body = {"puzzle": "maze", "grid": MAZE.split("\n")}
    assert told(saved([codes, codes])) == [body, body]
    assert told(saved(square)) == [{**body, "grid": [*MAZE.split("\n"), *["#" * 7] * 2]}]
    assert told(saved([[*row] for row in MAZE.split("\n")])) == [MAZE]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("0,3,0\n3,0,2\n0,2,0\n", "F: may be a matrix of weights, or edges with weights"),
        ("*Vertices 3\n*Edgeslist\n1 2 3\n", "F: is Pajek with lists of neighbours"),
        ("puzzle,id\n4.3002E+78,1\n", "F:2: is a number that a spreadsheet has rounded"),
        ("{\\rtf1\\ansi 53..7....}", "F: is rich text"),
        ("Killer Sudoku 5\n" + "\n".join(ROWS), "F:1: is of a kind with rules that are not read"),
        ("[Cages]\n1 2\n[Puzzle]\n" + "\n".join(ROWS), "F:1: is of a kind with rules"),
        (f"{PUZZLE}\n\n" + "\n".join(REGIONS[3:]), "F:3: is no puzzle"),
    ],
)
def test_what_may_be_two_things_or_has_other_rules_is_named(content: str, reason: str) -> None:
    assert any(isinstance(each, str) and each.startswith(reason) for each in told(content))


@pytest.mark.parametrize(
    "content", ["e 1 2\ne 2 3\n", "\n".join([*ROWS, ROWS[0]]), "1 2\n2 3\n3 4\n4 1\n1 1\n"]
)
def test_what_is_no_whole_puzzle_is_left_to_be_refused(content: str) -> None:
    [entry] = read("F", content)
    assert isinstance(entry, Entry)
    assert entry.puzzle == content.strip() or isinstance(entry.puzzle, dict)
