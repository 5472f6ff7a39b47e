"""What a training run is made of, per task: sizes, objective, optimiser, curriculum."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from gram_core.config import GramConfig, Guidance, Mixer, preset
from gram_core.errors import ConfigError
from gram_core.puzzles.base import Task

Optimizer = Literal["adamw", "muon"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Depths:
    """How many supervision steps a trajectory takes up to a share of the budget."""

    until: float
    num_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Every choice of a run that is not the architecture."""

    num_rows: int = 64
    """Trajectories in one update."""
    learning_rate: float = 2e-3
    """Peak; cosine to zero inside the budget."""
    warmup: float = 0.01
    """Share of the budget in which the rate rises."""
    optimizer: Optimizer = "adamw"
    weight_decay: float = 0.01
    clip: float = 1.0
    beta: float = 0.1
    """Weight of the KL (the paper's value for Sudoku)."""
    prior_share: float = 0.9
    """Share of trajectories guided by the prior, as at inference."""
    label_smoothing: float = 0.0
    is_nearest: bool = False
    """Prior rows accept any compatible solution."""
    winners_of: int = 1
    """Trajectories of one puzzle of which only the best learns (winner-take-all)."""
    heads_weight: float = 0.05
    """Weight of the halt and value losses; above 0.05 they hurt."""
    ema_decay: float = 0.999
    depths: tuple[Depths, ...] = (Depths(until=1.0, num_steps=16),)
    default_depth: int = 32
    """Supervision steps the checkpoint takes when the caller does not say."""
    overrides: Mapping[str, object] = field(default_factory=dict)
    """Changes to the preset architecture."""

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if self.num_rows % self.winners_of:
            raise ConfigError("num_rows", self.num_rows, "must be a multiple of winners_of")
        if self.depths[-1].until < 1.0:
            raise ConfigError("depths", self.depths, "must reach until=1.0")

    def num_steps(self, progress: float) -> int:
        """Return the supervision steps of a trajectory at this share of the budget."""
        return next(stage.num_steps for stage in self.depths if progress <= stage.until)


def recipe(task: Task) -> Recipe:
    """Return the chosen recipe of a task; docs/training.md says why."""
    if task.name == "sudoku-9x9":
        return Recipe(
            # One solution leaves a posterior nothing to choose; its KL only disturbs.
            prior_share=1.0,
            depths=(Depths(until=1.0, num_steps=8),),
            default_depth=128,
            # One solution: wide noise only drowns the state (sigma grows to 0.9 when it may).
            overrides={"sigma_max": 0.1, "sigma_init": 0.03},
        )
    several = {
        "initial_state": "random",
        "dim": 64,
        "ffn_dim": 128,
        # The floor keeps the KL from exploding where the prior grows sure of itself.
        "sigma_min": 0.01,
        "sigma_max": 0.5,
    }
    if task.family == "sudoku":
        return Recipe(
            prior_share=0.5,
            is_nearest=True,
            depths=(Depths(until=1.0, num_steps=8),),
            default_depth=16,
            overrides=several,
        )
    return Recipe(
        num_rows=256 if task.has_adjacency else 64,
        learning_rate=1e-3,
        beta=0.5 if task.has_adjacency else 0.07,
        prior_share=0.5 if task.has_adjacency else 0.7,
        is_nearest=True,
        depths=(Depths(until=0.5, num_steps=8), Depths(until=1.0, num_steps=12)),
        default_depth=16,
        overrides=several,
    )


def architecture(
    task: Task,
    preset_name: str,
    chosen: Recipe,
    *,
    guidance: Guidance | None = None,
    mixer: Mixer | None = None,
) -> GramConfig:
    """Return the preset with the recipe's changes and, where named, another guidance or mixer."""
    config = preset(preset_name, task)
    if preset_name == "small":
        config = replace(config, **chosen.overrides)  # type: ignore[arg-type]  # by field name
    if guidance:
        config = replace(config, guidance=guidance)
    if mixer and mixer != config.mixer:
        config = replace(config, mixer=mixer, head_kinds=())
    return config
