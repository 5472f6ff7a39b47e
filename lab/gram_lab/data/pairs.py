"""Puzzles with their answers, in the files that other projects train on, and in our archives.

A cell is a number, from 1, in the order of the family's signs. Forms: a table with a puzzle and its
answer in every row, as ``sapientinc/sudoku-extreme``; a folder with ``all__inputs.npy`` and
``all__labels.npy``, as the builders of HRM and TRM write it; our npz archives.
"""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gram_core import puzzles
from gram_core.errors import ConfigError
from gram_core.puzzles import BLANK, Task
from gram_lab.data.examples import Examples, augmented
from gram_lab.data.sudoku_files import NUM_CELLS, Grids, is_archive, read_archive, write_archive

SIGNS = {"sudoku": ".123456789", "maze": "# SGo"}
OPEN = {"sudoku": 1, "maze": 2}
"""The number of a cell that an answer may fill."""
COLUMNS = (("question", "answer"), ("puzzle", "solution"), ("quizzes", "solutions"))
INPUTS, LABELS = "all__inputs.npy", "all__labels.npy"
DELIMITERS = {".csv": ",", ".tsv": "\t"}

Codes = NDArray[np.uint8]
"""(count, cells)."""


class Pairs(NamedTuple):
    """Puzzles and their answers."""

    inputs: Codes
    labels: Codes
    adjacency: NDArray[np.bool_] | None = None
    """(count, cells, cells), of tasks with a graph."""


class PairsSource:
    """Draws puzzles whose numbers are tokens, each through a random symmetry."""

    max_targets = 1

    def __init__(self, task: Task, pairs: Pairs) -> None:
        self.task, self._pairs = task, pairs

    def draw(self, count: int, progress: float, rng: np.random.Generator) -> Examples:
        rows = rng.integers(len(self._pairs.inputs), size=count)
        inputs, labels, graphs = self._pairs
        graphs = None if graphs is None else graphs[rows]
        examples = Examples(inputs[rows], labels[rows, None], graphs)
        return augmented(examples, puzzles.family(self.task.family), self.task, rng)


def find_pairs(path: Path) -> Path | None:
    """Return the file, or the folder of arrays, of the pairs to train on; None where none are."""
    if path.is_file():
        return path
    arrays = [part for part in (path / "train", path) if (part / INPUTS).is_file()]
    tables = [path / f"train{suffix}" for suffix in DELIMITERS]
    return next((part for part in (*arrays, *filter(Path.is_file, tables))), None)


def read_pairs(path: Path, task: Task) -> Pairs:
    """Return the pairs of a file, or of a folder of arrays.

    Raises:
        ConfigError: it has another form, or holds what is no pair of the task.
    """
    try:
        inputs, labels, graphs = _read(path, task)
    # A broken array raises whatever its reader came upon.
    except Exception as error:
        reason = f"holds no puzzles with answers: {error or type(error).__name__}"
        raise ConfigError("data", str(path), reason) from error
    if inputs.shape != labels.shape or inputs.shape[1:] != (task.length,) or not len(inputs):
        shapes = f"{len(inputs)} puzzles of {inputs.shape[1:]} and {len(labels)} answers"
        raise ConfigError("data", str(path), f"holds {shapes}; {task.name} has {task.length} cells")
    if task.has_adjacency and (graphs is None or graphs.shape != (*inputs.shape, task.length)):
        raise ConfigError("data", str(path), f"holds no graph for each puzzle of {task.name}")
    is_open = inputs == OPEN.get(task.family, BLANK)
    most = task.num_values + 1
    is_known = (np.minimum(inputs, labels) >= 1) & (np.maximum(inputs, labels) <= most)
    is_filled = labels != 1 if task.family == "sudoku" else True
    wrong = np.flatnonzero(~(((inputs == labels) | is_open) & is_known & is_filled).all(axis=1))
    if len(wrong):
        raise ConfigError("data", f"{path}, puzzle {wrong[0] + 1}", "has no answer that fits it")
    return Pairs(inputs.astype(np.uint8), labels.astype(np.uint8), graphs)


