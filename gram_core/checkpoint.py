"""Saves and loads model directories: safetensors and JSON, never pickle."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gram_core import catalog, puzzles
from gram_core.catalog import ModelInfo, Purpose
from gram_core.config import GramConfig
from gram_core.errors import CheckpointError, ConfigError, UserError
from gram_core.model import Gram
from gram_core.puzzles import Generative, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A checkpoint ready to run."""

    info: ModelInfo
    model: Gram
    task: Task


def save_model(
    path: Path,
    model: Gram,
    *,
    name: str,
    task: Task,
    depth: int,
    dtype: torch.dtype,
    purpose: Purpose = "solve",
    others: Sequence[Task] = (),
) -> ModelInfo:
    """Write a model directory, replacing one that exists, and return its metadata.

    ``depth`` is the default limit on supervision steps, ``dtype`` the floating type on disk;
    ``others`` are other sizes that the weights are for.

    Raises:
        ConfigError: the architecture cannot see the graph of the task.
    """
    model.config.check_task(task)
    path.mkdir(parents=True, exist_ok=True)
    weights = {key: value.detach().to(dtype) for key, value in model.state_dict().items()}
    weights_path = path / catalog.WEIGHTS_FILE
    save_file({key: value.contiguous() for key, value in weights.items()}, weights_path)
    values = {
        "format": catalog.FORMAT,
        "name": name,
        "task": task.name,
        "other_tasks": [each.name for each in others],
        "purpose": purpose,
        "fingerprint": catalog.fingerprint(weights_path),
        "depth": depth,
        "num_parameters": count_parameters(model),
        "architecture": model.config.to_json(),
    }
    text = json.dumps(values, indent=2) + "\n"
    (path / catalog.CONFIG_FILE).write_text(text, encoding="utf-8")
    return catalog.read_model(path)


def load_model(source: ModelInfo | Path, device: str = "cpu") -> LoadedModel:
    """Load a checkpoint for inference, in float32.

    Raises:
        CheckpointError: truncated, foreign or mismatched files; the message says what to do.
    """
    info = source if isinstance(source, ModelInfo) else catalog.read_model(source)
    task = _task_of(info)
    weights = _read_weights(info)
    model = Gram(info.architecture, task.units)
    _fill(model, weights, info)
    model.to(device).eval().requires_grad_(False)
    return LoadedModel(info=info, model=model, task=task)


def count_parameters(model: Gram) -> int:
    """Return the number of trained parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def _task_of(info: ModelInfo) -> Task:
    try:
        task = puzzles.task(info.task)
    except UserError as error:
        raise CheckpointError(
            f"{info.path} is for the task {info.task!r}, which this version does not know: "
            "upgrade gram-server"
        ) from error
    if (task.length, task.vocabulary) != _shape(info.architecture):
        raise CheckpointError(
            f"{info.path} has (length, vocabulary) {_shape(info.architecture)} but {task.name} "
            f"needs {(task.length, task.vocabulary)}: train it again for this task"
        )
    try:
        info.architecture.check_task(task)
    except ConfigError as error:
        raise CheckpointError(
            f"{info.path} is blind ({error}), and must be trained anew"
        ) from error
    if info.purpose == "generate" and not isinstance(puzzles.family(task.family), Generative):
        raise CheckpointError(
            f"{info.path} generates {task.family}, which has no empty instance to start from"
        )
    return task


def _shape(config: GramConfig) -> tuple[int, int]:
    return config.num_cells, config.vocabulary


def _read_weights(info: ModelInfo) -> dict[str, Tensor]:
    weights_path = info.path / catalog.WEIGHTS_FILE
    try:
        weights = load_file(weights_path)
        actual = catalog.fingerprint(weights_path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{weights_path} cannot be read ({error}): copy the model directory again"
        ) from error
    if actual != info.fingerprint:
        raise CheckpointError(
            f"{weights_path} has fingerprint {actual} but its config says {info.fingerprint}: "
            "the two files belong to different checkpoints, copy the model directory again"
        )
    return weights


def _fill(model: Gram, weights: dict[str, Tensor], info: ModelInfo) -> None:
    expected = {key: value.shape for key, value in model.state_dict().items()}
    found = {key: value.shape for key, value in weights.items()}
    wrong = sorted(key for key in expected | found if expected.get(key) != found.get(key))
    if wrong:
        raise CheckpointError(
            f"{info.path} does not fit its own architecture (first difference: {wrong[0]}): "
            "train it again with this version or use the version that wrote it"
        )
    try:
        model.load_state_dict({key: value.float() for key, value in weights.items()})
    except (RuntimeError, ConfigError) as error:
        raise CheckpointError(f"{info.path} cannot be loaded ({error}): train it again") from error
