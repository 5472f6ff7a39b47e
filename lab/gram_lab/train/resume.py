"""Writes and reads the whole state of a run, so that it goes on exactly where it stopped.

One safetensors file holds the tensors, with the rows of all ranks, and in its metadata counters and
generator states.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gram_core.errors import CheckpointError
from gram_lab.train import ranks
from gram_lab.train.trainer import Trainer

TENSORS_FILE: Final = "run.safetensors"
COUNTERS: Final = "run.json"
"""Name in the metadata."""


def save_run(folder: Path, trainer: Trainer) -> None:
    """Write the state of a run; an interrupted write leaves the previous state whole.

    Every rank calls this, and the first one writes.
    """
    tensors = _tensors(trainer)
    if not ranks.is_first():
        return
    counters = {
        "num_updates": trainer.num_updates,
        "used_s": trainer.budget.used_s,
        "rng": trainer.rng.bit_generator.state,
    }
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "run.partial"
    save_file(tensors, partial, metadata={COUNTERS: json.dumps(counters)})
    partial.replace(folder / TENSORS_FILE)


def load_run(folder: Path, trainer: Trainer) -> None:
    """Restore a saved run into a trainer of the same architecture and recipe."""
    try:
        with safe_open(folder / TENSORS_FILE, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            counters = json.loads((file.metadata() or {}).get(COUNTERS, ""))
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
        rows = parts[f"rollout{index or ''}"].items()
        rollout.restore({name: tensor[ranks.own(len(tensor))] for name, tensor in rows})
    trainer.generator.set_state(tensors["generator"])
    trainer.rng.bit_generator.state = counters["rng"]
    trainer.num_updates = counters["num_updates"]
    trainer.budget.resume(counters["used_s"])


def _tensors(trainer: Trainer) -> dict[str, Tensor]:
    parts = {
        "model": trainer.model.state_dict(),
        "average": trainer.ema.averaged.state_dict(),
    }
    for index, rollout in enumerate(trainer.rollouts):
        rows = rollout.tensors().items()
        parts[f"rollout{index or ''}"] = {name: ranks.whole(tensor) for name, tensor in rows}
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
