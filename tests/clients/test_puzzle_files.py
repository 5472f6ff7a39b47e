"""Files as people have them: what is read in each form, and what is said of the rest."""

import io
import json
import sys
from typing import Any

import networkx
import numpy as np
import pytest

from gram_files import Entry, Unread, read

PUZZLE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
SOLUTION = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
ZEROS = PUZZLE.replace(".", "0")
ROWS = [PUZZLE[start : start + 9] for start in range(0, 81, 9)]
DRAWN = "\n".join(ROWS)
MAZE = "#####\n#S.G#\n#####"
GRAPH = "p edge 3 2\ne 1 2\ne 2 3"


def edges(vertices: list[int], pairs: list[list[int]]) -> dict[str, object]:
    return {"puzzle": "graph-coloring", "vertices": vertices, "edges": pairs}


LINKED = {"puzzle": "graph-coloring", "vertices": ["a", 7], "edges": [["a", 7]]}


def framed(rows: list[str], *, ends: str, middle: str, bar: str = "|") -> str:
    """Draw rows in boxes, as solvers print them."""
    lines = [bar + bar.join((row[:3], row[3:6], row[6:])) + bar for row in rows]
    bands = ["\n".join(lines[start : start + 3]) for start in (0, 3, 6)]
    return "\n".join([ends, f"\n{middle}\n".join(bands), ends])


def found(content: bytes | str) -> tuple[list[str], list[str]]:
    """Return the places of puzzles that read as the sudoku, and what is said of others."""
    good, rest = [], []
    for each in read("F", content):
        text = each.puzzle if isinstance(each, Entry) else None
        if isinstance(text, str) and text.replace("\n", "").replace("0", ".") == PUZZLE:
            good.append(each.source)
        else:
            rest.append(str(each) if isinstance(each, Unread) else f"{each.source}: {text}")
    return good, rest


SIMPLE_SUDOKU = framed(ROWS, ends="*-----------*", middle="|---+---+---|")
BOXED = framed(ROWS, ends="┌───┬───┐", middle="├───┼───┤", bar="│")
DOUBLED = framed(ROWS, ends="===+===+===", middle="===+===+===")

ONE: dict[str, bytes | str] = {
    "rated": f"{PUZZLE} 2.3",
    "hashed": f"0000183b305c {ZEROS} 1.2",
    "spaced": " ".join(PUZZLE),
    "separated": ",".join(PUZZLE),
    "with a solution": f"{SOLUTION},{ZEROS}",
    "sdk": f"#A someone\n[Puzzle]\n{DRAWN}\n[State]\n{DRAWN}",
    "sdk, drawn": f"[Puzzle]\n{SIMPLE_SUDOKU}",
    "sdk in an older encoding": f"#A José\n{DRAWN}".encode("latin-1"),
    "ss": "\n".join(f"{row[:3]}|{row[3:6]}|{row[6:]}" for row in ROWS).replace(".", "X"),
    "simple sudoku": SIMPLE_SUDOKU,
    "boxed": BOXED,
    "ruled": DOUBLED,
    "bands": "\n\n".join("\n".join(ROWS[start : start + 3]) for start in (0, 3, 6)),
    "spreadsheet": "\n".join("\t".join(row).replace(".", "") for row in ROWS),
    "empty fields": "\n".join(",".join(row).replace(".", "") for row in ROWS),
    "question marks": DRAWN.replace(".", "?"),
    "dashes": DRAWN.replace(".", "-"),
    "candidates": "\n".join(" ".join(row).replace(".", "127") for row in ROWS),
    "hodoku": f":0000:x:{PUZZLE.replace('5', '+5', 1)}:::",
    "leetcode": str([list(row) for row in ROWS]).replace("'", '"'),
    "rows": str(ROWS).replace("'", '"'),
    "rows of digits on a line": " ".join(row.replace(".", "0") for row in ROWS),
    "numpy's print": "\n ".join(f"[{' '.join(row.replace('.', '0'))}]" for row in ROWS),
    "python": str([list(row) for row in ROWS]),
    "java": "{" + ",\n".join("{" + ",".join(row.replace(".", "0")) + "}" for row in ROWS) + "};",
    "record of other names": f'{{"id": 1, "solved": "{SOLUTION}", "Sudoku_Grid": "{ZEROS}"}}',
    "record": f'{{"question": "{PUZZLE}", "answer": "{SOLUTION}", "rating": 3}}',
}


