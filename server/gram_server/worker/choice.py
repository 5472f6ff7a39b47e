"""Which models a worker is to load. Needs no torch, so that a wrong name is told of at once."""

from collections.abc import Sequence

from gram_core.catalog import ModelInfo, find_model, shipped_models
from gram_server.errors import ConfigError


def wanted_models(names: Sequence[str]) -> tuple[ModelInfo, ...]:
    """Return the named models, or every shipped one; raise when there is nothing to serve."""
    infos = tuple(find_model(name) for name in names) if names else shipped_models()
    if not infos:
        raise ConfigError("models", names, "no model is shipped here: name a checkpoint")
    for info in infos:
        if sum(other.name == info.name for other in infos) > 1:
            raise ConfigError("models", names, f"two models are named {info.name}")
    return infos
