"""Files of other programs that are easily misread: read as they were meant, or refused by name."""

import bz2
import gzip
import io
import lzma
import time
import zipfile
from typing import Any

import numpy as np
import pytest

from gram_files import Entry, Unread, read
from tests.clients.test_puzzle_files import MAZE, PUZZLE, ROWS, SOLUTION, saved

OTHER = PUZZLE[::-1]


def told(content: bytes | str) -> list[tuple[str, Any] | str]:
    """Return source and puzzle of all that is read, and what is said of the rest."""
    return [
        str(each) if isinstance(each, Unread) else (each.source, each.puzzle)
        for each in read("F", content)
    ]


def candidates(corner: str) -> str:
    """Draw a board as solvers do, with the candidates of its open cells."""
    ruling = corner + corner.join(["-" * 18] * 3) + corner
    lines = [
        "| " + " | ".join(" ".join(f"{cell:<5}" for cell in row[at : at + 3]) for at in (0, 3, 6))
        for row in ([cell.replace(".", "1249") for cell in row] for row in ROWS)
    ]
    bands = ["\n".join(lines[start : start + 3]) for start in (0, 3, 6)]
    return "\n".join([ruling, f"\n{ruling}\n".join(bands), ruling])


FLAT = "##########S......G" + "#" * 82
COLORED: dict[str, object] = {
    "puzzle": "graph-coloring",
    "vertices": [0, 1],
    "edges": [[0, 1]],
    "fixed": {"0": 1},
    "colors": 4,
}
CYCLE = [[1, 2], [1, 6], [2, 3], [3, 4], [4, 5], [5, 6]]
RECORD = f'"puzzle": "{PUZZLE}", "answer": "{SOLUTION}"'


@pytest.mark.parametrize("corner", ["+", "*", ".", ":"])
def test_rulings_of_any_length_part_a_board_with_candidates(corner: str) -> None:
    assert told(candidates(corner)) == [("F", "\n".join(ROWS))]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"https://www.sudokuwiki.org/sudoku.htm?bd={PUZZLE}", [("F", PUZZLE)]),
        (f"{PUZZLE},{PUZZLE.replace('..', '12', 1)},{SOLUTION}", [("F", PUZZLE)]),
        (f"{{'puzzle': '{PUZZLE}', 'rating': None}}\n" * 2, [("F:1", PUZZLE), ("F:2", PUZZLE)]),
        (f'{{"puzzle": "{PUZZLE}", "rating": NaN, "diagonal": false}}', [("F", PUZZLE)]),
        ("4\n.Q..\n....\n....\n....", [("F", ".Q..\n....\n....\n....")]),
        (f'id,maze\n1,"{MAZE}"\n', [("F:2", MAZE)]),
        (f"1\n-----\n{MAZE}\n-----\n", [("F", MAZE)]),
        ("#S  #\n     \n#  G#", [("F", "#S  #\n     \n#  G#")]),
        (f"{MAZE}\n     \n{MAZE}", [("F:1", MAZE), ("F:5", MAZE)]),
        ("question,answer\n    S   G,x", [("F:2", "   \n S \n  G")]),
        (FLAT, [("F", "\n".join(FLAT[start : start + 10] for start in range(0, 100, 10)))]),
        (
            '{"graph": {"colors": 4}, "nodes": [{"id": 0, "color": 1}, {"id": 1, "color": "red"}],'
            ' "links": [{"source": 0, "target": 1}]}',
            [("F", COLORED)],
        ),
        (
            "graph [ colors 4 node [ id 0 color 1 ] node [ id 1 ] edge [ source 0 target 1 ] ]",
            [("F", COLORED)],
        ),
        (
            "6 6\n2 6\n1 3\n2 4\n3 5\n4 6\n5 1",
            [
                (
                    "F",
                    {"puzzle": "graph-coloring", "vertices": [*range(1, 7)], "edges": CYCLE},
                )
            ],
        ),
        ("1...2...3...4...\n" * 16, [(f"F:{n}", "1...2...3...4...") for n in range(1, 17)]),
        ("[[0, 1], [0, 0]]", [("F", {"grid": [[0, 1], [0, 0]]})]),
    ],
)
def test_what_others_write_is_read_as_they_mean_it(content: str, expected: list[Any]) -> None:
    found = told(content)
    for each in found:
        if isinstance(each, tuple) and isinstance(each[1], dict) and "edges" in each[1]:
            each[1]["edges"] = sorted(map(sorted, each[1]["edges"]))
    assert found == expected


WRONG_MAZE = "######\n#S.G.#\n#.K..#\n######"
HEXADOKU = "\n".join(["1..4............", "..........A.....", *["1..2..3..4......"] * 14])


