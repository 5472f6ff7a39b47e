"""The make-puzzles command: what it writes is what training reads."""

import json
from pathlib import Path

import numpy as np
import pytest

from gram_core import puzzles
from gram_core.errors import ConfigError
from gram_core.puzzles import Encoded
from gram_lab.data.command import main
from gram_lab.data.mazes import Mazes
from gram_lab.data.sudoku_files import Grids, SudokuFiles, read_archive, write_archive
from gram_lab.data.sudoku_search import candidates, search
from gram_lab.train.recipe import Recipe
from gram_lab.train.sources import training_source

HARD = "8..........36......7..9.2...5...7.......457.....1...3...1....68..85...1..9....4.."

COMPLETE = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    board = np.array([[0 if mark == "." else int(mark) for mark in HARD]], dtype=np.uint8)
    (solution,) = search(candidates(board), limit=1, keeps_solutions=True).solutions()
    path = tmp_path / "seeds.npz"
    write_archive(path, Grids(board, solution), guesses=np.zeros(1, np.float32))
    return path


@pytest.mark.slow
def test_sudokus_are_written_as_training_reads_them(
    tmp_path: Path, seeds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "train_hard_made.npz"
    table = tmp_path / "others.tsv"
    table.write_text(f"puzzle\tsolution\n.\t{COMPLETE}\n")
    arguments = ["sudoku-9x9", "--seeds", str(seeds), "--exclude", str(table), str(seeds)]
    arguments += ["--output", str(output), "--count", "2", "--min-guesses", "5"]
    assert main([*arguments, "--minutes", "1"]) == 0
    told = json.loads(capsys.readouterr().out)
    made = read_archive(output)
    assert told["count"] == len(made.puzzles) == 2
    assert np.load(output)["guesses"].min() >= 5
    assert not (made.solutions == read_archive(seeds).solutions).all(axis=1).any()
    source = SudokuFiles(tmp_path, max_rating=2.6, hard_share=0.3)
    drawn = source.draw(8, 0.5, np.random.default_rng(0))
    family = puzzles.family("sudoku")
    for givens, targets in zip(drawn.givens, drawn.targets, strict=True):
        text = "".join("." if token == 1 else str(token - 1) for token in givens)
        assert family.check(family.parse_text(text), targets[0])


def test_mazes_are_written_as_training_reads_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "made_train.npz"
    assert main(["maze-8x8", "--output", str(output), "--count", "5"]) == 0
    assert json.loads(capsys.readouterr().out)["count"] == 5
    task = puzzles.task("maze-8x8")
    assert Mazes(task, tmp_path).draw(3, 0.0, np.random.default_rng(0)).givens.shape == (3, 64)
    archive = np.load(output)
    differs = archive["inputs"] != archive["labels"]
    assert (archive["inputs"][differs] == 2).all()
    assert (archive["labels"][differs] == 5).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nqueens-8", "--from", "/nowhere.txt"], "nowhere"),
        (["maze-0x0"], "no maze task"),
        (["sudoku-9x9", "--seeds", "/nowhere.npz"], "nowhere"),
    ],
)
def test_what_cannot_be_made_is_said_in_a_sentence(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--output", str(tmp_path / "out.npz")]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("solution", ["", "123", COMPLETE[:-1] + "8", "0" * 81])
def test_tables_without_complete_boards_are_refused(
    solution: str, seeds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "others.tsv"
    table.write_text(f"puzzle\tsolution\n.\t{solution}\n")
    arguments = ["sudoku-9x9", "--output", str(tmp_path / "out.npz"), "--exclude", str(table)]
    assert main([*arguments, "--seeds", str(seeds)]) == 2
    assert "no sudoku" in capsys.readouterr().err


def test_folders_without_sudokus_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train_hard\*\.npz"):
        SudokuFiles(tmp_path, max_rating=2.6, hard_share=0.3)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("futoshiki-5x5", "5:0,0,0,0,0L,0D,0L,3D,0,0,0,0,0D,0,0,0,0U,0,0,3,0,0,0,0,0U,"),
        ("jigsaw-6x6", "6j:3_1a6b6v1b2a6_4,adaa__b_a_a_cadbdd____baab"),
    ],
)
def test_puzzles_of_any_family_are_solved_and_written_as_training_reads_them(
    name: str, code: str, tmp_path: Path
) -> None:
    listed, made = tmp_path / "listed.txt", tmp_path / "made.npz"
    # The second line has more than one answer, and is left out.
    listed.write_text(f"{code}\n{code.replace('3', '0', 1) if 'j' not in code else code}\n")
    assert main([name, "--from", str(listed), "--output", str(made)]) == 0
    task = puzzles.task(name)
    family = puzzles.family(task.family)
    source = training_source(task, made, Recipe())
    examples = source.draw(4, 0.0, np.random.default_rng(1))
    graphs = [None] * 4 if examples.adjacency is None else examples.adjacency
    for givens, targets, graph in zip(examples.givens, examples.targets, graphs, strict=True):
        instance = family.instance_of(task, Encoded(givens, graph))
        assert family.check(instance, targets[0])
        assert len([*family.enumerate(instance, limit=2)]) == 1


def test_puzzles_with_one_answer_are_made_for_any_family(tmp_path: Path) -> None:
    made = tmp_path / "made.npz"
    assert main(["light-up-4x4", "--count", "3", "--output", str(made)]) == 0
    assert np.load(made)["labels"].shape == (3, 16)
