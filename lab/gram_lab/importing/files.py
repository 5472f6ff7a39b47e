"""Files of checkpoints: the weights by their bare names, and the architecture beside them.

Nothing of a pickle but tensors, numbers and texts is built, whatever it names.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from gram_core.errors import CheckpointError

State = Mapping[str, Tensor]
Settings = Mapping[str, object]

MAX_REASON = 200
STEP = re.compile(r"step_(\d+)[^.]*(\.pth?)?")
WRAPPERS = ("model.", "inner.")
"""Names of what stands around the model: a loss head, and a loop over steps."""


def weights_file(path: Path) -> Path:
    """Return the newest ``step_N`` of a folder, or its ``model.safetensors``; a file as it is."""
    if not path.is_dir():
        return path
    steps = {int(match[1]): one for one in path.iterdir() if (match := STEP.fullmatch(one.name))}
    newest = steps[max(steps)] if steps else path / "model.safetensors"
    if not newest.exists():
        raise CheckpointError(f"{path} holds neither step_N nor model.safetensors")
    return newest


def read_checkpoint(path: Path) -> tuple[State, Settings]:
    """Return the weights by their bare names, and the architecture by the project's names.

    Of a state of training the averaged weights are taken, where it has them.
    """
    found = _read(path)
    # Where the weights of a state of training are.
    place = "model" if "model" in found else "model_state_dict"
    is_state = isinstance(found.get(place), dict)
    named = found[place] if is_state else found
    averaged = found.get("ema") if is_state else None
    if isinstance(averaged, dict):
        named = {**named, **averaged.get("shadow", {})}
    if not named or not all(isinstance(value, Tensor) for value in named.values()):
        raise CheckpointError(f"{path} is not a state dict of tensors")
    state = {}
    for name, value in named.items():
        bare = ".".join(part for part in str(name).split(".") if part != "_orig_mod")
        for wrapper in WRAPPERS:
            bare = bare.removeprefix(wrapper)
        state[bare] = value
    names = (f"{path.stem}.yaml", "all_config.yaml", "config.json")
    beside = (path.parent / name for name in names)
    config = found.get("config") if is_state else None
    for file in beside:
        if config is None and file.exists():
            config = _read_config(file)
    arch = config.get("arch", config) if isinstance(config, dict) else None
    return state, {str(key): value for key, value in arch.items()} if arch else {}


class _Ignored:
    """Stands for every object of a pickle that is no tensor: none of its code runs."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".safetensors":
            return {**load_file(path)}
        names = get_unsafe_globals_in_checkpoint(path)
        with safe_globals([(_Ignored, name) for name in names]):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise CheckpointError(f"{path} is not a state dict: {one_line(error)}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} is not a state dict of tensors")
    return found


def _read_config(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:MAX_REASON]