@pytest.mark.parametrize(
    "content",
    [
        # Parts of these alone are other puzzles.
        WRONG_MAZE,
        WRONG_MAZE.replace("#", "."),
        '1,"#####\n#S.G#\n#####"',
        "e 1 2\np edge 3 2\ne 2 3",
        "3 5\n1 2\n3 4\n#####\n#...#\n#####",
        HEXADOKU,
        HEXADOKU.replace("A", "9"),
        # Only whoever knows the rules can say what is wrong with it.
        f"{PUZZLE},{OTHER}",
    ],
)
def test_a_puzzle_with_wrong_parts_is_handed_over_whole(content: str) -> None:
    whole = content.replace(",", "") if content.startswith(PUZZLE) else content
    assert told(content) == [("F", whole)]


@pytest.mark.parametrize(
    ("content", "reasons"),
    [
        (f'{{"grid": "{PUZZLE}", "grid": "{OTHER}"}}', ["F: is not JSON: an object names"]),
        (f'{{"grid": "{PUZZLE}", "diagonal": true,}}', ["F: is not JSON: Expecting property"]),
        (f'{{\n"grid": "{PUZZLE}",\n// X\n"diagonal": true\n}}', ["F: is not JSON: Expecting"]),
        (f"{{\n grid: '{PUZZLE}',\n diagonal: true\n}}", ["F: is not JSON: Expecting"]),
        (f"[{{grid: '{PUZZLE}', diagonal: true}}]", ["F: is not JSON: Expecting"]),
        (f'{{{RECORD}, "cages": [[1, 2]]}}', ["F: has cages: only the rules of plain"]),
        (f'{{{RECORD}, "type": "Killer"}}', ["F: has type: only the rules of plain"]),
        (f"puzzle,Anti-Knight\n{PUZZLE},1\n", ["F:2: has anti-knight: only the rules of plain"]),
        (b"\x28\xb5\x2f\xfd" + PUZZLE.encode(), ["F: is packed: unpack it"]),
        (gzip.compress(PUZZLE.encode(), mtime=0)[:20], ["F: cannot be unpacked: "]),
        (bz2.compress(PUZZLE.encode())[:20], ["F: cannot be unpacked: "]),
        (lzma.compress(PUZZLE.encode())[:20], ["F: cannot be unpacked: "]),
    ],
)
def test_what_would_lose_a_rule_is_refused(content: bytes | str, reasons: list[str]) -> None:
    found = told(content)
    assert len(found) == len(reasons)
    for each, reason in zip(found, reasons, strict=True):
        assert isinstance(each, str)
        assert each.startswith(reason)


def test_of_two_puzzles_in_a_record_neither_is_taken_for_the_other() -> None:
    [entry] = read("F", f'{{"easy": "{PUZZLE}", "hard": "{OTHER}"}}')
    assert isinstance(entry, Entry)
    assert entry.puzzle == PUZZLE + OTHER


def test_arrays_that_may_be_something_else_are_not_sudokus() -> None:
    assert told(saved([[0, 1] + [0] * 14])) == [("F:1", {"grid": [[0, 1, 0, 0], *[[0] * 4] * 3]})]
    found = told(saved([[3, 2, 1, 4], [3, 2, 1, 1]]))
    assert found[1] == ("F:2", {"puzzle": "maze", "grid": ["S.", "##"]})
    assert told(saved([[-1] + [0] * 80])) == ["F:1: holds -1; digits are 1 to 9"]
    for array in ([[np.nan] * 81], [[1j] * 81], np.zeros((1, 81), "M8[s]")):
        assert told(saved(array)) == ["F: holds no array of boards: cells are whole numbers"]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
    assert told(file.getvalue()) == [
        "F: holds no array of boards: it is a zip archive of other files; unpack it, or save it "
        "as CSV"
    ]


NUM_CHARS = 100_000
SHAPES = {
    "empty lines": ("x", "\n"),
    "lines of spaces": ("x\n", "  \n"),
    "words of GML": ("x\n", "graph\n"),
    "braces": ("{", "{ "),
    "quotes": ("[", '"'),
    "quotes in a table": ("a,puzzle\n", '"\n'),
    "rows of a maze": ("#S.G#\n", "#...#\n"),
    "open rows of a maze": ("S.G\n", "   \n"),
    "rows of 16": ("", "1...............\n"),
    "games": ("<", "<game "),
    "edges": ("p edge 3 1\n", "e 1 2\n"),
    "pairs": ("", "1 2\n"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_hostile_files_take_a_time_linear_in_their_length(shape: str) -> None:
    head, part = SHAPES[shape]
    text = f"{head}{part * (NUM_CHARS // len(part))}\nx"
    started_s = time.process_time()
    for _ in read("F", text):
        pass
    # Of the processor: the slowest takes a tenth of it, and what grows faster takes minutes.
    assert time.process_time() - started_s < 10
