"""Recipes and architectures by name, and what a setting may change."""

import pytest

from gram_core import puzzles
from gram_core.errors import ConfigError
from gram_core.flops import step_flops
from gram_lab.train.recipe import choices

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
    chosen, config = choices(QUEENS, settings=("guidance=none",))
    assert chosen.prior_share == 1.0
    assert (config.guidance, config.initial_state) == ("none", "fixed")


def test_an_update_costs_its_forward_passes_and_twice_those_with_a_gradient() -> None:
    chosen, config = choices(QUEENS, settings=("num_transitions=3", "num_rows=10"))
    expected = 10 * (3 + 2) / 3 * step_flops(config, QUEENS)
    assert chosen.update_flops(config, QUEENS) == pytest.approx(expected)
    chosen, config = choices(SUDOKU, settings=("curriculum=denoising", "num_rows=10"))
    assert config.num_transitions == 1
    expected = 10 * 4 * (1 + 2) * step_flops(config, SUDOKU)
    assert chosen.update_flops(config, SUDOKU) == pytest.approx(expected)


def test_other_mixers_have_no_relational_heads() -> None:
    for mixer in ("attention", "token"):
        assert choices(SUDOKU, settings=(f"mixer={mixer}",))[1].head_kinds == ()
