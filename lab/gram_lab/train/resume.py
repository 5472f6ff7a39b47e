"""Writes and reads the whole state of a run, so that it goes on exactly where it stopped.

Tensors lie in one safetensors file, counters and generator states in one JSON file.
"""

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gram_core.errors import CheckpointError
from gram_lab.train.trainer import Trainer

TENSORS_FILE: Final = "run.safetensors"
COUNTERS_FILE: Final = "run.json"


def save_run(folder: Path, trainer: Trainer) -> None:
    """Write the state of a run; an interrupted write leaves the previous state whole."""
    folder.mkdir(parents=True, exist_ok=True)
    counters = {
        "num_updates": trainer.num_updates,
        "used_s": trainer.budget.used_s,
        "rng": trainer.rng.bit_generator.state,
    }
    _replace(folder / TENSORS_FILE, lambda path: save_file(_tensors(trainer), path))
    _replace(folder / COUNTERS_FILE, lambda path: path.write_text(json.dumps(counters)))


def load_run(folder: Path, trainer: Trainer) -> None:
    """Restore a saved run into a trainer of the same architecture and recipe."""
    try:
        tensors = load_file(folder / TENSORS_FILE)
        counters = json.loads((folder / COUNTERS_FILE).read_text())
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder} holds no run to resume ({error}): pass the --output of an earlier run"
        ) from error
    parts: defaultdict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, tensor in tensors.items():
        part, _, name = key.partition("/")
        parts[part][name] = tensor
    try:
        trainer.model.load_state_dict(parts["model"])
        trainer.ema.averaged.load_state_dict(parts["average"])
    except RuntimeError as error:
        raise CheckpointError(
            f"{folder} is a run of another architecture: resume it with the options it began with"
        ) from error
    for index, optimizer in enumerate(trainer.optimizers):
        state: defaultdict[int, dict[str, Tensor]] = defaultdict(dict)
        for key, tensor in parts[f"optimizer{index}"].items():
            row, _, name = key.partition(".")
            state[int(row)][name] = tensor
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": dict(state), "param_groups": groups})
    for index, rollout in enumerate(trainer.rollouts):
        rollout.restore(parts[f"rollout{index or ''}"])
    trainer.generator.set_state(tensors["generator"])
    trainer.rng.bit_generator.state = counters["rng"]
    trainer.num_updates = counters["num_updates"]
    trainer.budget.resume(counters["used_s"])


def _tensors(trainer: Trainer) -> dict[str, Tensor]:
    parts = {
        "model": trainer.model.state_dict(),
        "average": trainer.ema.averaged.state_dict(),
        **{f"rollout{index or ''}": each.tensors() for index, each in enumerate(trainer.rollouts)},
    }
    for index, optimizer in enumerate(trainer.optimizers):
        state = optimizer.state_dict()["state"]
        parts[f"optimizer{index}"] = {
            f"{row}.{name}": torch.as_tensor(value)
            for row, values in state.items()
            for name, value in values.items()
        }
    named = {
        f"{part}/{name}": tensor for part, found in parts.items() for name, tensor in found.items()
    }
    named["generator"] = trainer.generator.get_state()
    return {name: tensor.detach().clone().contiguous() for name, tensor in named.items()}


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    partial = path.with_suffix(".partial")
    write(partial)
    partial.replace(path)
