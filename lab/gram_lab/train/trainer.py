"""The training loop: one optimiser step after another, until the budget is used.

Measures prior rollouts from the first update, because posterior accuracy says nothing about
inference. Needs only torch, numpy and safetensors.
"""

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gram_core.checkpoint import load_model
from gram_core.config import GramConfig
from gram_core.errors import CheckpointError, ConfigError
from gram_core.model import Gram
from gram_core.puzzles import Task
from gram_lab.data.examples import Source
from gram_lab.train.denoising import Episodes, denoising_step
from gram_lab.train.losses import Weights, heads_loss, step_loss
from gram_lab.train.optimizer import Ema, optimizers, set_rate
from gram_lab.train.recipe import Recipe
from gram_lab.train.rollout import Rollout


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
        self._losses: list[tuple[Tensor, ...]] = []
        self._counts: list[tuple[int, ...]] = []

    def add(
        self, loss: Tensor, cross_entropy: Tensor, divergence: Tensor, ended: tuple[int, ...]
    ) -> None:
        """Add one update, without waiting for the device; ``ended`` as in ``Ended``."""
        self._losses.append((loss, cross_entropy, divergence))
        self._counts.append(ended)

    def take(self) -> dict[str, float]:
        """Return the means since the last call; shares are NaN where nothing ended."""
        loss, cross_entropy, divergence = (
            sum(float(row[part]) for row in self._losses) / max(1, len(self._losses))
            for part in range(3)
        )
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
        torch.manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        self.source, self.recipe, self.execution = source, recipe, execution
        self.model = Gram(config, source.task.units).to(execution.device)
        if recipe.shares_stack and config.recursion == "hierarchical":
            self.model.high = self.model.low
        self.ema = Ema(self.model, copy.deepcopy(self.model), recipe.ema_decay)
        self.optimizers = optimizers(self.model, recipe)
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
        try:
            self.model.load_state_dict(weights)
        except RuntimeError as error:
            raise CheckpointError(
                f"{checkpoint} has another architecture than this run: choose the same sizes"
            ) from error
        self.ema.averaged.load_state_dict(weights)

    def run(self) -> Iterator[float]:
        """Train, yielding the used share of the budget after every update."""
        self.budget.begin()
        progress = self.budget.progress(self.num_updates)
        while progress < 1.0:
            self.update(progress)
            progress = self.budget.progress(self.num_updates)
            yield progress

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

    def _roll_out(self, rollout: Rollout, progress: float) -> None:
        """Run one supervision step and its backward pass."""
        config, recipe = rollout.model.config, self.recipe
        shape = (config.num_transitions, recipe.num_rows, config.num_tokens, config.dim)
        draws = torch.randn(shape, generator=self.generator, device=self.execution.device)
        weights = Weights(**{name: getattr(recipe, name) for name in Weights._fields})
        with self._autocast():
            result = self._step(rollout.model, rollout.state, rollout.rows, draws, weights)
        # Before the rollout refills its rows in place, which the graph still holds.
        result.loss.backward()
        ended = rollout.advance(result, progress)
        if len(ended.accuracy):
            loss = heads_loss(self.model, ended.summaries, ended.is_exact, ended.accuracy)
            (recipe.heads_weight * loss).backward()
        counts = ended[:4]
        self.metrics.add(result.loss.detach(), result.cross_entropy, result.divergence, counts)

    def _denoise(self, episodes: Episodes, progress: float) -> None:
        """Run the steps of one update and their backward passes, summing gradients."""
        settings = self.recipe.denoising
        high, answer = episodes.high, None
        losses = []
        for ahead in range(settings.num_backward_steps):
            values = episodes.values(answer, ahead, self.generator)
            with self._autocast():
                high, loss, answer = self._denoising_step(
                    episodes.model, high, episodes.givens, episodes.targets, values, settings.loss
                )
            losses.append(loss)
        mean = torch.stack(losses).mean()
        mean.backward()
        num_ended = episodes.advance(high.detach().float(), progress)
        # There are neither KL nor prior rows.
        loss = mean.detach()
        self.metrics.add(loss, loss, torch.zeros_like(loss), (0, 0, num_ended, 0))


def resized(model: Gram, task: Task) -> Gram:
    """Return the model for another size of its puzzle; both have the same parameters."""
    if task.length == model.config.length:
        return model
    other = Gram(model.config.resized(task), task.units).to(model.z0_high.device)
    for name, module in other.named_modules():
        module._parameters = model.get_submodule(name)._parameters
    other.z0_high, other.z0_low = model.z0_high, model.z0_low
    return other
