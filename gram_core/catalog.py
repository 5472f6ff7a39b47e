"""Finds checkpoints and reads their metadata without torch.

A model directory holds ``config.json``, ``model.safetensors`` and, when shipped, ``CARD.md``.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast, get_args

from gram_core.config import GramConfig
from gram_core.errors import CheckpointError, ConfigError

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

    @property
    def id(self) -> str:
        """``name@fingerprint``, the model id in responses."""
        return f"{self.name}@{self.fingerprint}"


def shipped_models() -> tuple[ModelInfo, ...]:
    """Return the checkpoints that come with the package, sorted by name."""
    folders = sorted(path.parent for path in SHIPPED_WEIGHTS.glob(f"*/{CONFIG_FILE}"))
    return tuple(read_model(folder) for folder in folders)


def find_model(name_or_path: str) -> ModelInfo:
    """Return a shipped model by name, or the model in a directory."""
    for info in shipped_models():
        if info.name == name_or_path:
            return info
    return read_model(Path(name_or_path))


def read_model(path: Path) -> ModelInfo:
    """Read a model directory's config; raise ``CheckpointError`` with a remedy."""
    config_path = path / CONFIG_FILE
    try:
        values = json.loads(config_path.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise CheckpointError(
                f"{config_path} is not a {FORMAT} config: pass a directory written by "
                "gram-lab train"
            )
        return ModelInfo(
            name=str(values["name"]),
            task=str(values["task"]),
            fingerprint=str(values["fingerprint"]),
            depth=int(values["depth"]),
            num_parameters=int(values["num_parameters"]),
            architecture=GramConfig.from_json(values["architecture"]),
            path=path,
            purpose=_purpose(values.get("purpose", "solve")),
            max_givens=None if (most := values.get("max_givens")) is None else int(most),
        )
    except OSError as error:
        raise CheckpointError(
            f"{config_path} cannot be read ({error.strerror}): pass a shipped model's name or a "
            "directory written by gram-lab train"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise CheckpointError(
            f"{config_path} is damaged ({error}): copy the model directory again"
        ) from error


def _purpose(value: object) -> Purpose:
    for purpose in get_args(Purpose):
        if value == purpose:
            return cast("Purpose", purpose)
    raise ValueError(f"purpose is {value!r}: it is one of {', '.join(get_args(Purpose))}")


def fingerprint(weights_path: Path) -> str:
    """Return the first 12 hex digits of a weights file's SHA-256."""
    digest = hashlib.sha256()
    with weights_path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()[:12]
