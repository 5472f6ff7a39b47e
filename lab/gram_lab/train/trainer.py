"""The training loop: one optimiser step after another, until the budget is used.

Measures prior rollouts from the first update, because posterior accuracy says nothing about
inference. Needs only torch, numpy and safetensors.
"""

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from gram_core.checkpoint import load_model
from gram_core.config import GramConfig
from gram_core.errors import CheckpointError, ConfigError
from gram_core.model import Gram
from gram_core.puzzles import BLANK, Task
from gram_lab.data.examples import NUM_AUXILIARY, Source
from gram_lab.train import ranks
from gram_lab.train.denoising import Episodes, denoising_step
from gram_lab.train.losses import StepLoss, heads_loss, num_charged, step_loss
from gram_lab.train.optimizer import Ema, optimizers, set_rate
from gram_lab.train.recipe import Recipe
from gram_lab.train.rollout import Rollout

AUXILIARY = "auxiliary."
"""Prefix of the weights of the auxiliary head."""


class Budget:
    """A budget of minutes, summed over interruptions, or of updates."""

    def __init__(self, *, minutes: float | None = None, updates: int | None = None) -> None:
        """Take exactly one of the two."""
        if (minutes is None) == (updates is None):
            raise ConfigError("minutes", minutes, "set exactly one of minutes and updates")
        for name, amount in (("minutes", minutes), ("updates", updates)):
            if amount is not None and amount <= 0:
                raise ConfigError(name, amount, "leaves no time for an update")
        self._minutes, self._updates = minutes, updates
        self.resume(0.0)

    def resume(self, used_s: float) -> None:
        """Restart the clock, with that many seconds already used."""
        self._used_before_s = used_s
        self.begin()

    def begin(self) -> None:
        """Take no time for what was made ready since the clock was restarted."""
        self._start_s = time.monotonic() - self._used_before_s

    @property
    def used_s(self) -> float:
        return time.monotonic() - self._start_s

    def progress(self, num_updates: int) -> float:
        """Return the used share in 0..1."""
        if self._updates is not None:
            return min(1.0, num_updates / self._updates)
        assert self._minutes is not None
        return min(1.0, self.used_s / (60.0 * self._minutes))


class RunningMetrics:
    """Collects figures of updates; ``take`` averages and resets."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._counts: list[Sequence[int]] = []

    def add(self, losses: Tensor, ended: Sequence[int]) -> None:
        """Add one update, without waiting for the device.

        ``losses`` are loss, cross-entropy and divergence of this rank's rows, (3,); ``ended`` are
        the counts of ``Ended`` for all rows.
        """
        losses = ranks.total(losses)
        if ranks.is_first():
            self._losses.append(losses)
            self._counts.append(ended)

    def take(self) -> dict[str, float]:
        """Return the means since the last call; shares are NaN where nothing ended."""
        loss, cross_entropy, divergence = torch.stack(self._losses).mean(dim=0).tolist()
        prior, prior_solved, posterior, posterior_solved = (
            sum(row[part] for row in self._counts) for part in range(4)
        )
        self._losses.clear()
        self._counts.clear()
        return {
            "loss": loss,
            "cross_entropy": cross_entropy,
            "kl_nats": divergence,
            "prior_solved": prior_solved / prior if prior else float("nan"),
            "posterior_solved": posterior_solved / posterior if posterior else float("nan"),
            "ended": prior + posterior,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How arithmetic is run; changes speed only."""

    device: str = "cpu"
    is_bf16: bool = False
    """Run matrix products in bfloat16 under autocast."""
    is_compiled: bool = False
    num_parts: int = 1
    """Backward passes that a rank's rows are split into, one after another: takes less memory."""


