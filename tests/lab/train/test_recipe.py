"""Recipes and architectures by name, and what a setting may change."""

import pytest

from gram_core import puzzles
from gram_core.errors import ConfigError
from gram_core.flops import step_flops
from gram_core.puzzles.base import Task
from gram_lab.comparison import update_flops, variants
from gram_lab.train.recipe import Recipe, choices

SUDOKU = puzzles.task("sudoku-9x9")
QUEENS = puzzles.task("nqueens-8")


def test_a_setting_changes_the_recipe_or_the_architecture_by_field_name() -> None:
    chosen, config = choices(QUEENS, settings=("dim=96", "ffn_dim=192", "learning_rate=0.5"))
    assert (config.dim, config.ffn_dim, chosen.learning_rate) == (96, 192, 0.5)
    assert choices(QUEENS)[1].dim != 96


def test_words_and_depths_are_settings_too() -> None:
    chosen, config = choices(QUEENS, settings=("aim=matched", "num_siblings=4", "depths=5"))
    assert (chosen.aim, chosen.num_siblings) == ("matched", 4)
    assert chosen.num_steps(0.0) == chosen.num_steps(1.0) == 5
    assert config == choices(QUEENS)[1]


@pytest.mark.parametrize("text", ["dimension=64", "dim", "dim=63", "mixer=magic"])
def test_a_setting_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        choices(SUDOKU, settings=(text,))


def test_the_deterministic_twin_has_no_posterior_rows_and_a_stored_z0() -> None:
    for named in (choices(QUEENS, guidance="none"), choices(QUEENS, settings=("guidance=none",))):
        chosen, config = named
        assert chosen.prior_share == 1.0
        assert (config.guidance, config.initial_state) == ("none", "fixed")


def test_other_mixers_have_no_relational_heads() -> None:
    for mixer in ("attention", "token"):
        assert choices(SUDOKU, settings=(f"mixer={mixer}",))[1].head_kinds == ()


@pytest.mark.parametrize("task", [SUDOKU, QUEENS])
def test_every_variant_of_the_comparison_can_be_built_and_changes_something(task: Task) -> None:
    built = [choices(task, settings=settings) for settings in variants(task).values()]
    assert len(built) > 20
    assert [pair == choices(task) for pair in built] == [True] + [False] * (len(built) - 1)


def test_an_update_costs_its_forward_passes_and_twice_the_last_one_backward() -> None:
    chosen, config = choices(QUEENS, settings=("num_transitions=3", "num_rows=10"))
    expected = 10 * (3 + 2) / 3 * step_flops(config, QUEENS)
    assert update_flops(config, chosen, QUEENS) == pytest.approx(expected)
    assert isinstance(chosen, Recipe)
