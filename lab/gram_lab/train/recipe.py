"""Training recipes: every choice of a run, from the files in ``recipes`` or one of the user's own.

A file holds fields of ``Recipe`` and of ``GramConfig`` for all tasks, and in ``tasks`` others by
family, by task, or for ``generate``; the narrower one wins.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from gram_core import puzzles
from gram_core.catalog import Purpose
from gram_core.config import GramConfig, preset
from gram_core.errors import ConfigError
from gram_core.flops import step_flops
from gram_core.puzzles import Task

Optimizer = Literal["adamw", "muon"]
Curriculum = Literal["rollouts", "denoising"]
Noise = Literal["annealed", "fixed", "fed-back", "drawn"]
DenoisingLoss = Literal["squared", "cross-entropy"]
Aim = Literal["drawn", "nearest", "matched"]
"""``drawn``: one solution, drawn uniformly; ``nearest``: the one with the lowest loss;
``matched``: siblings are assigned to different solutions, nearest pairs first."""
Learns = Literal["all", "best"]
Charges = Literal["all", "last"]
"""Transitions whose KL is charged."""
BACKWARD_SHARE = 2.0
"""FLOP of a backward pass over those of its forward pass."""


SHARES = (
    *("hold", "warmup", "prior_share", "label_smoothing"),
    *("hard_share", "open_share", "ema_decay", "until"),
)


def _check_fields(chosen: Any) -> None:
    """Raise ``ConfigError`` for a value that its field cannot have."""
    for each in fields(chosen):
        value = getattr(chosen, each.name)
        if get_origin(each.type) is Literal:
            words = get_args(each.type)
            if value not in words:
                raise ConfigError(each.name, value, f"must be one of {', '.join(words)}")
        elif each.type is bool and not isinstance(value, bool):
            raise ConfigError(each.name, value, "must be true or false")
        elif each.type is float:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            most = 1.0 if each.name in SHARES else float("inf")
            if not is_number or not 0.0 <= value <= most:
                raise ConfigError(each.name, value, f"must be a number from 0 to {most:g}")
        elif each.type in (int, int | None):
            is_count = isinstance(value, int) and value >= 1
            if not is_count and (each.type is int or value is not None):
                raise ConfigError(each.name, value, "must be a whole number of at least 1")


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
        _check_fields(self)
        if not 1 <= self.num_backward_steps <= self.min_steps <= self.max_steps:
            raise ConfigError(
                "denoising", self, "needs 1 <= num_backward_steps <= min_steps <= max_steps"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Depths:
    """How many supervision steps a trajectory takes up to a share of the budget."""

    until: float
    num_steps: int

    def __post_init__(self) -> None:
        _check_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Every choice of a run that is not the architecture."""

    curriculum: Curriculum = "rollouts"
    """``rollouts``: the model's own trajectories, a loss on each step; ``denoising``: episodes
    whose input mixes the target with less and less noise."""
    denoising: Denoising = Denoising()
    num_updates: int | None = None
    """Of a whole run: the budget where the command names none."""
    num_rows: int = 64
    """Trajectories in one update."""
    learning_rate: float = 2e-3
    """Peak; cosine to zero inside the budget."""
    hold: float = 0.0
    """Share of the budget in which the rate stays at its peak before the cosine begins; at 1 it is
    constant."""
    warmup: float = 0.01
    """Share of the budget in which the rate rises."""
    optimizer: Optimizer = "adamw"
    muon_learning_rate: float = 0.02
    """Peak for the matrices of the stacks where ``optimizer`` is ``muon``."""
    weight_decay: float = 0.01
    clip: float = 1.0
    beta: float = 0.1
    """Weight of the KL (the paper's value for Sudoku)."""
    charges: Charges = "all"
    """Transitions of a posterior row whose KL is charged; ``last`` is the paper's."""
    prior_share: float = 0.9
    """Share of trajectories guided by the prior, as at inference; the halt and value heads learn
    from these only."""
    label_smoothing: float = 0.0
    aim: Aim = "drawn"
    """Which compatible solution is the target of prior rows."""
    num_siblings: int = 1
    """Trajectories of one puzzle that run side by side."""
    learns: Learns = "all"
    """``best``: only the best of the siblings learns (winner-take-all)."""
    heads_weight: float = 0.05
    """Weight of the halt and value losses; above 0.05 they hurt."""
    auxiliary_weight: float = 0.0
    """Weight of what the cells are to tell beside their answer, by a head that is not saved:
    in mazes the first move to the goal (``Examples.auxiliary``). Not 0, cells are charged for an
    answer only from the step on that can know it."""
    max_rating: float = 2.6
    """Hardest puzzle (SER) drawn from files of rated puzzles."""
    hard_share: float = 0.0
    """Share of unrated, very hard puzzles drawn from such files."""
    open_share: float = 0.0
    """Share of boards from such files that keep few or no givens: many answers are right."""
    ema_decay: float = 0.999
    shares_stack: bool = False
    """f_L and f_H are one stack, as in TRM; checkpoints hold it twice."""
    depths: tuple[Depths, ...] = (Depths(until=1.0, num_steps=16),)
    default_depth: int = 32
    """Supervision steps the checkpoint takes when the caller does not say."""

    def __post_init__(self) -> None:
        _check_fields(self)
        if self.num_rows % self.num_siblings:
            raise ConfigError("num_rows", self.num_rows, "must be a multiple of num_siblings")
        if not self.depths or self.depths[-1].until < 1.0:
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


