"""Puzzles with answers: what others write is read, and what is written is what they read."""

import json
from pathlib import Path

import numpy as np
import pytest

from gram_core import puzzles
from gram_core.errors import ConfigError
from gram_lab.data.command import main
from gram_lab.data.instances import read_cases
from gram_lab.data.mazes import Mazes
from gram_lab.data.pairs import Pairs, find_pairs, read_pairs, write_pairs
from gram_lab.train.recipe import choices
from gram_lab.train.sources import training_source

NINE, FOUR, MAZE = (puzzles.task(name) for name in ("sudoku-9x9", "sudoku-4x4", "maze-3x3"))
# Rows as in sapientinc/sudoku-extreme, whose blanks are dots.
TABLE = """source,question,answer,rating
puzzles4_forum_hardest_1905,..35.1....7148....58..73..4.....569.........7...1.72.534...8....15..483.......4..,493561782671482953582973164137245698254896317968137245349718526715624839826359471,98
puzzles0_kaggle,53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79,534678912672195348198342567859761423426853791713924856961537284287419635345286179,0
"""
# As sapientinc/maze-30x30-hard-1k, on three rows: walls are hashes, free cells spaces.
MAZES = "source,question,answer,rating\nm,S ## #  G,So#" + "#o#" + " oG,4\n"


def table(folder: Path, text: str = TABLE) -> Path:
    path = folder / "train.csv"
    path.write_text(text)
    return path


def builder_folder(folder: Path) -> Path:
    """Write what their builder does with the table: digits plus one, without augmentation."""
    rows = [line.split(",")[1:3] for line in TABLE.splitlines()[1:]]
    (folder / "train").mkdir(parents=True)
    for name, column in (("inputs", 0), ("labels", 1)):
        boards = [row[column].replace(".", "0") for row in rows]
        digits = np.array([[int(digit) for digit in board] for board in boards], dtype=np.uint8)
        np.save(folder / "train" / f"all__{name}.npy", digits + 1)
    return folder


def test_a_table_and_a_folder_of_arrays_hold_the_same_puzzles(tmp_path: Path) -> None:
    from_table = read_pairs(table(tmp_path), NINE)
    folder = find_pairs(builder_folder(tmp_path / "built"))
    assert folder == tmp_path / "built" / "train"
    from_folder = read_pairs(folder, NINE)
    for one, other in zip(from_table[:2], from_folder[:2], strict=True):
        assert (one == other).all()
    assert from_table.inputs[0, :4].tolist() == [1, 1, 4, 6]
    assert from_table.labels[0, :4].tolist() == [5, 10, 4, 6]


@pytest.mark.parametrize("name", ["some.npz", "some.csv", "some.tsv", "some"])
@pytest.mark.parametrize("task", [NINE, FOUR, MAZE], ids=lambda task: task.name)
def test_every_form_gives_back_what_was_written(
    name: str, task: puzzles.Task, tmp_path: Path
) -> None:
    pairs = {
        "sudoku-9x9": lambda: read_pairs(table(tmp_path), NINE),
        "sudoku-4x4": lambda: Pairs(
            np.array([[1, 3, 4, 5, *[1] * 12]], np.uint8),
            np.array([[2, 3, 4, 5, 4, 5, 2, 3, 3, 2, 5, 4, 5, 4, 3, 2]], np.uint8),
        ),
        "maze-3x3": lambda: read_pairs(table(tmp_path, MAZES), MAZE),
    }[task.name]()
    path = tmp_path / "out" / name
    write_pairs(path, task, pairs)
    again = read_pairs(path, task)
    if task == NINE and path.suffix == ".npz":
        archive = np.load(path)
        assert (archive["solution"].shape, archive["given"].shape) == ((2, 41), (2, 11))
        # Two digits a byte, and a bit for each cell.
        assert archive["solution"][0, :2].tolist() == [0x49, 0x35]
        assert np.unpackbits(archive["given"][0])[:5].tolist() == [0, 0, 1, 1, 0]
    for one, other in zip(pairs[:2], again[:2], strict=True):
        assert one.dtype == other.dtype == np.uint8
        assert (one == other).all()
    if task.family == "sudoku" or path.suffix not in (".csv", ".tsv"):
        assert len(read_cases(task, path, limit=None)) == len(pairs.inputs)


