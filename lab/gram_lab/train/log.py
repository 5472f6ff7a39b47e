"""Tells the figures of a run: to ``log.jsonl`` always, and to a tracker that is asked for."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gram_core.errors import ConfigError

LOG_FILE = "log.jsonl"
TRACKERS = ("jsonl", "tensorboard", "wandb")


def log_to(kind: str, folder: Path) -> Callable[[Mapping[str, Any]], None]:
    """Return what tells figures, by name; ``ConfigError`` for a tracker that is not installed."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        track = _tracker(kind, folder)
    except ImportError as error:
        raise ConfigError("log", kind, f"is not installed: pip install {kind}") from error

    def tell(figures: Mapping[str, Any]) -> None:
        with (folder / LOG_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")
        track(figures, figures["updates"])

    return tell


def _tracker(kind: str, folder: Path) -> Callable[[Mapping[str, Any], int], object]:
    if kind == "wandb":
        import wandb

        run = wandb.init(project="gram-lab", name=folder.name, dir=folder)
        return lambda figures, step: run.log(figures, step=step)
    if kind == "tensorboard":
        from torch.utils.tensorboard import SummaryWriter

        writer = SummaryWriter(str(folder))

        def write(figures: Mapping[str, Any], step: int) -> None:
            for name, value in figures.items():
                if not isinstance(value, dict):
                    writer.add_scalar(name, value, step)
            writer.flush()

        return write
    return lambda figures, step: None
