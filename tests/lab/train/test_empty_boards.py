"""Targets for boards without givens: valid, and near what the trajectory answers."""

from dataclasses import replace

import numpy as np
import pytest

from gram_core import puzzles
from gram_core.config import preset
from gram_core.errors import ConfigError
from gram_core.puzzles import BLANK, FIRST_VALUE, PAD
from gram_lab.train.empty_boards import Completion, EmptyBoards
from gram_lab.train.recipe import Depths, Recipe, choices
from gram_lab.train.rollout import Rollout
from gram_lab.train.sources import training_source
from gram_lab.train.trainer import Budget, Execution, Trainer

SUDOKU = puzzles.task("sudoku-9x9")


def scores_of(digits: np.ndarray, strength: float) -> np.ndarray:
    scores = np.random.default_rng(0).gumbel(size=(81, 9))
    scores[np.arange(81), digits] += strength
    return scores


def valid_digits() -> np.ndarray:
    rows, columns = np.divmod(np.arange(81), 9)
    digits: np.ndarray = (3 * (rows % 3) + rows // 3 + columns) % 9
    return digits


def is_valid(tokens: np.ndarray) -> bool:
    grid = tokens.reshape(9, 9).astype(int) - FIRST_VALUE
    boxes = grid.reshape(3, 3, 3, 3).swapaxes(1, 2).reshape(9, 9)
    return all(set(line) == set(range(9)) for part in (grid, grid.T, boxes) for line in part)


@pytest.mark.parametrize("seed", range(20))
def test_every_completion_is_a_valid_board(seed: int) -> None:
    scores = np.random.default_rng(seed).gumbel(size=(81, 9))
    assert is_valid(Completion(SUDOKU).nearest(scores))


def test_a_valid_answer_is_its_own_completion() -> None:
    digits = valid_digits()
    found = Completion(SUDOKU).nearest(scores_of(digits, 30.0))
    np.testing.assert_array_equal(found, digits + FIRST_VALUE)


def test_a_few_wrong_cells_are_put_right_and_the_others_kept() -> None:
    digits = valid_digits()
    wrong = digits.copy()
    wrong[[3, 40, 77]] = (wrong[[3, 40, 77]] + 1) % 9
    scores = scores_of(wrong, 30.0)
    scores[[3, 40, 77]] -= 20.0
    found = Completion(SUDOKU).nearest(scores) - FIRST_VALUE
    assert (found == digits).mean() > 0.95


def test_boards_whose_rules_are_no_permutations_are_refused() -> None:
    with pytest.raises(ConfigError, match="permutation"):
        Completion(puzzles.task("nqueens-8"))


def test_targets_appear_after_the_first_step_and_are_valid() -> None:
    source = EmptyBoards(SUDOKU)
    recipe = Recipe(num_rows=4, prior_share=1.0, depths=(Depths(until=1.0, num_steps=4),))
    config = replace(preset("tiny", SUDOKU), initial_state="random")
    run = Trainer(config, source, recipe, budget=Budget(updates=3), execution=Execution(), seed=0)
    (rows,) = run.rollouts
    assert isinstance(rows, Rollout)
    rows.step[:] = 0
    assert (rows.rows.targets == PAD).all()
    assert (rows.rows.givens == BLANK).all()
    run.update(0.0)
    targets = rows.rows.targets[:, 0].numpy()
    assert all(is_valid(target) for target in targets)
    assert len({target.tobytes() for target in targets}) == 4, "z_0 is random"


def test_posterior_rows_are_shown_drawn_boards() -> None:
    recipe, _ = choices(SUDOKU, purpose="generate", recipe="gram")
    source = training_source(SUDOKU, None, recipe, purpose="generate")
    examples = source.draw(6, 0.0, np.random.default_rng(0))
    assert (examples.givens == BLANK).all()
    assert all(is_valid(target) for target in examples.targets[:, 0])
    assert len({target.tobytes() for target in examples.targets}) == 6
    assert isinstance(source, EmptyBoards)
    assert not source.followed_steps
    ours, _ = choices(SUDOKU, purpose="generate")
    source = training_source(SUDOKU, None, ours, purpose="generate")
    assert (source.draw(6, 0.0, np.random.default_rng(0)).targets == PAD).all()