def test_a_written_folder_has_all_that_their_loaders_ask_for(tmp_path: Path) -> None:
    pairs = read_pairs(table(tmp_path), NINE)
    write_pairs(tmp_path / "data" / "train", NINE, pairs)
    about = json.loads((tmp_path / "data/train/dataset.json").read_text())
    assert (about["seq_len"], about["vocab_size"], about["total_groups"]) == (81, 11, 2)
    assert (about["sets"], about["pad_id"], about["num_puzzle_identifiers"]) == (["all"], 0, 1)
    assert json.loads((tmp_path / "data/identifiers.json").read_text()) == ["<blank>"]
    arrays = {path.stem: np.load(path) for path in (tmp_path / "data/train").glob("*.npy")}
    assert arrays["all__puzzle_indices"].tolist() == [0, 1, 2]
    assert arrays["all__group_indices"].tolist() == [0, 1, 2]
    assert arrays["all__puzzle_identifiers"].tolist() == [0, 0]
    write_pairs(tmp_path / "mazes", MAZE, read_pairs(table(tmp_path, MAZES), MAZE))
    assert json.loads((tmp_path / "mazes/dataset.json").read_text())["vocab_size"] == 6


def test_sudokus_of_others_are_trained_on_through_symmetries(tmp_path: Path) -> None:
    family = puzzles.family("sudoku")
    for data in (table(tmp_path), tmp_path, builder_folder(tmp_path / "built")):
        source = training_source(NINE, data, choices(NINE, recipe="trm-mlp")[0])
        examples = source.draw(20, 0.0, np.random.default_rng(0))
        assert examples.targets.shape == (20, 1, 81)
        assert len({row.tobytes() for row in examples.givens}) == 20
        for givens, target in zip(examples.givens, examples.targets[:, 0], strict=True):
            instance = family.instance_of(NINE, puzzles.Encoded(tokens=givens))
            assert family.check(instance, target)


def test_mazes_of_others_are_trained_on(tmp_path: Path) -> None:
    for data in (table(tmp_path, MAZES), tmp_path):
        examples = Mazes(MAZE, data).draw(3, 0.0, np.random.default_rng(0))
        assert examples.givens.shape == (3, 9)


def test_the_command_writes_any_form_in_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "made" / "train"
    command = ["sudoku-9x9", "--from", str(table(tmp_path)), "--output", str(output)]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out) == {"count": 2}
    assert len(read_pairs(output, NINE).inputs) == 2
    archive = tmp_path / "one.npz"
    command = ["sudoku-9x9", "--from", str(tmp_path / "made"), "--output", str(archive)]
    assert main([*command, "--count", "1", "--seed", "3"]) == 0
    assert len(read_pairs(archive, NINE).inputs) == 1
    assert main(["nqueens-8", "--from", str(archive), "--output", str(output)]) == 2


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("source,quest,answer\n", "question and answer"),
        (TABLE.replace("..35.1", "..45.1"), "puzzle 1"),
        (TABLE.replace("493561782", "49356178."), "puzzle 1"),
        (TABLE.replace("534678912", "53467891"), "puzzle 2"),
        (TABLE.replace("53..7", "53..x"), "puzzle 2"),
        (TABLE.partition("\n")[0], "no puzzles"),
        ("", "no puzzles"),
    ],
)
def test_what_is_no_pair_is_named(text: str, word: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=word):
        read_pairs(table(tmp_path, text), NINE)


def test_arrays_of_another_size_or_broken_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sudoku-4x4 has 16 cells"):
        read_pairs(builder_folder(tmp_path) / "train", FOUR)
    (tmp_path / "train" / "all__labels.npy").write_bytes(b"\x93NUMPY broken")
    with pytest.raises(ConfigError, match="no puzzles with answers"):
        read_pairs(tmp_path / "train", NINE)
    with pytest.raises(ConfigError, match="no puzzles with answers"):
        read_pairs(tmp_path / "nothing.csv", NINE)
