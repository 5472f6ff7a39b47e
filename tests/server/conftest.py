"""A random model that solves small instances now and then: no shipped weights are needed."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from gram_core import puzzles
from gram_core.checkpoint import LoadedModel, load_model, save_model
from gram_core.config import preset
from gram_core.model import Gram
from gram_core.puzzles import BLANK, Task

DEPTH = 8


@pytest.fixture(scope="session")
def guessing_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], LoadedModel]:
    """Return a model by the name of its task; it copies the givens and guesses the rest."""
    folder = tmp_path_factory.mktemp("models")

    @cache
    def make(task_name: str) -> LoadedModel:
        return make_guessing_model(task_name, folder / task_name)

    return make


def make_guessing_model(task_name: str, path: Path) -> LoadedModel:
    task = puzzles.task(task_name)
    model = copying_model(task)
    for name, parameter in model.named_parameters():
        if name.startswith(("value", "prior")):
            torch.nn.init.normal_(parameter, std=0.05)
    torch.nn.init.normal_(model.halt.weight, std=1.0)
    torch.nn.init.zeros_(model.halt.bias)
    info = save_model(path, model, name=task_name, task=task, depth=DEPTH, dtype=torch.float32)
    return load_model(info)


def copying_model(task: Task) -> Gram:
    """Return a random model that keeps the givens and guesses the rest."""
    torch.manual_seed(0)
    config = replace(preset("tiny", task), sigma_init=0.9, initial_state="random")
    model = Gram(config, task.units).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if name.startswith(("low", "high")):
            parameter.mul_(0.5)
    model.embedding.weight[BLANK] = 0.0
    model.decoder.weight.copy_(model.embedding.weight)
    model.embedding.weight.mul_(10.0)
    return model