@pytest.mark.parametrize("form", ONE)
def test_a_file_with_one_puzzle_holds_it_in_any_form(form: str) -> None:
    assert found(ONE[form]) == (["F"], [])


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (f"\ufeff{PUZZLE}\n{PUZZLE}\n".encode(), (1, 2)),
        (f"{PUZZLE}\r\n{PUZZLE}\r\n".encode("utf-16"), (1, 2)),
        (f"{PUZZLE}\n{PUZZLE}\n".encode("utf-16-le"), (1, 2)),
        (f"My sudokus\n{PUZZLE} 1.2\n# a remark\n{PUZZLE} 3.4\n", (2, 4)),
        (f"Hard:\n{PUZZLE}\nPuzzle 2\n{PUZZLE}\n", (2, 4)),
        (f"quizzes,solutions\n{ZEROS},{SOLUTION}\n{ZEROS},{SOLUTION}\n", (2, 3)),
        (f"source;Question;rating\nx;{PUZZLE};3\nx;{PUZZLE};3\n", (2, 3)),
        (f'id\tpuzzle\n1\t"{DRAWN}"\n2\t{PUZZLE}\n', (2, 11)),
        (f"{ZEROS},{SOLUTION}\n{ZEROS},{SOLUTION}\n", (1, 2)),
        (f"Grid 01\n{DRAWN}\nGrid 02\n{DRAWN}\n", (2, 12)),
        (f"1\n{DRAWN}\n1002\n{DRAWN}\n", (2, 12)),
        (f"{DRAWN}\n\n{DRAWN}\n{DRAWN}", (1, 11, 20)),
        (f"{SIMPLE_SUDOKU}\n{BOXED}\n\n{DOUBLED}", (2, 15, 29)),
        (f"{PUZZLE}\n{DRAWN}\n{PUZZLE}\n", (1, 2, 11)),
        (f'<opensudoku>\n<game data="{ZEROS}" />\n<game data="{ZEROS}"/></opensudoku>', (2, 3)),
        (f'{{"quizzes": ["{PUZZLE}", "{PUZZLE}"], "solutions": [1, 2]}}', (1, 2)),
        (f"sep=;\nid;puzzle\n1;{PUZZLE}\n2;{PUZZLE}", (3, 4)),
        (f"# of a book\n\npuzzle,id\n{PUZZLE},1\n{PUZZLE},2", (4, 5)),
        (f"| id | puzzle |\n|---|---|\n| 1 | {PUZZLE} |\n| 2 | {PUZZLE} |", (3, 4)),
        (f'{{\n  "puzzle": "{PUZZLE}"\n}}\n{{"board": "{PUZZLE}"}}', (1, 4)),
        (f'[\n{{"puzzle": "{PUZZLE}"}},\n{{"board": "{PUZZLE}"}}\n]', (1, 2)),
    ],
)
def test_many_puzzles_are_parted_and_placed(content: bytes | str, lines: tuple[int, ...]) -> None:
    assert found(content) == ([f"F:{line}" for line in lines], [])


