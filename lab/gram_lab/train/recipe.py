"""Training recipes per task: sizes, objective, optimiser, curriculum."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Literal

from gram_core.catalog import Purpose
from gram_core.config import GramConfig, preset
from gram_core.errors import ConfigError
from gram_core.flops import step_flops
from gram_core.puzzles import Task
from gram_lab.train.losses import Aim, Learns

Optimizer = Literal["adamw", "muon"]
Curriculum = Literal["rollouts", "denoising"]
Noise = Literal["annealed", "fixed", "fed-back", "drawn"]
DenoisingLoss = Literal["squared", "cross-entropy"]
BACKWARD_SHARE = 2.0
"""FLOP of a backward pass over those of its forward pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Denoising:
    """The denoising curriculum (arXiv 2609.01449); the defaults are its best settings."""

    noise: Noise = "annealed"
    """What unknown cells of the input hold: from pure noise to the target over an episode, pure
    noise throughout, the model's own answer with annealed noise, or a level drawn every step."""
    loss: DenoisingLoss = "squared"
    num_backward_steps: int = 4
    """Supervision steps of one update that the gradient goes through (L)."""
    min_steps: int = 20
    """Least supervision steps of an episode; rows draw theirs uniformly."""
    max_steps: int = 160

    def __post_init__(self) -> None:
        if not 1 <= self.num_backward_steps <= self.min_steps <= self.max_steps:
            raise ConfigError(
                "denoising", self, "needs 1 <= num_backward_steps <= min_steps <= max_steps"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Depths:
    """How many supervision steps a trajectory takes up to a share of the budget."""

    until: float
    num_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Every choice of a run that is not the architecture."""

    curriculum: Curriculum = "rollouts"
    """``rollouts``: the model's own trajectories, a loss on each step; ``denoising``: episodes
    whose input mixes the target with less and less noise."""
    denoising: Denoising = Denoising()
    num_rows: int = 64
    """Trajectories in one update."""
    learning_rate: float = 2e-3
    """Peak; cosine to zero inside the budget."""
    hold: float = 0.0
    """Share of the budget in which the rate stays at its peak before the cosine begins."""
    warmup: float = 0.01
    """Share of the budget in which the rate rises."""
    optimizer: Optimizer = "adamw"
    muon_learning_rate: float = 0.02
    """Peak for the matrices of the stacks where ``optimizer`` is ``muon``."""
    weight_decay: float = 0.01
    clip: float = 1.0
    beta: float = 0.1
    """Weight of the KL (the paper's value for Sudoku)."""
    prior_share: float = 0.9
    """Share of trajectories guided by the prior, as at inference."""
    label_smoothing: float = 0.0
    aim: Aim = "drawn"
    """Which compatible solution is the target of prior rows."""
    num_siblings: int = 1
    """Trajectories of one puzzle that run side by side."""
    learns: Learns = "all"
    """``best``: only the best of the siblings learns (winner-take-all)."""
    heads_weight: float = 0.05
    """Weight of the halt and value losses; above 0.05 they hurt."""
    max_rating: float = 2.6
    """Hardest puzzle (SER) drawn from files of rated puzzles."""
    hard_share: float = 0.0
    """Share of unrated, very hard puzzles drawn from such files."""
    open_share: float = 0.0
    """Share of boards from such files that keep few or no givens: many answers are right."""
    ema_decay: float = 0.999
    depths: tuple[Depths, ...] = (Depths(until=1.0, num_steps=16),)
    default_depth: int = 32
    """Supervision steps the checkpoint takes when the caller does not say."""
    overrides: Mapping[str, object] = field(default_factory=dict)
    """Changes to the preset architecture."""

    def __post_init__(self) -> None:
        if self.num_rows % self.num_siblings:
            raise ConfigError("num_rows", self.num_rows, "must be a multiple of num_siblings")
        if self.depths[-1].until < 1.0:
            raise ConfigError("depths", self.depths, "must reach until=1.0")

    def num_steps(self, progress: float) -> int:
        return next(stage.num_steps for stage in self.depths if progress <= stage.until)

    def update_flops(self, config: GramConfig, task: Task) -> float:
        """Return the FLOP of one update: forward, and backward where there is a gradient."""
        num_forward, num_backward = config.num_transitions, 1
        if self.curriculum == "denoising":
            num_forward = num_backward = self.denoising.num_backward_steps
        passes = num_forward + BACKWARD_SHARE * num_backward
        return self.num_rows * passes / config.num_transitions * step_flops(config, task)


# One solution: wide noise only hides the state (sigma grows to 0.9 if allowed).
NARROW = {"sigma_max": 0.1, "sigma_init": 0.03}
EMPTY_BOARDS = Recipe(
    learning_rate=1e-3,
    prior_share=1.0,
    depths=(Depths(until=1.0, num_steps=12),),
    overrides={"initial_state": "random", **NARROW},
)
DENOISING = Recipe(
    curriculum="denoising",
    num_rows=48,
    learning_rate=1e-3,
    optimizer="muon",
    muon_learning_rate=0.01,
    hold=0.5,
    max_rating=11.0,
    hard_share=0.5,
    open_share=0.1,
    depths=(Depths(until=1.0, num_steps=64),),
    default_depth=128,
    overrides={
        "guidance": "input",
        "recursion": "flat",
        "block_norm": "pre",
        "positions": "units",
        "normed_queries": True,
        # J = 8 passes through the block.
        "num_inner_steps": 7,
    },
)
"""One set of weights for boards of all kinds."""
SUDOKU = Recipe(
    # One solution leaves a posterior nothing to choose; its KL only disturbs.
    prior_share=1.0,
    depths=(Depths(until=1.0, num_steps=8),),
    default_depth=128,
    overrides=NARROW,
)


def recipe(
    task: Task, *, purpose: Purpose = "solve", curriculum: Curriculum = "rollouts"
) -> Recipe:
    """Return the chosen recipe of a task; docs/training.md says why."""
    if purpose == "generate":
        return EMPTY_BOARDS
    if curriculum == "denoising":
        return DENOISING
    if task.name == "sudoku-9x9":
        return SUDOKU
    return _maze(task) if task.family == "maze" else _several_solutions(task)


def _maze(task: Task) -> Recipe:
    """Return the recipe of one size; a larger size begins with the weights of a smaller one."""
    side = max(task.rows, task.columns)
    return Recipe(
        num_rows=max(16, 64 * 8 // max(side, 8)),
        optimizer="muon",
        muon_learning_rate=0.01,
        prior_share=1.0,
        depths=(Depths(until=1.0, num_steps=max(6, side)),),
        default_depth=max(8, 2 * side),
        # The passes of a step bound how far information travels.
        overrides={"dim": 64, "ffn_dim": 128, **NARROW, "num_inner_steps": 7},
    )


def _several_solutions(task: Task) -> Recipe:
    found = Recipe(
        prior_share=0.5,
        aim="nearest",
        depths=(Depths(until=1.0, num_steps=8),),
        default_depth=16,
        overrides={
            "initial_state": "random",
            "dim": 64,
            "ffn_dim": 128,
            # The floor keeps the KL finite as the prior's variance shrinks.
            "sigma_min": 0.01,
            "sigma_max": 0.5,
        },
    )
    if task.family == "sudoku":
        return found
    depths = (Depths(until=0.5, num_steps=8), Depths(until=1.0, num_steps=12))
    found = replace(found, learning_rate=1e-3, depths=depths)
    if task.has_adjacency:
        return replace(found, num_rows=256, beta=0.5)
    return replace(found, beta=0.07, prior_share=0.7)


def choices(
    task: Task,
    *,
    purpose: Purpose = "solve",
    preset_name: str = "small",
    settings: Sequence[str] = (),
) -> tuple[Recipe, GramConfig]:
    """Return the recipe and the architecture of a run; ``ConfigError`` for what cannot be.

    The recipe's overrides belong to the preset ``small``. ``settings`` are ``name=value`` for
    fields of either, values as JSON or plain words. Guidance ``none`` is the deterministic twin.
    """
    changes = dict(_setting(text) for text in settings)
    curriculum: Curriculum = "denoising" if changes.get("curriculum") == "denoising" else "rollouts"
    ours = {each.name for each in fields(Recipe)}
    chosen = replace(
        recipe(task, purpose=purpose, curriculum=curriculum),
        **{name: value for name, value in changes.items() if name in ours},  # type: ignore[arg-type]
    )
    overrides = {**(chosen.overrides if preset_name == "small" else {})}
    if changes.get("guidance") == "none":
        # The deterministic twin has no posterior rows, and the stored z_0.
        chosen = replace(chosen, prior_share=1.0)
        overrides["initial_state"] = "fixed"
    if changes.get("mixer", "relational") != "relational":
        overrides["head_kinds"] = ()
    overrides |= {name: value for name, value in changes.items() if name not in ours}
    return chosen, GramConfig.from_json({**preset(preset_name, task).to_json(), **overrides})


def _setting(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError("set", text, "must be NAME=VALUE")
    try:
        read = json.loads(value)
    except json.JSONDecodeError:
        read = value
    if name == "denoising":
        if not isinstance(read, dict):
            raise ConfigError("denoising", value, 'must be JSON, as {"noise": "fixed"}')
        try:
            read = Denoising(**read)
        except TypeError as error:
            raise ConfigError("denoising", read, str(error)) from error
    if name == "depths":
        read = (Depths(until=1.0, num_steps=int(read)),)
    return name, read
