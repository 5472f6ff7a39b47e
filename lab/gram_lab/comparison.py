"""``gram-lab compare``: a recipe against variants of it, trained from scratch at an equal budget.

Every run gets the same training FLOP, so a variant with dearer updates makes fewer of them. What a
run ends with is measured on instances kept out of training. One JSON line a run is appended to the
output, so that an interrupted comparison goes on where it stopped.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from gram_core import puzzles
from gram_core.checkpoint import load_model, save_model
from gram_core.config import GramConfig
from gram_core.errors import ConfigError, CoreError
from gram_core.flops import step_flops
from gram_core.puzzles import Task
from gram_lab.data.instances import read_cases
from gram_lab.evaluate.report import measure
from gram_lab.rollouts import Running
from gram_lab.train.progress import Budget
from gram_lab.train.recipe import Recipe, choices
from gram_lab.train.sources import training_source
from gram_lab.train.trainer import Execution, Trainer

BACKWARD_SHARE = 2.0
"""FLOP of a backward pass over those of its forward pass."""
NUM_CASES = 120
LAST_SHARE = 0.1
"""Share of a run, at its end, whose training loss is averaged."""
UNCHANGED = "recipe as it is"

Line = Mapping[str, Any]


def variants(named: Sequence[str], common: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the settings of the recipe and of each variant, by name; all have the common ones.

    A variant in ``named`` is such as ``"D 96: dim=96 ffn_dim=192"``.
    """
    found: dict[str, tuple[str, ...]] = {UNCHANGED: tuple(common)}
    for text in named:
        name, colon, settings = text.partition(":")
        if not colon or not settings.strip():
            raise ConfigError("variant", text, "must be like 'D 96: dim=96 ffn_dim=192'")
        found[name.strip()] = (*common, *settings.split())
    return found


def update_flops(config: GramConfig, recipe: Recipe, task: Task) -> float:
    """Return the FLOP of one update: forward, and backward where there is a gradient."""
    if recipe.curriculum == "denoising":
        num_forward = num_backward = recipe.denoising.num_backward_steps
    else:
        num_forward, num_backward = config.num_transitions, 1
    passes = num_forward + BACKWARD_SHARE * num_backward
    return recipe.num_rows * passes / config.num_transitions * step_flops(config, task)


def run(
    task: Task, settings: Sequence[str], *, flops: float, seed: int, options: argparse.Namespace
) -> dict[str, object]:
    chosen, config = choices(task, settings=settings)
    per_update = update_flops(config, chosen, task)
    num_updates = max(1, round(flops / per_update))
    trainer = Trainer(
        config,
        training_source(task, options.data, chosen),
        chosen,
        budget=Budget(updates=num_updates),
        execution=Execution(is_bf16=options.bf16, is_compiled=options.compile),
        seed=seed,
    )
    start_s = time.process_time()
    for progress in trainer.run():
        if progress <= 1.0 - LAST_SHARE:
            trainer.metrics.take()
    figures = trainer.metrics.take()
    return {
        "updates": trainer.num_updates,
        "cpu_ms_per_update": round(1e3 * (time.process_time() - start_s) / num_updates, 1),
        "flops": per_update * num_updates,
        "cross_entropy": figures["cross_entropy"],
        **_measured(trainer, task, options),
    }


def _measured(trainer: Trainer, task: Task, options: argparse.Namespace) -> dict[str, object]:
    """Return solve rates of the averaged weights on held-out instances."""
    with TemporaryDirectory() as folder:
        save_model(
            Path(folder),
            trainer.ema.averaged,
            name=task.name,
            task=task,
            depth=trainer.recipe.default_depth,
            dtype=torch.float32,
        )
        report = measure(
            load_model(Path(folder)),
            read_cases(task, options.cases, limit=NUM_CASES),
            width=options.width,
            depth=options.depth,
            is_complete=True,
            running=Running(is_bf16=options.bf16),
        )[0].to_json()
    return {name: report[name] for name in ("single", "solved", "distinct", "coverage")}


def main(arguments: Sequence[str]) -> int:
    """Run every variant missing from the output; 2 with one sentence on an error."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        if not options.table:
            _run_all(options)
    except CoreError as error:
        print(f"gram-lab compare: {error}", file=sys.stderr)
        return 2
    print(table(_lines(options.output)))
    return 0


def _run_all(options: argparse.Namespace) -> None:
    task = puzzles.task(options.puzzle)
    chosen, config = choices(task, settings=options.set)
    flops = options.updates * update_flops(config, chosen, task)
    done = {(line["variant"], line["seed"]) for line in _lines(options.output)}
    for seed in range(options.seeds):
        for name, settings in variants(options.variant, options.set).items():
            if (name, seed) in done:
                continue
            result = run(task, settings, flops=flops, seed=seed, options=options)
            line = {"variant": name, "settings": list(settings), "seed": seed, **result}
            with options.output.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def _lines(output: Path) -> list[Line]:
    if not output.exists():
        return []
    return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]


def table(lines: Sequence[Line]) -> str:
    """Return the runs as a Markdown table, each variant's seeds averaged."""
    columns = ("updates", "cpu_ms_per_update", "cross_entropy", "single", "solved", "coverage")
    rows = [f"| variant | seeds | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for name in dict.fromkeys(line["variant"] for line in lines):
        runs = [line for line in lines if line["variant"] == name]
        known = [[run[column] for run in runs if run[column] is not None] for column in columns]
        means = (f"{sum(values) / len(values):.4g}" if values else "-" for values in known)
        rows.append(f"| {name} | {len(runs)} | {' | '.join(means)} |")
    return "\n".join(rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gram-lab compare", description=__doc__)
    parser.add_argument("puzzle", help="task to train for, such as nqueens-8")
    parser.add_argument("--output", type=Path, required=True, help="JSON lines to append to")
    parser.add_argument("--variant", action="append", default=[], help="'NAME: SETTING SETTING'")
    parser.add_argument("--set", action="append", default=[], help="setting of all of them")
    parser.add_argument("--updates", type=int, default=400, help="of the recipe as it is")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--data", type=Path, help="folder of training files (sudoku-9x9)")
    parser.add_argument("--cases", type=Path, help="file of instances to judge by")
    parser.add_argument("--width", type=int, default=8, help="trajectories when judged")
    parser.add_argument("--depth", type=int, default=16, help="supervision steps when judged")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--table", action="store_true", help="only print the output as a table")
    parser.add_argument("--bf16", action="store_true", help="products in bfloat16")
    parser.add_argument("--compile", action="store_true", help="compile the training step")
    return parser
