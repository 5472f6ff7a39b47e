"""Optimisers and the learning-rate schedule."""

import math

import torch
from torch import nn
from torch.optim import AdamW, Muon, Optimizer

from gram_core.model import Gram
from gram_lab.train.recipe import Recipe

MUON_MOMENTUM = 0.95


def optimizers(model: nn.Module, recipe: Recipe) -> list[Optimizer]:
    """Return AdamW for everything, or Muon for the weights of the stacks and AdamW for the rest."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_matrix = name.startswith(("low.", "high.")) and parameter.ndim == 2
        is_muon = is_matrix and recipe.optimizer == "muon"
        (matrices if is_muon else others).append(parameter)
    adamw = AdamW(
        others,
        lr=recipe.learning_rate,
        betas=(0.9, 0.95),
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    result: list[Optimizer] = [adamw]
    if matrices:
        muon = Muon(matrices, lr=recipe.muon_learning_rate, momentum=MUON_MOMENTUM, nesterov=True)
        result.append(muon)
    for optimizer in result:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return result


def set_rate(optimizer: Optimizer, recipe: Recipe, progress: float) -> None:
    """Set the rate for this share of the budget: linear warm-up, hold, then cosine to zero."""
    if progress < recipe.warmup:
        share = progress / recipe.warmup
    else:
        begin = max(recipe.warmup, recipe.hold)
        done = max(0.0, progress - begin) / (1.0 - begin) if begin < 1.0 else 0.0
        share = 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share


class Ema:
    """Exponential moving average of a model's parameters, as a copy of the model."""

    def __init__(self, model: Gram, averaged: Gram, decay: float) -> None:
        self._model, self.averaged, self._decay = model, averaged, decay
        averaged.load_state_dict(model.state_dict())
        averaged.requires_grad_(False)

    @torch.no_grad()
    def update(self, num_updates: int) -> None:
        """Move towards the model; faster while few updates have been made."""
        weight = 1.0 - min(self._decay, (1.0 + num_updates) / (10.0 + num_updates))
        torch._foreach_lerp_(
            list(self.averaged.parameters()), list(self._model.parameters()), weight
        )
