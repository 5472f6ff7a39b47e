"""Files to evaluate on: what is read, and what is refused in a sentence."""

import io
import json
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gram_core import puzzles
from gram_core.errors import ConfigError
from gram_lab.data.instances import read_cases, read_data

PUZZLE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
DIGITS = np.array([[int(sign) for sign in PUZZLE.replace(".", "0")]] * 3)
TASK = puzzles.task("sudoku-9x9")


def saved(*arrays: object, **named: Any) -> bytes:
    file = io.BytesIO()
    if named:
        np.savez(file, **named)
    else:
        np.save(file, np.asarray(arrays[0]))
    return file.getvalue()


def zipped(**members: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("_", "."), text)
    return file.getvalue()


PACKED = saved(solution=np.zeros((1, 41), np.uint8), given=np.zeros((1, 11), np.uint8))
GOOD = {
    "arrays of the builders": saved(DIGITS + 1),
    "digits": saved(DIGITS.reshape(3, 9, 9)),
    "inputs and labels": saved(inputs=DIGITS + 1, labels=DIGITS + 1),
    "table with a header": f"quizzes,solutions\n{PUZZLE},1\n{PUZZLE},1\n{PUZZLE},1\n".encode(),
    "drawn boards": "".join(
        f"Grid {n}\n" + "\n".join(PUZZLE[at : at + 9] for at in range(0, 81, 9)) + "\n"
        for n in range(3)
    ).encode(),
    "records": f'{{"question": "{PUZZLE}"}}\n'.encode() * 3,
}
BAD = [
    b"",
    b"\n \n",
    b"\0" * 100,
    b"\x89PNG\r\n\x1a\n\0",
    b"\x1f\x8b\x08\0\0\0\0\0",
    b"\xff\xfe",
    b"\xff\xfe5",
    b"hello",
    b"id,puzzle\n",
    b"id,puzzle\n1,\n",
    b'id,puzzle\n1,"5',
    b"id,name\n1,2\n",
    PUZZLE[1:].encode(),
    b"55" + PUZZLE[2:].encode(),
    PUZZLE.replace("5", "x").encode(),
    b"12.4341221434321",
    b"{",
    b"[",
    b"[]",
    b"{}",
    b"null",
    b"[1, 2]",
    b'{"puzzle": 3}',
    b'{"puzzle": "sudoku"}',
    b'{"puzzle": "nqueens", "n": 8}',
    b'{"puzzle": "chess", "grid": "."}',
    b"[" * 5000,
    json.dumps({"vertices": 8, "edges": [[0, 1]], "colors": 4}).encode(),
    b"p edge 3 1\ne 1 2\n",
    b"#####\n#S.G#\n#####\n",
    b"<opensudoku><game data='1'/></opensudoku>",
    b"PK\x03\x04",
    zipped(a_txt="hello"),
    zipped(inputs_npy="hello"),
    zipped(solution_npy="", given_npy=""),
    PACKED[: len(PACKED) // 2],
    saved(solution=[1.5], given=["a"]),
    saved(solution=np.full((1, 41), 255, np.uint8), given=np.zeros((1, 11), np.uint8)),
    saved(solution=np.zeros((0, 41), np.uint8), given=np.zeros((0, 11), np.uint8)),
    saved(some=DIGITS, other=DIGITS),
    saved(DIGITS)[:150],
    saved(DIGITS / 2),
    saved(DIGITS[:, :80]),
    saved(DIGITS[0, :5]),
    saved(5),
    saved([["a"] * 81]),
    saved(np.zeros((0, 81), int)),
    saved(np.full((1, 81), 77)),
    saved([[3, 2, 1, 4]]),
    b"\x93NUMPY",
]


@pytest.mark.parametrize("form", GOOD)
def test_usual_files_are_read(tmp_path: Path, form: str) -> None:
    path = tmp_path / "data"
    path.write_bytes(GOOD[form])
    cases = read_cases(TASK, path, limit=None)
    boards = [puzzles.family("sudoku").encode(case.instance).tokens.tolist() for case in cases]
    assert boards == (DIGITS + 1).tolist()


def test_the_folder_of_a_builder_is_read(tmp_path: Path) -> None:
    (tmp_path / "all__inputs.npy").write_bytes(saved(DIGITS + 1))
    assert len(read_cases(TASK, tmp_path, limit=2)) == 2


@pytest.mark.parametrize("number", range(len(BAD)))
def test_a_bad_file_is_refused_in_a_sentence(tmp_path: Path, number: int) -> None:
    path = tmp_path / "data"
    path.write_bytes(BAD[number])
    with pytest.raises(ConfigError, match="holds"):
        read_data(TASK, path, limit=None)


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ConfigError, match="holds no puzzle of sudoku-9x9"):
            read_data(TASK, path, limit=None)


def test_lines_of_another_task_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text(f"{PUZZLE}\n12.4341221434321\n{PUZZLE}\nno puzzle\n", encoding="utf-8")
    cases, refusals = read_data(TASK, path, limit=None)
    assert len(cases) == 2
    assert refusals == [
        f"{path}:2: is of sudoku-4x4, not of sudoku-9x9",
        f"{path}:4: is no puzzle: no puzzle",
    ]
    with pytest.raises(ConfigError, match="is of sudoku-4x4"):
        read_cases(TASK, path, limit=None)


def test_colours_are_part_of_a_task(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    path.write_text('{"vertices": 8, "edges": [[0, 1]], "colors": 4}', encoding="utf-8")
    with pytest.raises(ConfigError, match="graph-coloring-8-4, not of graph-coloring-8"):
        read_data(puzzles.task("graph-coloring-8"), path, limit=None)


@pytest.mark.parametrize("name", ["nqueens-8", "graph-coloring-8", "maze-30x30", "sudoku-4x4"])
def test_data_of_another_task_is_refused_whatever_it_is(tmp_path: Path, name: str) -> None:
    path, task = tmp_path / "data", puzzles.task(name)
    num_read = 0
    for content in [*GOOD.values(), *BAD]:
        path.write_bytes(content)
        with suppress(ConfigError):
            cases = read_data(task, path, limit=None).cases
            assert {puzzles.family(task.family).task_of(case.instance) for case in cases} == {task}
            num_read += 1
    # What is bad for 9x9 sudokus holds a puzzle each of two of these tasks.
    assert num_read == int(name in ("nqueens-8", "sudoku-4x4"))