@pytest.mark.parametrize(
    ("content", "lines", "rest"),
    [
        (f"{PUZZLE}\n{PUZZLE[1:]}\n{PUZZLE}", (1, 3), [f"F:2: {PUZZLE[1:]}"]),
        (f"{PUZZLE}\nhello\n{PUZZLE}", (1, 3), ["F:2: is no puzzle: hello"]),
        (
            f"{DRAWN}\n\n{DRAWN[10:]}\n\n{DRAWN}",
            (1, 20),
            ["F:11: a board has as many rows as cells in a row, not 8 of 9"],
        ),
        (
            f"Grid 1\n{DRAWN[1:]}\nGrid 2\n{DRAWN}",
            (12,),
            ["F:2: a board has as many rows as cells in a row, not 9 of 8 or 9"],
        ),
        (
            f'quizzes,id\n"{PUZZLE},1\n{PUZZLE},2\n,3\n{PUZZLE}',
            (3, 5),
            ["F:2: has a quote that does not end", "F:4: has nothing in column quizzes"],
        ),
        (f"id,puzzle\n1\n2,{PUZZLE}", (3,), ["F:2: has 1 of 2 columns"]),
        (
            f'{{"puzzle": "{PUZZLE}"}}\nnot json\n"{PUZZLE}"',
            (1, 3),
            ["F:2: is no puzzle: not json"],
        ),
        (
            f'{PUZZLE}\n{{"puzzle": "{PUZZLE}"}}\n{{"puzzle": \n[3]\n12.43\n12.43\nQ{PUZZLE[1:]}',
            (1, 2),
            [
                "F:3: is not JSON: ",
                "F:4: is no puzzle: [3]",
                "F:5: a board has as many rows as cells in a row, not 2 of 5",
                "F:6: a board has as many rows as cells in a row, not 2 of 5",
                f"F:7: Q{PUZZLE[1:]}",
            ],
        ),
        (
            f"{PUZZLE}\n\0{PUZZLE[1:]}\n{PUZZLE}".encode(),
            (1, 3),
            [f"F:2: \N{REPLACEMENT CHARACTER}{PUZZLE[1:]}"],
        ),
        (f'["{PUZZLE}", 7, [1]]', (1,), ["F:2: is no puzzle, but 7", "F:3: is no puzzle, but [1]"]),
        (
            f'<x><game data="12"/>\n<game data="{ZEROS}"/>',
            (2,),
            ["F:1: its data has 2 cells; a sudoku has 81"],
        ),
    ],
)
def test_a_broken_neighbour_costs_no_puzzle_and_is_named(
    content: bytes | str, lines: tuple[int, ...], rest: list[str]
) -> None:
    good, said = found(content)
    assert good == [f"F:{line}" for line in lines]
    assert len(said) == len(rest)
    assert all(told.startswith(start) for told, start in zip(said, rest, strict=True))


@pytest.mark.parametrize(
    ("content", "puzzles"),
    [
        (MAZE, [("F", MAZE)]),
        (f"# a remark\n{MAZE}", [("F", MAZE)]),
        ("#####\nS..G#\n#####\n", [("F", "#####\nS..G#\n#####")]),
        (f"{MAZE}\n\n  #\nS G\n", [("F:1", MAZE), ("F:5", "  #\nS G")]),
        (f"Maze 1\n{MAZE}\nMaze 2\n{MAZE}", [("F:2", MAZE), ("F:6", MAZE)]),
        ("###\nA.B\n###", [("F", "###\nA.B\n###")]),
        (f"1\n{MAZE}\n\n #\ns.\n.e", [("F:2", MAZE), ("F:6", " #\ns.\n.e")]),
        (f"{GRAPH}\nc more\n{GRAPH}", [("F:1", GRAPH), ("F:5", f"c more\n{GRAPH}")]),
        (
            "..Q\n...\n...\n\nQ - -\n- - -\n- - -",
            [("F:1", "..Q\n...\n..."), ("F:5", "Q..\n...\n...")],
        ),
        ("Q" + "." * 15 + ("\n" + "." * 16) * 15, [("F", "Q" + "." * 15 + ("\n" + "." * 16) * 15)]),
        ("1.........2.....\n" * 2, [("F:1", "1.........2....."), ("F:2", "1.........2.....")]),
        ('["S.#", "..G"]', [("F", "S.#\n..G")]),
        ('["S.#", "..E"]', [("F", "S.#\n..E")]),
        (
            '{"graph": {"colors": 4}, "nodes": [{"id": "a"}, {"id": 7}], '
            '"links": [{"source": "a", "target": 7}]}',
            [("F", {**LINKED, "colors": 4})],
        ),
        (
            '{"nodes": [{"id": "a"}, {"id": 7}], "edges": [{"source": "a", "target": 7}]}',
            [("F", LINKED)],
        ),
        ("# 2 edges\n0 2\n2,0\n2 1 {}\n", [("F", edges([0, 1, 2], [[2, 0], [2, 1]]))]),
        ("4 3\n1 2\n2 3\n1 3\n", [("F", edges([1, 2, 3, 4], [[1, 2], [2, 3], [1, 3]]))]),
        ("10 24\n24 10\n10 40\n", [("F", edges([10, 24, 40], [[24, 10], [10, 40]]))]),
        ("10 34\n34 12\n21 43\n43 20\n", [("F", "1034\n3412\n2143\n4320")]),
        ("0 1\n1 3\n2 0\n3 2\n", [("F", "0 1\n1 3\n2 0\n3 2")]),
        ("..♛\n...\n...", [("F", "..Q\n...\n...")]),
        ('{"nodes": 5, "edges": [[0, 1]]}', [("F", {"nodes": 5, "edges": [[0, 1]]})]),
        ('{"n": 8}', [("F", {"n": 8})]),
        ('{"puzzle": "nqueens", "n": 8}', [("F", {"puzzle": "nqueens", "n": 8})]),
        ("[[2, null], [0, 1]]", [("F", {"puzzle": "sudoku", "grid": [[2, 0], [0, 1]]})]),
        # A form of a family that another package brings.
        ("knights 3\nof some kind", [("F", "knights 3\nof some kind")]),
    ],
)
def test_puzzles_of_every_family_are_found(content: str, puzzles: list[tuple[str, Any]]) -> None:
    entries = [each for each in read("F", content) if isinstance(each, Entry)]
    assert [(entry.source, entry.puzzle) for entry in entries] == puzzles