OURS = "ours"
OWN = frozenset(each.name for each in fields(Recipe))
ABOUT = ("source", "preset", "tasks", "published", "measured", "runs")
"""What a file says beside settings. Figures are lists, empty where there are none."""


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with this package."""
    folder = files("gram_lab").joinpath("recipes")
    return sorted(each.name.removesuffix(".toml") for each in folder.iterdir())


def read_recipe(name: str) -> dict[str, Any]:
    """Return what the recipe of a name, or a file, says of all tasks.

    Raises:
        ConfigError: it cannot be read.
        UnknownTask: it is for a task that does not exist.
    """
    own = files("gram_lab").joinpath("recipes", f"{name}.toml")
    path = own if name in recipe_names() else Path(name)
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        known = ", ".join(recipe_names())
        raise ConfigError("recipe", name, f"is no file, and none of {known}") from error
    except (OSError, ValueError) as error:
        raise ConfigError("recipe", name, f"cannot be read: {error}") from error
    for task, values in found.get("tasks", {}).items():
        if not isinstance(values, dict):
            raise ConfigError(f"tasks.{task}", values, "must be a table of settings")
        if task != "generate" and task not in puzzles.families():
            puzzles.task(task)
    return found


def choices(
    task: Task,
    *,
    purpose: Purpose = "solve",
    recipe: str = OURS,
    preset_name: str | None = None,
    settings: Sequence[str] = (),
) -> tuple[Recipe, GramConfig]:
    """Return the recipe and the architecture of a run; ``ConfigError`` for what cannot be.

    ``recipe`` is a name or a file, ``preset_name`` an architecture in place of the recipe's.
    ``settings`` are ``name=value`` for fields of either, values as JSON or plain words. Guidance
    ``none`` is the deterministic twin.
    """
    changes = dict(_setting(text) for text in settings)
    if recipe == OURS and changes.get("curriculum") == "denoising":
        recipe = "denoising"
    file = read_recipe(recipe)
    values = _values_of(file, task, purpose)
    if preset_name:
        values = {name: value for name, value in values.items() if name in OWN}
    if changes.get("guidance") == "none":
        # The deterministic twin has no posterior rows, and the stored z_0.
        values |= {"prior_share": 1.0, "initial_state": "fixed"}
    if changes.get("mixer", "relational") != "relational":
        values["head_kinds"] = ()
    values |= changes
    chosen = Recipe(**{name: value for name, value in values.items() if name in OWN})  # type: ignore[arg-type]
    if chosen.curriculum == "denoising" and task.has_adjacency:
        raise ConfigError("curriculum", "denoising", f"reads no graph, and {task.name} has one")
    base = preset_name or file.get("preset")
    sizes = {name: getattr(task, name) for name in ("vocabulary", "length", "rows", "columns")}
    architecture = preset(base, task).to_json() if base else sizes
    architecture |= {name: value for name, value in values.items() if name not in OWN}
    config = GramConfig.from_json(architecture)
    _check_pair(chosen, config, task)
    return chosen, config


def _check_pair(chosen: Recipe, config: GramConfig, task: Task) -> None:
    """Raise ``ConfigError`` for a recipe, an architecture and a task that do not go together."""
    config.check_task(task)
    if chosen.shares_stack and config.num_low_blocks != config.num_high_blocks:
        raise ConfigError("shares_stack", True, "needs num_low_blocks = num_high_blocks")
    is_denoising = chosen.curriculum == "denoising"
    if is_denoising != (config.guidance == "input"):
        raise ConfigError("guidance", config.guidance, "input and curriculum=denoising go together")


def _values_of(file: Mapping[str, Any], task: Task, purpose: Purpose) -> dict[str, object]:
    """Return the settings of a file for a task."""
    names = ("generate",) if purpose == "generate" else (task.family, task.name)
    parts = [file, *(file.get("tasks", {}).get(name, {}) for name in names)]
    values = {name: _read(name, value) for part in parts for name, value in part.items()}
    values = {name: value for name, value in values.items() if name not in ABOUT}
    side, longest = values.pop("for_side", None), max(task.rows, task.columns)
    if isinstance(side, int) and longest > side:
        # A longer side takes more steps, and leaves memory for fewer rows.
        known = Recipe(**{name: value for name, value in values.items() if name in OWN})  # type: ignore[arg-type]
        values["num_rows"] = max(1, known.num_rows * side // longest)
        values["default_depth"] = known.default_depth * longest // side
        values["depths"] = tuple(
            replace(stage, num_steps=stage.num_steps * longest // side) for stage in known.depths
        )
    return values


def _setting(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError("set", text, "must be NAME=VALUE")
    try:
        read = json.loads(value)
    except json.JSONDecodeError:
        read = value
    return name, _read(name, read)


def _read(name: str, value: Any) -> object:
    """Return the value of a field that is an object of ours; others as they are."""
    try:
        if name == "denoising" and not isinstance(value, dict):
            raise ConfigError(name, value, 'must be JSON, as {"noise": "fixed"}')
        if name == "denoising":
            return Denoising(**value)
        if name == "depths":
            stages = value if isinstance(value, list) else [(1.0, value)]
            return tuple(Depths(until=until, num_steps=number) for until, number in stages)
    except (TypeError, ValueError) as error:
        raise ConfigError(name, value, str(error)) from error
    return value
