"""A model without training that is right at times."""

from pathlib import Path

import pytest
import torch

from gram_core import puzzles
from gram_core.checkpoint import LoadedModel, load_model, save_model
from gram_core.config import preset
from gram_core.model import Gram


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
    folder = tmp_path / "guesser"
    save_model(folder, model, name=task.name, task=task, depth=4, dtype=torch.float32)
    return load_model(folder)
