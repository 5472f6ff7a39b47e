"""The denoising curriculum against its formulas, and on a task that it can learn in seconds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from gram_core import puzzles
from gram_core.config import GramConfig
from gram_core.errors import ConfigError
from gram_core.model import Gram
from gram_core.puzzles import BLANK, FIRST_VALUE
from gram_core.solve import rollout
from gram_lab.data.examples import Examples, augmented
from gram_lab.train.denoising import Episodes, denoising_step
from gram_lab.train.recipe import Denoising, DenoisingLoss, Recipe, choices
from gram_lab.train.sources import validate
from gram_lab.train.trainer import Budget, Execution, Trainer
from tests.lab.train.rank import assert_goes_on

TASK = puzzles.task("sudoku-4x4")
SETTINGS = ("curriculum=denoising", "num_inner_steps=3", "num_rows=32", "hard_share=0")
SIZES = ("dim=32", "ffn_dim=64", "guidance_dim=1")


BOARD = np.array([[1, 2, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]], dtype=np.uint8).ravel()


class Boards:
    """Images of one full board, every cell given with a probability of 60 %."""

    task = TASK
    max_targets = 1

    def draw(self, count: int, progress: float, rng: np.random.Generator) -> Examples:
        targets = np.tile(BOARD + np.uint8(BLANK), (count, 1))
        givens = np.where(rng.random(targets.shape) < 0.6, targets, np.uint8(BLANK))
        return augmented(Examples(givens, targets[:, None]), puzzles.family("sudoku"), TASK, rng)


@pytest.fixture
def source() -> Boards:
    return Boards()


def chosen(*settings: str) -> tuple[Recipe, GramConfig]:
    return choices(TASK, settings=(*SETTINGS, *SIZES, *settings))


def trainer(
    source: Boards, *settings: str, updates: int = 4, seed: int = 0
) -> tuple[Trainer, Episodes]:
    recipe, config = chosen(*settings)
    made = Trainer(
        config, source, recipe, budget=Budget(updates=updates), execution=Execution(), seed=seed
    )
    (episodes,) = made.rollouts
    assert isinstance(episodes, Episodes)
    return made, episodes


def values_of(episodes: Episodes) -> torch.Tensor:
    draws = episodes.draws(torch.Generator().manual_seed(0))
    return episodes.values(None, 0, draws, slice(None))


def test_an_episode_goes_from_noise_to_the_target(source: Boards) -> None:
    _, episodes = trainer(source)
    target = functional.one_hot(episodes.targets - FIRST_VALUE, 4).float()
    for share, a, b in ((0.0, 0.0157, 0.9999), (0.5, 0.7071, 0.7071), (1.0, 0.9999, 0.0157)):
        episodes.step = np.round(share * (episodes.num_steps - 1)).astype(np.int64)
        values = values_of(episodes)
        weight = (values * target).sum() / target.sum()
        rest = values - a * target
        assert weight.item() == pytest.approx(a, abs=0.05)
        assert rest.std().item() == pytest.approx(b, abs=0.05)


def test_noise_that_stays_at_its_maximum_says_nothing_of_the_target(source: Boards) -> None:
    _, episodes = trainer(source, 'denoising={"noise": "fixed"}')
    episodes.step = episodes.num_steps - 1
    values = values_of(episodes)
    target = functional.one_hot(episodes.targets - FIRST_VALUE, 4).float()
    assert abs(((values * target).sum() / target.sum()).item()) < 0.15
    assert values.std().item() == pytest.approx(1.0, abs=0.05)


@pytest.mark.slow
def test_rows_are_out_of_step_and_keep_memory_until_their_episode_ends(
    source: Boards,
) -> None:
    run, episodes = trainer(source, updates=12)
    lengths = episodes.num_steps
    assert lengths.min() >= 20
    assert lengths.max() <= 160
    assert len(set(lengths)) > 8
    assert len(set(episodes.step / lengths)) > 8
    num_fresh = 0
    for _ in run.run():
        before, puzzle = episodes.step.copy(), episodes.givens.clone()
        if run.num_updates < 2:
            continue
        fresh = before == 0
        num_fresh += int(fresh.sum())
        assert (episodes.high[fresh] == 0).all()
        assert (episodes.high[~fresh].square().mean(dim=(1, 2)) > 0.5).all()
        assert torch.equal(puzzle, episodes.givens)
    assert num_fresh > 0
    assert (episodes.step < episodes.num_steps).all()


def test_given_cells_see_no_noise(source: Boards) -> None:
    run, episodes = trainer(source)
    embedding = run.model.encode(episodes.givens)
    is_unknown = episodes.givens == BLANK
    noisy = run.model.inject(embedding, torch.randn(*episodes.givens.shape, 4), is_unknown)
    assert torch.equal(noisy[~is_unknown], embedding[~is_unknown])
    assert (noisy[is_unknown] != embedding[is_unknown]).any(dim=-1).all()


@pytest.mark.parametrize("loss", ["squared", "cross-entropy"])
def test_only_unknown_cells_are_charged(source: Boards, loss: DenoisingLoss) -> None:
    run, episodes = trainer(source)
    values = values_of(episodes)

    def charged(targets: torch.Tensor) -> float:
        number = (episodes.givens == BLANK).sum()
        rows = episodes.high, episodes.givens, targets
        step = denoising_step(run.model, *rows, values, number, loss)
        return step.loss.item()

    shifted = (episodes.targets - FIRST_VALUE + 1) % 4 + FIRST_VALUE
    is_unknown = episodes.givens == BLANK
    right = charged(episodes.targets)
    assert charged(torch.where(is_unknown, episodes.targets, shifted)) == right
    assert charged(torch.where(is_unknown, shifted, episodes.targets)) != right


def test_noise_is_fresh_every_step_and_the_same_for_the_same_name(source: Boards) -> None:
    run, episodes = trainer(source)
    givens = episodes.givens[:1].expand(3, -1)
    seed, trajectory = torch.tensor([5, 5, 5]), torch.tensor([0, 0, 1])
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        first, second = rollout(run.model, givens, seed, trajectory, depth=2)
    assert torch.equal(first.logits[0], first.logits[1])
    assert not torch.equal(first.logits[0], first.logits[2])
    assert not torch.equal(first.logits[0], second.logits[0])


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["annealed", "fed-back", "drawn"])
def test_a_resumed_run_ends_with_the_same_weights_bit_for_bit(
    source: Boards, tmp_path: Path, noise: str
) -> None:
    setting = f'denoising={{"noise": "{noise}", "max_steps": 24}}'
    whole, resumed = (trainer(source, setting, updates=7, seed=seed)[0] for seed in (0, 3))
    assert_goes_on(whole, resumed, tmp_path, at=3)


@pytest.mark.slow
def test_single_trajectories_of_pure_noise_learn_to_solve(source: Boards) -> None:
    torch.set_num_threads(1)
    short = 'denoising={"num_backward_steps": 2, "min_steps": 8, "max_steps": 20}'
    run, _ = trainer(source, "num_rows=16", "num_inner_steps=2", "hold=0.3", short, updates=150)
    examples = source.draw(24, 1.0, np.random.default_rng(5))

    def solved(model: Gram) -> float:
        return validate(model, TASK, examples, width=2, depth=16).valid

    before = solved(run.ema.averaged)
    for _ in run.run():
        pass
    assert before < 0.3
    assert solved(run.ema.averaged) > before + 0.4


def test_settings_without_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="num_backward_steps"):
        Denoising(num_backward_steps=32)
    with pytest.raises(ConfigError, match="must be JSON"):
        chosen("denoising=fixed")
    with pytest.raises(ConfigError, match="denoising"):
        chosen('denoising={"noize": "fixed"}')
    _, config = chosen()
    with pytest.raises(ConfigError, match="recursion"):
        replace(config, recursion="hierarchical")
