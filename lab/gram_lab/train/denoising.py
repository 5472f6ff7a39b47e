"""The denoising curriculum: episodes whose input is the target mixed with noise.

Unknown cells of the input hold x_k = a(t_k) y + b(t_k) eps, with y the one-hot target, fresh eps at
every supervision step, a = sin(pi t / 2), b = cos(pi t / 2) and t rising from 0.01 to 0.99 over an
episode of K steps. Memory h is carried on, and the gradient goes through a few steps. At inference
only pure noise is left (arXiv 2609.01449). Rows are persistent and at different steps.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gram_core.model import Gram, LatentState
from gram_core.puzzles import BLANK, FIRST_VALUE
from gram_lab.data.examples import Source
from gram_lab.train import ranks
from gram_lab.train.recipe import DenoisingLoss, Recipe

MIN_TIME = 0.01
TIME_SPAN = 0.98


class Draws(NamedTuple):
    """The numbers of one supervision step, all drawn before the first."""

    noise: Tensor
    """(batch, length, values) standard normals."""
    times: Tensor | None
    """(batch,) where noise is ``drawn``."""


class Episodes:
    """A batch of episodes under training, this rank's of all: puzzles, memories, steps taken."""

    def __init__(
        self, model: Gram, source: Source, recipe: Recipe, rng: np.random.Generator
    ) -> None:
        """Fill every row, at a random step of its episode."""
        self.model, self._source = model, source
        self._settings, self._rng = recipe.denoising, rng
        self._device = model.z0_high.device
        self._num_rows, self._own = recipe.num_rows, ranks.own(recipe.num_rows)
        num_rows, length = self._own.stop - self._own.start, source.task.length
        self.givens = torch.zeros(num_rows, length, dtype=torch.int64, device=self._device)
        self.targets = torch.zeros_like(self.givens)
        self.high = torch.zeros(num_rows, length, model.config.dim, device=self._device)
        self.step = np.zeros(num_rows, dtype=np.int64)
        self.num_steps = np.zeros(num_rows, dtype=np.int64)
        self._refill(0.0)
        num_steps = ranks.whole(torch.as_tensor(self.num_steps)).numpy()
        self.step = self._rounded(rng.integers(num_steps)[self._own])

    def draws(self, generator: torch.Generator) -> Draws:
        """Draw the numbers of one supervision step."""
        shape = (self._num_rows, self._source.task.length, self._source.task.num_values)
        noise = torch.randn(shape, generator=generator, device=self._device)[self._own]
        if self._settings.noise != "drawn":
            return Draws(noise, None)
        times = torch.rand(self._num_rows, generator=generator, device=self._device)
        return Draws(noise, times[self._own])

    def values(self, answer: Tensor | None, ahead: int, draws: Draws, rows: slice) -> Tensor:
        """Return what unknown cells of some rows hold ``ahead`` steps from now.

        ``answer`` is that of the previous step, for noise ``fed-back``; None before the first. It
        and what is returned are (rows, length, values).
        """
        kind, noise = self._settings.noise, draws.noise[rows]
        if kind == "fixed":
            return noise
        if draws.times is None:
            share = (self.step[rows] + ahead) / np.maximum(1, self.num_steps[rows] - 1)
            times = self._sent((MIN_TIME + TIME_SPAN * np.minimum(share, 1.0)).astype(np.float32))
        else:
            times = draws.times[rows]
        angle = (math.pi / 2.0) * times[:, None, None]
        clean = _one_hot(self.targets[rows], noise.shape[-1])
        if kind == "fed-back":
            clean = torch.zeros_like(clean) if answer is None else answer
        return torch.sin(angle) * clean + torch.cos(angle) * noise

    def advance(self, high: Tensor, progress: float) -> int:
        """Store the memories after one update; replace the ended episodes, and count all ranks'."""
        self.high = high
        self.step += self._settings.num_backward_steps
        return self._refill(progress)

    def tensors(self) -> dict[str, Tensor]:
        """Return the state for ``restore``, by name."""
        return {
            "givens": self.givens,
            "targets": self.targets,
            "high": self.high,
            "step": torch.as_tensor(self.step),
            "num_steps": torch.as_tensor(self.num_steps),
        }

    def restore(self, found: dict[str, Tensor]) -> None:
        for name in ("givens", "targets", "high"):
            setattr(self, name, found[name].to(self._device))
        self.step, self.num_steps = (
            found[name].cpu().numpy().copy() for name in ("step", "num_steps")
        )

    def _refill(self, progress: float) -> int:
        is_over = ranks.whole(torch.as_tensor(self.step >= self.num_steps))
        chosen = np.flatnonzero(is_over.numpy())
        if not len(chosen):
            return 0
        examples = self._source.draw(len(chosen), progress, self._rng)
        lengths = self._rng.integers(
            self._settings.min_steps, self._settings.max_steps, size=len(chosen), endpoint=True
        )
        is_held, rows = ranks.held(chosen, self._num_rows)
        index = self._sent(rows)
        self.givens[index] = self._sent(examples.givens[is_held]).long()
        self.targets[index] = self._sent(examples.targets[is_held, 0]).long()
        self.high[index] = 0.0
        self.step[rows] = 0
        self.num_steps[rows] = self._rounded(lengths[is_held])
        return len(chosen)

    def _sent(self, values: NDArray[Any]) -> Tensor:
        """Return values on the device; a GPU's work goes on meanwhile."""
        tensor = torch.as_tensor(values)
        if self._device.type != "cuda":
            return tensor
        return tensor.pin_memory().to(self._device, non_blocking=True)

    def _rounded(self, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Round steps to whole updates."""
        size = self._settings.num_backward_steps
        return steps // size * size


class DenoisingStep(NamedTuple):
    """Results of one supervision step of a batch."""

    high: Tensor
    loss: Tensor
    """Sum over the unknown cells of these rows, divided by their number in all."""
    answer: Tensor
    """(batch, length, values) probabilities or, with the squared loss, raw values; detached."""


def denoising_step(
    model: Gram,
    high: Tensor,
    givens: Tensor,
    targets: Tensor,
    values: Tensor,
    num_unknown: Tensor,
    loss_kind: DenoisingLoss,
) -> DenoisingStep:
    """Run one supervision step of a model in training mode and return its loss.

    Shapes: ``high`` (batch, length, dim), tokens in ``givens`` and ``targets`` (batch, length),
    ``values`` of unknown cells (batch, length, values). ``num_unknown`` () counts the unknown cells
    of all rows of the update, of which these are a part.
    """
    is_unknown = givens == BLANK
    context = model.inject(model.encode(givens), values, is_unknown)
    state, _ = model.transition(LatentState(high, high), context)
    logits = model.decoder(state)[..., FIRST_VALUE:].float()
    one_hot = _one_hot(targets, logits.shape[-1])
    if loss_kind == "squared":
        per_cell = (logits - one_hot).square().mean(dim=-1)
        answer = logits.detach()
    else:
        log_probabilities = functional.log_softmax(logits, dim=-1)
        per_cell = -(log_probabilities * one_hot).sum(dim=-1)
        answer = log_probabilities.detach().exp()
    loss = (per_cell * is_unknown).sum() / num_unknown
    return DenoisingStep(state, loss, answer)


def _one_hot(tokens: Tensor, num_values: int) -> Tensor:
    """Return (..., values) floats; all zero where a token is no value."""
    values = torch.arange(FIRST_VALUE, FIRST_VALUE + num_values, device=tokens.device)
    return (tokens[..., None] == values).float()
