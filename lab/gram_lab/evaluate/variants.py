"""The same weights with a part of the method taken away, to see what it is worth."""

from dataclasses import dataclass, replace

from gram_core.checkpoint import LoadedModel
from gram_core.config import Guidance
from gram_core.model import Gram


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A way to run a checkpoint."""

    name: str
    """What the rows of tables and the lines of plots call it."""
    guidance: Guidance | None = None
    """Guidance put in place of the checkpoint's own."""
    augment: bool = True
    """Whether trajectories look through symmetry views."""


FULL = Variant(name="ours")
NO_NOISE = Variant(name="no noise (sigma = 0)", guidance="mean")
NO_VIEWS = Variant(name="no views", augment=False)
ABLATIONS = (
    NO_NOISE,
    Variant(name="undirected noise (mu = 0)", guidance="noise"),
    NO_VIEWS,
    Variant(name="no noise, no views", guidance="mean", augment=False),
)


def applied(loaded: LoadedModel, variant: Variant) -> LoadedModel:
    """Return the checkpoint with the variant's guidance."""
    config = loaded.model.config
    if variant.guidance is None or config.guidance == "none":
        return loaded
    model = Gram(replace(config, guidance=variant.guidance), loaded.task.units)
    model.load_state_dict(loaded.model.state_dict())
    model.to(loaded.model.z0_high.device).eval().requires_grad_(False)
    return replace(loaded, model=model)
