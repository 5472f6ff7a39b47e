"""Generated instances: numbers that are known, solutions that hold, and a split without leaks."""

from itertools import islice

import numpy as np
import pytest

from gram_core import puzzles
from gram_core.puzzles import BLANK, PAD, Encoded
from gram_lab.data.examples import Examples, augmented
from gram_lab.data.pools import (
    Pool,
    PooledSource,
    QueensSource,
    _position_symmetries,
    _small_sudoku_solutions,
    is_held_out,
    make_pool,
    queens_solutions,
)
from gram_lab.data.sudoku_boards import boards, pattern_key


def pools(name: str) -> tuple[Pool, Pool]:
    task = puzzles.task(name)
    return make_pool(task, "train"), make_pool(task, "held_out")


def test_the_queens_inputs_are_the_5148_of_the_paper() -> None:
    train, held_out = pools("nqueens-8")
    assert len(train.givens) + len(held_out.givens) == 5148
    assert 0.1 < len(held_out.givens) / 5148 < 0.2


def test_known_numbers_of_solutions() -> None:
    assert [len(queens_solutions(n)) for n in (1, 4, 5, 6, 7, 8)] == [1, 2, 10, 4, 40, 92]
    assert len(_small_sudoku_solutions()) == 288


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nqueens-8", "nqueens-11"])
def test_no_held_out_board_is_a_symmetric_image_of_a_training_board(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gram_lab.data.pools.NUM_DRAWN_QUEENS", 400)
    train, held_out = pools(name)
    assert len(held_out.givens) > 20
    seen = {row.tobytes() for row in train.givens}
    for positions in _position_symmetries(puzzles.task(name)):
        assert not any(row[positions].tobytes() in seen for row in held_out.givens)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nqueens-8", "graph-coloring-6"])
def test_every_target_solves_its_instance(name: str) -> None:
    task = puzzles.task(name)
    pool = make_pool(task, "held_out")
    family = puzzles.family(task.family)
    for row in range(0, len(pool.givens), 17):
        present = [target for target in pool.targets[row] if target[0] != PAD]
        assert len({target.tobytes() for target in present}) == len(present)
        if pool.adjacency is not None:
            edges = np.argwhere(np.triu(pool.adjacency[row])).tolist()
            instance = family.parse({"vertices": task.size, "edges": edges, "colors": 3})
        else:
            queens = [divmod(int(cell), 8) for cell in np.flatnonzero(pool.givens[row] == 2)]
            instance = family.parse({"n": 8, "queens": [list(queen) for queen in queens]})
            assert len(list(family.enumerate(instance, limit=100))) == len(present)
        assert all(family.check(instance, target) for target in present)


def test_augmented_examples_keep_their_solutions() -> None:
    task = puzzles.task("sudoku-4x4")
    solutions = _small_sudoku_solutions()[:20]
    givens = np.where(np.arange(16) % 3 == 0, solutions, BLANK).astype(np.uint8)
    rng = np.random.default_rng(0)
    family = puzzles.family("sudoku")
    seen = augmented(Examples(givens, solutions[:, None]), family, task, rng)
    assert not np.array_equal(seen.givens, givens)
    for given, target in zip(seen.givens, seen.targets[:, 0], strict=True):
        text = "".join("." if token == BLANK else str(token - 1) for token in given)
        assert family.check(family.parse_text(text), target)


def test_the_drawn_target_is_uniform_over_all_solutions() -> None:
    solutions = queens_solutions(4)
    examples = QueensSource(puzzles.task("nqueens-4")).draw(4000, 0.0, np.random.default_rng(1))
    is_empty = (examples.givens == BLANK).all(axis=1)
    assert 0.08 < is_empty.mean() < 0.12
    share = (examples.targets[is_empty, 0] == solutions[0]).all(axis=1).mean()
    assert 0.4 < share < 0.6


@pytest.mark.slow
def test_queens_are_drawn_with_solutions_that_keep_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gram_lab.data.pools.MAX_LISTED_QUEENS", 6)
    monkeypatch.setattr("gram_lab.data.pools.MAX_QUEENS_TARGETS", 9)
    monkeypatch.setattr("gram_lab.data.pools.NUM_DRAWN_QUEENS", 200)
    family = puzzles.family("nqueens")
    task = puzzles.task("nqueens-7")
    examples = QueensSource(task).draw(60, 0.0, np.random.default_rng(2))
    numbers = set()
    for givens, targets in zip(examples.givens, examples.targets, strict=True):
        instance = family.instance_of(task, Encoded(tokens=givens))
        present = [target for target in targets if target[0] != PAD]
        total = len(list(family.enumerate(instance, limit=50)))
        assert len({target.tobytes() for target in present}) == min(9, total)
        assert all(family.check(instance, target) for target in present)
        numbers.add(len(instance.queens))
    assert {0, 2, 3} <= numbers <= {0, 1, 2, 3}


@pytest.mark.slow
def test_6x6_boards_come_with_all_of_their_solutions() -> None:
    family = puzzles.family("sudoku")
    numbers = []
    for board in islice(boards(np.random.default_rng(3)), 60):
        digits = "".join("." if token == BLANK else str(token - 1) for token in board.givens)
        exact = family.enumerate(family.parse_text(digits), limit=1000)
        assert {row.tobytes() for row in board.solutions} == {row.tobytes() for row in exact}
        numbers.append(len(board.solutions))
    assert {1, 2} < set(numbers)
    assert max(numbers) <= 64


def test_6x6_pools_are_split_by_a_key_that_symmetric_boards_share() -> None:
    task = puzzles.task("sudoku-6x6")
    family = puzzles.family("sudoku")
    rng = np.random.default_rng(4)
    keys = set()
    for board in islice(boards(rng), 40):
        key = pattern_key(board.givens)
        keys.add(key)
        views = [family.symmetry(task, rng) for _ in range(5)]
        assert {pattern_key(view.apply(board.givens)) for view in views} == {key}
    # The key tells boards apart: few of forty share a pattern up to symmetry.
    assert len(keys) > 30


@pytest.mark.slow
def test_6x6_boards_are_generated_for_their_side_of_the_split(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gram_lab.data.pools.NUM_MIDDLE_SUDOKU", {"held_out": 40})
    task = puzzles.task("sudoku-6x6")
    held_out = make_pool(task, "held_out")
    assert all(is_held_out(pattern_key(row)) for row in held_out.givens)
    assert len(held_out.givens) == 40
    drawn = PooledSource(task, held_out).draw(20, 0.0, np.random.default_rng(0))
    family = puzzles.family("sudoku")
    for givens, targets in zip(drawn.givens, drawn.targets, strict=True):
        text = "".join("." if token == BLANK else str(token - 1) for token in givens)
        present = [target for target in targets if target[0] != PAD]
        assert present
        assert all(family.check(family.parse_text(text), target) for target in present)