def _read(path: Path, task: Task) -> Pairs:
    if path.is_dir():
        inputs, labels = (np.load(path / name) for name in (INPUTS, LABELS))
        return Pairs(inputs, labels)
    if is_archive(path):
        grids = read_archive(path)
        return Pairs(grids.puzzles + np.uint8(1), grids.solutions + np.uint8(1))
    if path.suffix == ".npz":
        archive = np.load(path)
        return Pairs(archive["inputs"], archive["labels"], archive.get("adjacency"))
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file, delimiter=DELIMITERS.get(path.suffix, ","))
        header = next(rows, [])
        columns = next((each for each in COLUMNS if set(each) <= set(header)), None)
        if columns is None:
            raise ValueError(f"no columns question and answer among {', '.join(header)}")
        puzzle, answer = map(header.index, columns)
        texts = [(row[puzzle], row[answer]) for row in rows if row]
        if not texts:
            raise ValueError("the table has no rows")
    inputs, labels = (_codes(each, task) for each in zip(*texts, strict=True))
    return Pairs(inputs, labels)


def _codes(texts: Sequence[str], task: Task) -> Codes:
    """Return the numbers of signs; 0 for one that is unknown, as is a text of another length."""
    table = np.zeros(256, np.uint8)
    signs = SIGNS[task.family]
    table[np.frombuffer(signs.encode(), np.uint8)] = np.arange(1, len(signs) + 1)
    if task.family == "sudoku":
        table[ord("0")] = OPEN["sudoku"]
    blank = "?" * task.length
    whole = "".join(text if len(text) == task.length else blank for text in texts)
    letters = np.frombuffer(whole.encode("ascii", "replace"), np.uint8)
    return table[letters].reshape(len(texts), task.length)


def write_pairs(
    path: Path, task: Task, pairs: Pairs, *, guesses: NDArray[np.float32] | None = None
) -> None:
    """Write a table, an archive, or a folder of arrays, by the end of the name.

    ``guesses`` are the ratings of puzzles that this package made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ratings = np.zeros(len(pairs.inputs), np.float32) if guesses is None else guesses
    if path.suffix in DELIMITERS:
        signs = np.frombuffer(f" {SIGNS[task.family]}".encode(), np.uint8)
        puzzle, answer = ([bytes(row).decode() for row in signs[part]] for part in pairs[:2])
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, delimiter=DELIMITERS[path.suffix], lineterminator="\n")
            table.writerow(("source", "question", "answer", "rating"))
            table.writerows(
                (task.name, *each, round(float(rating)))
                for *each, rating in zip(puzzle, answer, ratings, strict=True)
            )
    elif path.suffix != ".npz":
        _write_folder(path, task, pairs)
    elif task.family == "sudoku" and task.length == NUM_CELLS:
        write_archive(path, Grids(pairs.inputs - 1, pairs.labels - 1), guesses=ratings)
    else:
        np.savez(path, **{name: part for name, part in pairs._asdict().items() if part is not None})


def _write_folder(path: Path, task: Task, pairs: Pairs) -> None:
    """Write what the builders of HRM and TRM write for one split: one example of each puzzle."""
    path.mkdir(exist_ok=True)
    count = len(pairs.inputs)
    indices = np.arange(count + 1, dtype=np.int32)
    arrays: dict[str, NDArray[Any]] = {
        "inputs": pairs.inputs,
        "labels": pairs.labels,
        "puzzle_identifiers": np.zeros(count, np.int32),
        "puzzle_indices": indices,
        "group_indices": indices,
    }
    for name, array in arrays.items():
        np.save(path / f"all__{name}.npy", array)
    about = {
        "seq_len": task.length,
        "vocab_size": len(SIGNS[task.family][: task.num_values + 1]) + 1,
        "pad_id": 0,
        "ignore_label_id": 0,
        "blank_identifier_id": 0,
        "num_puzzle_identifiers": 1,
        "total_groups": count,
        "mean_puzzle_examples": 1,
        "total_puzzles": count,
        "sets": ["all"],
    }
    (path / "dataset.json").write_text(json.dumps(about), encoding="utf-8")
    (path.parent / "identifiers.json").write_text('["<blank>"]', encoding="utf-8")