KARATE = networkx.karate_club_graph()
GRAPH_FILES = [
    "\n".join(networkx.generate_gml(KARATE)),
    "\n".join(networkx.generate_graphml(KARATE)),
]


@pytest.mark.parametrize("text", GRAPH_FILES)
def test_graphs_of_networkx_are_read_where_it_is(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [entry] = read("F", f'Creator "me"\n{text}' if text.startswith("graph") else text)
    assert isinstance(entry, Entry)
    assert isinstance(entry.puzzle, dict)
    again = networkx.Graph(entry.puzzle["edges"])
    assert networkx.is_isomorphic(again, KARATE)
    [broken] = read("F", text[: len(text) // 2])
    assert str(broken).startswith("F: holds no graph: ")
    monkeypatch.setitem(sys.modules, "networkx", None)
    [unread] = read("F", text)
    assert str(unread) == "F: is a graph in a form whose reading needs networkx"


def test_the_columns_beside_a_puzzle_come_with_it() -> None:
    [entry] = read("F", f"source,puzzle,ser\nbook,{PUZZLE},7.2\n")
    assert isinstance(entry, Entry)
    assert entry.fields == {"source": "book", "puzzle": PUZZLE, "ser": "7.2"}


def saved(array: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(array))
    return file.getvalue()


def test_arrays_of_digits_and_of_codes_are_read() -> None:
    digits = np.array([[int(digit) for digit in ZEROS]] * 2)
    archive = io.BytesIO()
    np.savez(archive, inputs=digits + 1, labels=digits)
    forms = (saved(digits), saved(digits.reshape(2, 9, 9)), saved(digits + 1), archive.getvalue())
    for content in forms:
        assert found(content) == (["F:1", "F:2"], [])
    assert found(saved(digits[0].reshape(9, 9)))[0] == ["F:1"]
    [maze] = read("F", saved([[3, 2, 1, 4]]))
    assert maze == Entry("F:1", {"puzzle": "maze", "grid": ["S.", "#G"]})


@pytest.mark.parametrize(
    "content",
    [
        saved([[1.5] * 81]),
        saved([1, 2]),
        saved([[1] * 80]),
        saved([["a"] * 81]),
        saved(np.zeros((0, 81))),
        saved([[1] * 81])[:200],
        b"PK\x03\x04 no archive",
        b"\x93NUMPY",
        b"\x89PNG\r\n\x1a\n\0\0",
        b"",
        " \n\n",
        "[]",
        '{"a": ',
        "[" * 10_000,
    ],
)
def test_what_holds_no_puzzle_is_told_in_a_sentence(content: bytes | str) -> None:
    [said] = read("F", content)
    assert isinstance(said, Unread)
    assert said.reason


def test_a_task_of_arc_is_one_puzzle_for_each_test_grid() -> None:
    pair = {"input": [[1, 0]], "output": [[0, 1]]}
    tests = [pair, {"input": [[2]]}]
    several = list(read("F", json.dumps({"train": [pair, pair], "test": tests})))
    alone = list(read("F", json.dumps({"train": [pair, pair], "test": tests[:1]})))
    bodies: list[dict[str, object]] = [
        {"puzzle": "arc", "train": [pair, pair], "test": [test]} for test in tests
    ]
    assert several == [Entry(f"F:{number}", body) for number, body in enumerate(bodies, start=1)]
    assert alone == [Entry("F", bodies[0])]
