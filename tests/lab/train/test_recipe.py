"""Recipes and architectures by name, and what a setting may change."""

import json
from pathlib import Path

import pytest
import torch

from gram_core import puzzles
from gram_core.catalog import Purpose, shipped_models
from gram_core.checkpoint import count_parameters
from gram_core.config import preset
from gram_core.errors import ConfigError, CoreError
from gram_core.flops import step_flops
from gram_core.model import Gram
from gram_lab.evaluate import published
from gram_lab.train.command import parser
from gram_lab.train.recipe import choices, read_recipe, recipe_names

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


def told(text: str, tmp_path: Path) -> str:
    """Write a recipe of one's own."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return str(path)


# Tables of arXiv 2605.19376: beta, K, of each task; the rest is common.
PAPER = {
    "sudoku-9x9": (0.1, 6),
    "nqueens-8": (0.07, 4),
    "nqueens-10": (0.045, 4),
    "graph-coloring-8": (0.5, 4),
    "graph-coloring-10": (0.45, 4),
}


@pytest.mark.parametrize("name", PAPER)
def test_the_recipe_of_gram_has_the_numbers_of_the_paper(name: str) -> None:
    task = puzzles.task(name)
    chosen, config = choices(task, recipe="gram")
    assert (chosen.beta, config.num_inner_steps) == PAPER[name]
    assert (config.num_transitions, config.num_supervision_steps) == (3, 16)
    assert chosen.num_steps(0.0) == chosen.num_steps(1.0) == chosen.default_depth == 16
    assert (config.dim, config.num_heads, config.ffn_dim, config.guidance_dim) == (512, 8, 512, 512)
    assert (config.num_low_blocks, config.num_high_blocks, config.guidance) == (2, 2, "learned")
    assert (chosen.num_rows, chosen.optimizer, chosen.learning_rate) == (768, "adamw", 1e-4)
    assert (chosen.weight_decay, chosen.clip, chosen.ema_decay) == (1.0, 1.0, 0.9999)
    # A constant rate, posterior rows alone, the KL of the last transition.
    assert (chosen.hold, chosen.warmup) == (1.0, 0.0)
    assert (chosen.prior_share, chosen.charges, chosen.aim) == (0.0, "last", "drawn")
    assert (config.mixer == "token") == (task.family == "sudoku")
    if task.family == "nqueens":
        assert config == preset("paper", task)


def test_boards_from_nothing_have_the_paper_s_own_beta_and_average() -> None:
    chosen, config = choices(SUDOKU, purpose="generate", recipe="gram")
    assert (chosen.beta, chosen.ema_decay, chosen.prior_share) == (0.05, 0.999, 0.0)
    assert (config.num_inner_steps, config.mixer) == (6, "token")


# Blocks, heads, hidden width, K, T, prefix tokens, average and updates in their code; and millions
# of parameters.
PEERS = {
    ("hrm", "sudoku-9x9"): (4, 8, 1536, 2, 2, 1, 0.0, 26_041, 27),
    ("hrm", "maze-30x30"): (4, 8, 1536, 2, 2, 1, 0.0, 26_041, 27),
    ("trm-mlp", "sudoku-9x9"): (2, 8, 1536, 6, 3, 16, 0.999, 65_104, 5),
    ("trm-attention", "sudoku-9x9"): (2, 8, 1536, 6, 3, 16, 0.999, 65_104, 7),
    ("trm-attention", "maze-30x30"): (2, 8, 1536, 4, 3, 16, 0.999, 65_104, 7),
    ("eqr", "sudoku-9x9"): (2, 8, 1536, 6, 3, 0, 0.999, 50_000, 5),
}


@pytest.mark.parametrize(("name", "task_name"), PEERS)
def test_recipes_of_peers_have_the_numbers_of_their_code(name: str, task_name: str) -> None:
    task = puzzles.task(task_name)
    chosen, config = choices(task, recipe=name)
    assert (
        config.num_low_blocks,
        config.num_heads,
        config.ffn_dim,
        config.num_inner_steps,
        config.num_transitions,
        config.num_prefix_tokens,
        chosen.ema_decay,
        chosen.num_updates,
    ) == PEERS[name, task_name][:-1]
    assert (config.dim, chosen.num_rows, chosen.depths[0].num_steps) == (512, 768, 16)
    assert (chosen.learning_rate, chosen.weight_decay, chosen.hold) == (1e-4, 1.0, 1.0)
    assert chosen.warmup * PEERS[name, task_name][-2] == pytest.approx(2000, rel=1e-2)
    assert (chosen.prior_share, chosen.shares_stack) == (1.0, name != "hrm")
    with torch.device("meta"):
        model = Gram(config, task.units)
    if chosen.shares_stack:
        model.high = model.low
    assert round(count_parameters(model) / 1e6) == PEERS[name, task_name][-1]


def test_eqr_begins_anywhere_and_moves_by_damped_steps_with_little_noise() -> None:
    _, config = choices(SUDOKU, recipe="eqr")
    assert (config.initial_state, config.damping, config.guidance) == ("random", 0.05, "noise")
    assert config.sigma_min == pytest.approx(0.01, rel=2e-3)
    assert config.sigma_max == pytest.approx(0.01, rel=2e-3)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_tells_its_source_and_figures(name: str) -> None:
    file = read_recipe(name)
    assert file["source"]
    table = json.loads(Path(published.__file__).with_suffix(".json").read_text())
    for task_name, part in file["tasks"].items():
        purpose: Purpose = "generate" if task_name == "generate" else "solve"
        if task_name in puzzles.families():
            assert not {"published", "measured"} & set(part)
            continue
        choices(
            SUDOKU if purpose == "generate" else puzzles.task(task_name),
            purpose=purpose,
            recipe=name,
        )
        for row in (*part["published"], *part["measured"]):
            assert set(row) == {"figure", "value", "width", "depth", "source"}
        # The rows of the evaluation's tables say the same.
        known = {
            (figure, value)
            for row in table.get(task_name, ())
            for figure, value in row["figures"].items()
        }
        for row in part["published"] if known else ():
            assert any(
                row["figure"] == figure and row["value"] == pytest.approx(value)
                for figure, value in known
            )


def test_the_runs_of_the_shipped_weights_are_commands_that_train() -> None:
    for name, part in read_recipe("ours")["tasks"].items():
        for run in part.get("runs", ()):
            options = parser().parse_args([name, "--output", "runs/1", *run.split()])
            task = SUDOKU if name == "generate" else puzzles.task(name)
            choices(task, settings=options.set)
    shipped = {
        "generate" if info.purpose == "generate" else info.task
        for info in shipped_models()
        if not info.is_late
    }
    assert shipped == {
        name for name, part in read_recipe("ours")["tasks"].items() if "runs" in part
    }


def test_a_longer_side_takes_more_steps_and_fewer_rows() -> None:
    found = {
        name: choices(puzzles.task(name))[0]
        for name in ("maze-5x5", "maze-8x8", "maze-16x9", "maze-30x30")
    }
    assert [
        (each.num_rows, each.num_steps(1.0), each.default_depth) for each in found.values()
    ] == [
        (64, 8, 16),
        (64, 8, 16),
        (32, 16, 32),
        (17, 30, 60),
    ]


def test_a_file_of_one_s_own_is_a_recipe(tmp_path: Path) -> None:
    mine = told(
        'preset = "small"\nnum_rows = 12\ndepths = [[0.25, 2], [1.0, 5]]\n'
        "[tasks.nqueens]\ndim = 48\nbeta = 0.5\n[tasks.nqueens-8]\nbeta = 0.25\n",
        tmp_path,
    )
    chosen, config = choices(QUEENS, recipe=mine, settings=("num_rows=6",))
    assert (chosen.num_rows, chosen.beta, config.dim) == (6, 0.25, 48)
    assert [chosen.num_steps(progress) for progress in (0.1, 0.9)] == [2, 5]
    assert choices(SUDOKU, recipe=mine)[0].beta == 0.1


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("learning_rates = 1.0", "learning_rates"),
        ('learning_rate = "fast"', "learning_rate"),
        ("num_rows = 0", "num_rows"),
        ("num_rows = 1.5", "num_rows"),
        ('aim = "far"', "drawn, nearest, matched"),
        ("hold = 1.5", "hold"),
        ("depths = [3, 4]", "depths"),
        ("depths = []", "depths"),
        ("denoising = 4", "denoising"),
        ("num_updates = 0", "num_updates"),
        ("[tasks.sudoku-9x]\nbeta = 0.2", "sudoku-9x"),
        ("[tasks]\nsudoku = 4", "tasks.sudoku"),
        ("shares_stack = true\nnum_low_blocks = 2", "shares_stack"),
        ('curriculum = "denoising"', "guidance"),
        ('guidance = "input"', "guidance"),
        ("beta = ", "recipe"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(text: str, word: str, tmp_path: Path) -> None:
    with pytest.raises(CoreError, match=word):
        choices(
            SUDOKU,
            recipe=told(
                f"{text}\n" if "tasks" in text else f'{text}\npreset = "small"\n', tmp_path
            ),
        )


def test_a_recipe_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match=r"eqr, gram, hrm, ours, trm-attention, trm-mlp"):
        choices(SUDOKU, recipe="graham")


@pytest.mark.parametrize(
    "settings",
    [
        ("mixer=attention",),
        ("mixer=token",),
        ('head_kinds=["any", "any", "near", "any"]',),
        ("mixer=attention", "recursion=flat"),
        ("curriculum=denoising",),
    ],
)
def test_what_cannot_see_a_graph_is_refused(settings: tuple[str, ...]) -> None:
    graph = puzzles.task("graph-coloring-8")
    with pytest.raises(ConfigError, match="graph"):
        choices(graph, settings=settings)
    assert "edge" in choices(graph)[1].head_kinds
    assert "edge" in preset("paper", graph).head_kinds
    with pytest.raises(ConfigError, match="no graph"):
        choices(QUEENS, settings=('head_kinds=["any", "any", "any", "edge"]',))
