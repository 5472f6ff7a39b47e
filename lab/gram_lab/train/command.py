"""``gram-lab train``: trains a checkpoint under a budget of minutes or updates.

Writes into --output: the model directory, the state to resume from and ``log.jsonl``. Under
torchrun all its processes train one model, each with a part of the rows of every update.
"""

import argparse
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple, get_args

import torch

from gram_core import puzzles
from gram_core.catalog import Purpose
from gram_core.checkpoint import LoadedModel, load_model, save_model
from gram_core.config import PRESETS, Guidance
from gram_core.errors import ConfigError, CoreError
from gram_core.puzzles import Task
from gram_lab.console import progress_bar
from gram_lab.machine import hardware
from gram_lab.train import ranks
from gram_lab.train.log import TRACKERS, log_to
from gram_lab.train.recipe import OURS, Recipe, choices, recipe_names
from gram_lab.train.resume import load_run, save_run
from gram_lab.train.sources import Validity, training_source, validate, validation_examples
from gram_lab.train.trainer import Budget, Execution, Trainer, resized

VALIDATION_SHARE = 0.1
"""At most this share of the time goes into validation: large boards are validated less often."""
SAVE_INTERVAL_S = 180.0
DEFAULT_MINUTES = 25.0
VALIDATION_WIDTH = {"rollouts": 8, "denoising": 1}
"""The denoising curriculum is validated by single long trajectories."""
RUN_FOLDER = "run"
GENERATE_SUFFIX = "-generate"
PRESET_RECIPES = {"paper": "gram"}
_SIZES = re.compile(r"(.+)-([0-9]+)\.\.([0-9]+)")


class Trained(NamedTuple):
    """A freshly trained checkpoint, and its training command."""

    folder: Path
    loaded: LoadedModel
    command: str
    """The command line."""
    minutes: float
    num_updates: int
    hardware: str
    recipe: Recipe


def main(arguments: Sequence[str], *, finish: Callable[[Trained], None]) -> int:
    options = parser().parse_args(arguments)
    try:
        with ranks.joined(options.device):
            trained = train(options, arguments)
        if trained:
            finish(trained)
    except CoreError as error:
        print(f"gram-lab train: {error}", file=sys.stderr)
        return ranks.leave(2)
    return ranks.leave(0)


