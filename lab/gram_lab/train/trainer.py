"""The training loop: one optimiser step after another, until the budget is used.

Measures prior rollouts from the first update, because posterior accuracy says nothing about
inference. Needs only torch, numpy and safetensors.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from gram_core.checkpoint import load_model
from gram_core.config import GramConfig
from gram_core.errors import CheckpointError
from gram_core.model import Gram, LatentState
from gram_lab.data.examples import Source
from gram_lab.train import denoising
from gram_lab.train.denoising import Episodes
from gram_lab.train.losses import Rows, StepLoss, Weights, heads_loss, step_loss
from gram_lab.train.optimizer import Ema, optimizers, set_rate
from gram_lab.train.progress import Budget, RunningMetrics
from gram_lab.train.recipe import Recipe
from gram_lab.train.rollout import Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How arithmetic is run; changes speed only."""

    device: str = "cpu"
    is_bf16: bool = False
    """Run matrix products in bfloat16 under autocast."""
    is_compiled: bool = False


class Trainer:
    """Trains one model on one source."""

    def __init__(
        self,
        config: GramConfig,
        source: Source,
        recipe: Recipe,
        *,
        budget: Budget,
        execution: Execution,
        seed: int,
    ) -> None:
        torch.manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        self.source, self.recipe, self.execution = source, recipe, execution
        self.model = Gram(config, source.task.units).to(execution.device)
        self.ema = Ema(self.model, copy.deepcopy(self.model), recipe.ema_decay)
        self.optimizers = optimizers(self.model, recipe)
        self.generator = torch.Generator(execution.device).manual_seed(seed)
        self.rollout = self._rows()
        self.num_updates = 0
        self.budget = budget
        self.metrics = RunningMetrics()
        self._step: StepFunction = _compiled(step_loss, execution)
        self._denoising_step: denoising.StepFunction = _compiled(
            denoising.denoising_step, execution
        )

    def _rows(self) -> Rollout | Episodes:
        recipe = self.recipe
        if recipe.curriculum == "denoising":
            return Episodes(
                self.model,
                self.source,
                recipe.denoising,
                num_rows=recipe.num_rows,
                rng=self.rng,
            )
        rollout = Rollout(
            self.model,
            self.source,
            num_rows=recipe.num_rows,
            num_siblings=recipe.num_siblings,
            learns=recipe.learns,
            prior_share=recipe.prior_share,
            rng=self.rng,
        )
        rollout.start(recipe.num_steps(0.0), 0.0)
        return rollout

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
        progress = self.budget.progress(self.num_updates)
        while progress < 1.0:
            self.update(progress)
            progress = self.budget.progress(self.num_updates)
            yield progress

    def update(self, progress: float) -> None:
        """Run the supervision steps of one update for every row, and one optimiser step."""
        if isinstance(self.rollout, Episodes):
            self._denoise(self.rollout, progress)
        else:
            self._roll_out(self.rollout, progress)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        for optimizer in self.optimizers:
            set_rate(optimizer, self.recipe, progress)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.ema.update(self.num_updates)
        self.num_updates += 1

    def _roll_out(self, rollout: Rollout, progress: float) -> None:
        """Run one supervision step and its backward pass."""
        num_steps = self.recipe.num_steps(progress)
        result = self._forward(rollout)
        # Before the rollout refills its rows in place, which the graph still holds.
        _backward(result.loss)
        ended = rollout.advance(
            result.state, result.logits, result.summary, num_steps=num_steps, progress=progress
        )
        if len(ended.accuracy):
            loss = heads_loss(self.model, ended.summaries, ended.is_exact, ended.accuracy)
            _backward(self.recipe.heads_weight * loss)
        self.metrics.add(result, ended)

    def _denoise(self, episodes: Episodes, progress: float) -> None:
        """Run the steps of one update and their backward passes, summing gradients."""
        settings = self.recipe.denoising
        high, answer = episodes.high, None
        losses = []
        for ahead in range(settings.num_backward_steps):
            values = denoising.corrupted(
                episodes,
                answer,
                ahead,
                settings=settings,
                num_values=self.source.task.num_values,
                generator=self.generator,
            )
            with self._autocast():
                high, loss, answer = self._denoising_step(
                    self.model, high, episodes.givens, episodes.targets, values, settings.loss
                )
            losses.append(loss)
        mean = torch.stack(losses).mean()
        _backward(mean)
        num_ended = episodes.advance(high.detach().float(), progress)
        self.metrics.add_denoising(mean.detach(), num_ended)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.execution.device, torch.bfloat16, enabled=self.execution.is_bf16)

    def _forward(self, rollout: Rollout) -> StepLoss:
        config, recipe = self.model.config, self.recipe
        shape = (config.num_transitions, recipe.num_rows, config.num_tokens, config.dim)
        draws = torch.randn(shape, generator=self.generator, device=self.execution.device)
        weights = Weights(
            beta=recipe.beta,
            label_smoothing=recipe.label_smoothing,
            aim=recipe.aim,
            num_siblings=recipe.num_siblings,
            learns=recipe.learns,
        )
        with self._autocast():
            return self._step(self.model, rollout.state, rollout.rows, draws, weights)


def _backward(loss: Tensor) -> None:
    loss.backward()


StepFunction = Callable[[Gram, LatentState, Rows, Tensor, Weights], StepLoss]
Compilable = TypeVar("Compilable", bound=Callable[..., object])


def _compiled(function: Compilable, execution: Execution) -> Compilable:
    if not execution.is_compiled:
        return function
    return cast("Compilable", torch.compile(function, dynamic=False))
