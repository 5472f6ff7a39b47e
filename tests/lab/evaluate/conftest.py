"""Models without training: one at random, and one that is right at times."""

from pathlib import Path
from typing import Any

import pytest
import torch

from gram_core import puzzles
from gram_core.checkpoint import LoadedModel, load_model, save_model
from gram_core.config import preset
from gram_core.model import Gram


def saved(folder: Path, model: Gram, task: puzzles.Task, **options: Any) -> LoadedModel:
    """Save a model, of depth 4, and load it."""
    save_model(folder, model, name=task.name, task=task, depth=4, dtype=torch.float32, **options)
    return load_model(folder)


def fresh(folder: Path, name: str) -> LoadedModel:
    """Save a tiny model with random weights."""
    torch.manual_seed(0)
    task = puzzles.task(name)
    return saved(folder, Gram(preset("tiny", task), task.units), task)


@pytest.fixture
def guesser(tmp_path: Path) -> LoadedModel:
    """A model that echoes what is given and guesses the open cells from its noise."""
    torch.manual_seed(2)
    task = puzzles.task("sudoku-4x4")
    model = Gram(preset("tiny", task), task.units)
    for parameter in (*model.low.parameters(), *model.high.parameters()):
        parameter.data.zero_()
    echo = torch.eye(task.vocabulary, model.config.dim)
    model.embedding.weight.data = 3.0 * echo
    model.decoder.weight.data = echo
    torch.nn.init.normal_(model.halt.weight, std=2.0)
    torch.nn.init.zeros_(model.halt.bias)
    torch.nn.init.normal_(model.value.weight)
    torch.nn.init.normal_(model.prior.mean.down.weight, std=0.1)
    model.z0_high.zero_()
    model.z0_low.zero_()
    return saved(tmp_path / "guesser", model, task)