def train(options: argparse.Namespace, arguments: Sequence[str]) -> Trained | None:
    """Train to the end; return what the first rank tells of it."""
    num_cores = (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    torch.set_num_threads(options.threads or max(1, num_cores))
    purpose: Purpose = "generate" if options.puzzle.endswith(GENERATE_SUFFIX) else "solve"
    tasks = _tasks(options.puzzle.removesuffix(GENERATE_SUFFIX))
    words = {"guidance": options.guidance, "mixer": options.mixer}
    named = [f"{name}={value}" for name, value in words.items() if value]
    chosen, config = choices(
        tasks[0],
        purpose=purpose,
        recipe=options.recipe or PRESET_RECIPES.get(options.preset, OURS),
        preset_name="tiny" if options.preset == "tiny" else None,
        settings=[*options.set, *named],
    )
    sources = [training_source(each, options.data, chosen, purpose=purpose) for each in tasks]
    trainer = Trainer(
        config,
        sources[0],
        chosen,
        others=sources[1:],
        budget=_budget(options, chosen, chosen.update_flops(config, tasks[0])),
        execution=_execution(options),
        seed=options.seed,
    )
    if options.init:
        trainer.start_from(options.init)
    if options.resume:
        load_run(options.resume / RUN_FOLDER, trainer)
    _Session(trainer, purpose, options).run()
    if not ranks.is_first():
        return None
    processes = f"{ranks.count()} processes of " if ranks.count() > 1 else ""
    return Trained(
        folder=options.output,
        loaded=load_model(options.output),
        command="gram-lab train " + " ".join(arguments),
        minutes=trainer.budget.used_s / 60.0,
        num_updates=trainer.num_updates,
        hardware=processes + hardware(torch.device(options.device)),
        recipe=chosen,
    )


def _budget(options: argparse.Namespace, chosen: Recipe, update_flops: float) -> Budget:
    updates = options.updates
    if options.flop is not None:
        updates = max(1, round(options.flop / update_flops))
    elif updates is None and options.minutes is None:
        updates = chosen.num_updates
    minutes = DEFAULT_MINUTES if options.minutes is None else options.minutes
    return Budget(updates=updates, minutes=minutes if updates is None else None)


def _tasks(text: str) -> list[Task]:
    """Return the task of a name, or those of a range such as ``nqueens-4..12``, largest first."""
    sizes = _SIZES.fullmatch(text)
    if sizes is None:
        return [puzzles.task(text)]
    family, first, last = sizes[1], int(sizes[2]), int(sizes[3])
    if first > last:
        raise ConfigError("puzzle", text, "has no size in it")
    return [puzzles.task(f"{family}-{size}") for size in range(last, first - 1, -1)]


class _Session:
    """Progress, log and checkpoints of a run."""

    def __init__(self, trainer: Trainer, purpose: Purpose, options: argparse.Namespace) -> None:
        self._trainer, self._purpose, self._output = trainer, purpose, options.output
        self._tell = log_to(options.log if ranks.is_first() else "jsonl", options.output)
        self._tasks = [source.task for source in trainer.sources]
        self._name = self._tasks[0].name if len(self._tasks) > 1 else options.puzzle
        self._examples = [validation_examples(each, purpose=purpose) for each in trainer.sources]
        self._logged_s = self._saved_s = time.monotonic()
        self._least_interval_s = self._log_interval_s = options.validate_every
        self._logged_updates = trainer.num_updates

    def run(self) -> None:
        """Train; what one process alone has learned is saved whatever ends it."""
        try:
            with progress_bar() if ranks.is_first() else nullcontext(lambda *_: None) as show:
                self._run(show)
        except BaseException:
            # Of several ranks none can tell what the others are at.
            if ranks.count() == 1:
                self._save()
            raise
        self._save()

    def _run(self, show: Callable[[float, str], None]) -> None:
        text = "measuring"
        show(0.0, text)
        for progress in self._trainer.run():
            now_s = time.monotonic()
            is_due = now_s - self._logged_s >= self._log_interval_s or progress >= 1.0
            if is_due and ranks.is_first():
                text = self._log(progress, now_s)
            if ranks.agreed(now_s - self._saved_s >= SAVE_INTERVAL_S):
                self._save()
                self._saved_s = now_s
            show(progress, text)

    def _log(self, progress: float, now_s: float) -> str:
        """Validate and log; return the figures in a few words."""
        trainer = self._trainer
        by_task = {
            task.name: validate(
                resized(trainer.ema.averaged, task),
                task,
                examples,
                width=VALIDATION_WIDTH[trainer.recipe.curriculum],
                depth=trainer.recipe.num_steps(progress),
            )
            for task, examples in zip(self._tasks, self._examples, strict=True)
        }
        found = Validity(
            *(sum(each) / len(by_task) for each in zip(*by_task.values(), strict=True))
        )
        updates = max(1, trainer.num_updates - self._logged_updates)
        figures = {
            "progress": progress,
            "updates": trainer.num_updates,
            "update_ms": 1e3 * (now_s - self._logged_s) / updates,
            **trainer.metrics.take(),
            **{f"probe_{name}": value for name, value in found._asdict().items()},
            "probe_by_task": {name: each.solved for name, each in by_task.items()},
        }
        self._tell(figures)
        self._logged_s, self._logged_updates = time.monotonic(), trainer.num_updates
        self._log_interval_s = max(
            self._least_interval_s, (self._logged_s - now_s) / VALIDATION_SHARE
        )
        return (
            f"loss {figures['loss']:.3f}, prior valid {found.valid:.2f}, "
            f"solved {found.solved:.2f}, distinct {found.distinct:.2f}"
        )

    def _save(self) -> None:
        trainer = self._trainer
        save_run(self._output / RUN_FOLDER, trainer)
        if not ranks.is_first():
            return
        save_model(
            self._output,
            trainer.averaged(),
            name=self._name,
            task=self._tasks[0],
            others=self._tasks[1:],
            depth=trainer.recipe.default_depth,
            dtype=torch.bfloat16,
            purpose=self._purpose,
        )


def _execution(options: argparse.Namespace) -> Execution:
    is_cpu = options.device == "cpu"
    is_bf16, is_compiled = options.precision == "bf16", options.compile == "on"
    if options.precision == "auto":
        # Processors with AMX multiply bfloat16 several times faster, others slower.
        left, right = torch.randn(4096, 128), torch.randn(128, 256)
        is_faster = _seconds(left.bfloat16(), right.bfloat16()) < 0.7 * _seconds(left, right)
        is_bf16 = bool(ranks.agreed(not is_cpu or is_faster))
    if options.compile == "auto":
        is_compiled = not is_cpu or shutil.which("c++") is not None
    return Execution(
        device=options.device,
        is_bf16=is_bf16,
        is_compiled=is_compiled,
        num_parts=options.accumulate,
    )


def _seconds(left: torch.Tensor, right: torch.Tensor) -> float:
    torch.mm(left, right)
    start_s = time.perf_counter()
    for _ in range(20):
        torch.mm(left, right)
    return time.perf_counter() - start_s


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gram-lab train", description=__doc__)
    add = parser.add_argument
    text = "task to train for, such as nqueens-8, or sudoku-9x9-generate; nqueens-4..12 trains one "
    add("puzzle", help=text + "set of weights for all of these sizes")
    add("--output", type=Path, required=True, help="folder of the checkpoint")
    add("--data", type=Path, help="folder of training files (sudoku-9x9)")
    named = parser.add_mutually_exclusive_group()
    text = "a file, or one of " + ", ".join(recipe_names()) + " (default ours)"
    named.add_argument("--recipe", help=text)
    text = "paper: --recipe gram; small: --recipe ours; tiny: a model for tests"
    named.add_argument("--preset", choices=PRESETS, help=text)
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, help="time budget (default 25, or the recipe's)")
    budget.add_argument("--updates", type=int, help="number of updates instead of minutes")
    text = "so many updates as take this many FLOP: an equal budget for recipes to compare"
    budget.add_argument("--flop", type=float, help=text)
    add("--resume", type=Path, help="--output folder of a run to go on with")
    add("--init", type=Path, help="checkpoint whose weights to begin with")
    add("--guidance", choices=get_args(Guidance))
    add("--mixer", choices=("relational", "attention", "token"))
    text = "another value for a field of the recipe or of the architecture, such as dim=96"
    add("--set", action="append", default=[], metavar="NAME=VALUE", help=text)
    add("--device", default="cpu")
    add("--threads", type=int)
    add("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    add("--compile", choices=("auto", "on", "off"), default="auto")
    text = "backward passes of an update, one after another: less memory, the same update"
    add("--accumulate", type=int, default=1, metavar="N", help=text)
    text = "where figures go beside log.jsonl (default nowhere)"
    add("--log", choices=TRACKERS, default="jsonl", help=text)
    add("--validate-every", type=float, default=20.0, metavar="SECONDS")
    add("--seed", type=int, default=0)
    return parser