class Trainer:
    """Trains one model on one source, or on one for each of several sizes of the same puzzle."""

    def __init__(
        self,
        config: GramConfig,
        source: Source,
        recipe: Recipe,
        *,
        budget: Budget,
        execution: Execution,
        seed: int,
        others: Sequence[Source] = (),
    ) -> None:
        """``others`` are sources of other sizes; an update takes one size, often a larger one."""
        num_parts = ranks.count() * execution.num_parts
        if num_parts < 1 or recipe.num_rows % (num_parts * recipe.num_siblings):
            factors = f"{ranks.count()} processes x {execution.num_parts} parts x num_siblings"
            raise ConfigError("num_rows", recipe.num_rows, f"must be a multiple of {factors}")
        torch.manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        self.source, self.recipe, self.execution = source, recipe, execution
        self.model = Gram(config, source.task.units).to(execution.device)
        if recipe.shares_stack and config.recursion == "hierarchical":
            self.model.high = self.model.low
        if recipe.auxiliary_weight:
            self.model.auxiliary = nn.Linear(config.dim, NUM_AUXILIARY, device=execution.device)
        self.ema = Ema(self.model, copy.deepcopy(self.model), recipe.ema_decay)
        self.optimizers = optimizers(self.model, recipe)
        heads = [*self.model.halt.parameters(), *self.model.value.parameters()]
        body = [each for each in self.model.parameters() if all(each is not own for own in heads)]
        self._gradients = ranks.Gradients(body, uses_all=False)
        self._head_gradients = ranks.Gradients(heads, uses_all=True)
        self.generator = torch.Generator(execution.device).manual_seed(seed)
        self.sources = (source, *others)
        begin = Episodes if recipe.curriculum == "denoising" else Rollout
        self.rollouts: list[Rollout | Episodes] = [
            begin(resized(self.model, each.task), each, recipe, self.rng) for each in self.sources
        ]
        sizes = np.array([each.task.size for each in self.sources])
        self._shares = sizes / sizes.sum()
        self.num_updates = 0
        self.budget, self.metrics = budget, RunningMetrics()
        self._step, self._denoising_step = step_loss, denoising_step
        if execution.is_compiled:
            # Each size is compiled on its own.
            torch._dynamo.config.recompile_limit = 8 * len(self.sources)
            self._step = torch.compile(step_loss, dynamic=False)
            self._denoising_step = torch.compile(denoising_step, dynamic=False)

    def start_from(self, checkpoint: Path) -> None:
        """Load the weights of a checkpoint with the same parameters.

        Raises:
            CheckpointError: it cannot be read, or is for another architecture.
        """
        weights = load_model(checkpoint, self.execution.device).model.state_dict()
        own = self.model.state_dict()
        weights |= {name: own[name] for name in own if name.startswith(AUXILIARY)}
        try:
            self.model.load_state_dict(weights)
        except RuntimeError as error:
            raise CheckpointError(
                f"{checkpoint} has another architecture than this run: choose the same sizes"
            ) from error
        self.ema.averaged.load_state_dict(weights)

    def averaged(self) -> Gram:
        """Return a copy of the averaged model, without what is needed for training alone."""
        model = copy.deepcopy(self.ema.averaged)
        model._modules.pop(AUXILIARY.rstrip("."), None)
        return model

    def run(self) -> Iterator[float]:
        """Train, yielding the used share of the budget after every update."""
        self.budget.begin()
        progress = self._progress()
        while progress < 1.0:
            self.update(progress)
            progress = self._progress()
            yield progress

    def _progress(self) -> float:
        return ranks.agreed(self.budget.progress(self.num_updates))

    def update(self, progress: float) -> None:
        """Run the supervision steps of one update for every row, and one optimiser step."""
        rollout = self.rollouts[self.rng.choice(len(self.rollouts), p=self._shares)]
        if isinstance(rollout, Episodes):
            self._denoise(rollout, progress)
        else:
            self._roll_out(rollout, progress)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        for optimizer in self.optimizers:
            set_rate(optimizer, self.recipe, progress)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.ema.update(self.num_updates)
        self.num_updates += 1

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.execution.device, torch.bfloat16, enabled=self.execution.is_bf16)

    def _parts(self) -> list[slice]:
        """Return which of this rank's rows each backward pass of an update takes."""
        number = self.execution.num_parts
        size = self.recipe.num_rows // (ranks.count() * number)
        return [slice(part * size, (part + 1) * size) for part in range(number)]

    def _roll_out(self, rollout: Rollout, progress: float) -> None:
        """Run one supervision step and its backward pass."""
        config, recipe = rollout.model.config, self.recipe
        shape = (config.num_transitions, recipe.num_rows, config.num_tokens, config.dim)
        draws = torch.randn(shape, generator=self.generator, device=self.execution.device)
        draws = draws[:, ranks.own(recipe.num_rows)]
        totals = ranks.total(num_charged(rollout.part(slice(None))[1]))
        steps: list[StepLoss] = []

        def loss(rows: slice) -> Tensor:
            with self._autocast():
                step = self._step(
                    rollout.model, *rollout.part(rows), draws[:, rows], recipe, totals
                )
            steps.append(step)
            return step.loss

        # Before the rollout refills its rows in place, which the graph still holds.
        self._gradients.add([partial(loss, rows) for rows in self._parts()])
        ended = rollout.advance(steps, progress)
        counts = torch.tensor([*ended[:4], len(ended.accuracy)])
        *numbers, num_steps = ranks.total(counts).tolist()
        if num_steps:
            share = recipe.heads_weight * (len(ended.accuracy) / num_steps)
            self._head_gradients.add([lambda: share * heads_loss(self.model, *ended[4:])])
        figures = [
            torch.stack((step.loss.detach(), step.cross_entropy, step.divergence)) for step in steps
        ]
        self.metrics.add(torch.stack(figures).sum(dim=0), numbers)

    def _denoise(self, episodes: Episodes, progress: float) -> None:
        """Run the steps of one update and their backward passes."""
        settings = self.recipe.denoising
        draws = [episodes.draws(self.generator) for _ in range(settings.num_backward_steps)]
        num_unknown = ranks.total((episodes.givens == BLANK).sum()).clamp(min=1)
        memories, means = [], []

        def loss(rows: slice) -> Tensor:
            high, answer, losses = episodes.high[rows], None, []
            puzzles = episodes.givens[rows], episodes.targets[rows]
            for ahead, drawn in enumerate(draws):
                values = episodes.values(answer, ahead, drawn, rows)
                with self._autocast():
                    high, one, answer = self._denoising_step(
                        episodes.model, high, *puzzles, values, num_unknown, settings.loss
                    )
                losses.append(one)
            memories.append(high.detach().float())
            mean = torch.stack(losses).mean()
            means.append(mean.detach())
            return mean

        self._gradients.add([partial(loss, rows) for rows in self._parts()])
        num_ended = episodes.advance(torch.cat(memories), progress)
        # There are neither KL nor prior rows.
        mean = torch.stack(means).sum()
        self.metrics.add(torch.stack((mean, mean, torch.zeros_like(mean))), (0, 0, num_ended, 0))


def resized(model: Gram, task: Task) -> Gram:
    """Return the model for another size of its puzzle; both have the same parameters."""
    if task.length == model.config.length:
        return model
    other = Gram(model.config.resized(task), task.units).to(model.z0_high.device)
    for name, module in other.named_modules():
        module._parameters = model.get_submodule(name)._parameters
    other.z0_high, other.z0_low = model.z0_high, model.z0_low
    return other
