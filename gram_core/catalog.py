"""Finds checkpoints and reads their metadata without torch.

A model directory holds ``config.json``, ``model.safetensors`` and, when shipped, ``CARD.md``. Where
no weight depends on the size of a puzzle, ``other_tasks`` of the config may name further sizes: for
each of them the directory holds a model too.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, get_args

from gram_core import puzzles
from gram_core.config import GramConfig
from gram_core.errors import CheckpointError, ConfigError, UserError

FORMAT: Final = "gram-checkpoint/1"
CONFIG_FILE: Final = "config.json"
WEIGHTS_FILE: Final = "model.safetensors"
SHIPPED_WEIGHTS: Final = Path(__file__).parent / "weights"

Purpose = Literal["solve", "generate"]
"""``generate``: trained to produce complete answers from its task's empty instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """Metadata of a checkpoint; all that an API process needs."""

    name: str
    task: str
    """Task whose instances it takes, such as ``sudoku-9x9``."""
    fingerprint: str
    """First 12 hex digits of the SHA-256 of the weights file."""
    depth: int
    """Default limit on supervision steps per trajectory."""
    num_parameters: int
    architecture: GramConfig
    path: Path
    purpose: Purpose = "solve"
    max_givens: int | None = None
    """Boards with at most so many givens go to this model before any other; None: no board does."""
    is_late: bool = False
    """Whether it is one of the further sizes of a directory: a worker then makes its engine when a
    job first needs it."""

    @property
    def id(self) -> str:
        """``name@fingerprint``, the model id in responses."""
        return f"{self.name}@{self.fingerprint}"


def shipped_models() -> tuple[ModelInfo, ...]:
    """Return the checkpoints that come with the package, sorted by name."""
    folders = [path.parent for path in SHIPPED_WEIGHTS.glob(f"*/{CONFIG_FILE}")]
    found = [info for folder in folders for info in read_models(folder)]
    return tuple(sorted(found, key=lambda info: info.name))


def find_model(name_or_path: str) -> ModelInfo:
    """Return the first of ``find_models``."""
    return find_models(name_or_path)[0]


def find_models(name_or_path: str) -> tuple[ModelInfo, ...]:
    """Return a shipped model by name, or the models in a directory."""
    for info in shipped_models():
        if info.name == name_or_path:
            # Who names one size alone wants it from the start.
            return (replace(info, is_late=False),)
    return read_models(Path(name_or_path))


def read_model(path: Path) -> ModelInfo:
    """Return the first of ``read_models``."""
    return read_models(path)[0]


def read_models(path: Path) -> tuple[ModelInfo, ...]:
    """Read a model directory's config, its own task first; ``CheckpointError`` has a remedy."""
    config_path = path / CONFIG_FILE
    try:
        values = json.loads(config_path.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise CheckpointError(
                f"{config_path} is not a {FORMAT} config: pass a directory written by "
                "gram-lab train"
            )
        purpose = values.get("purpose", "solve")
        if purpose not in get_args(Purpose):
            known = ", ".join(get_args(Purpose))
            raise ValueError(f"purpose is {purpose!r}: it is one of {known}")
        info = ModelInfo(
            name=str(values["name"]),
            task=str(values["task"]),
            fingerprint=str(values["fingerprint"]),
            depth=int(values["depth"]),
            num_parameters=int(values["num_parameters"]),
            architecture=GramConfig.from_json(values["architecture"]),
            path=path,
            purpose=purpose,
            max_givens=None if (most := values.get("max_givens")) is None else int(most),
        )
        return info, *(_resized(info, name) for name in values.get("other_tasks", ()))
    except OSError as error:
        raise CheckpointError(
            f"{config_path} cannot be read ({error.strerror}): pass a shipped model's name or a "
            "directory written by gram-lab train"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError, UserError) as error:
        raise CheckpointError(
            f"{config_path} is damaged ({error}): copy the model directory again"
        ) from error


def _resized(info: ModelInfo, name: str) -> ModelInfo:
    """Return the model for another size, named as the first one with that size."""
    task = puzzles.task(name)
    own_size, size = (each.removeprefix(task.family) for each in (info.task, task.name))
    return replace(
        info,
        name=info.name.removesuffix(own_size) + size,
        task=task.name,
        architecture=info.architecture.resized(task),
        is_late=True,
    )


def fingerprint(weights_path: Path) -> str:
    """Return the first 12 hex digits of a weights file's SHA-256."""
    with weights_path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
