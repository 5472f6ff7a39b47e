"""``gram-lab compare``: one recipe against variants at an equal budget.

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
from types import MappingProxyType
from typing import Any

import torch

from gram_core import puzzles
from gram_core.checkpoint import load_model, save_model
from gram_core.config import GramConfig
from gram_core.errors import CoreError
from gram_core.flops import step_flops
from gram_core.puzzles.base import Task
from gram_lab.data.instances import read_cases
from gram_lab.evaluate.measure import measure
from gram_lab.evaluate.rollouts import Running
from gram_lab.train.budget import Budget
from gram_lab.train.recipe import Recipe, choices
from gram_lab.train.sources import training_source
from gram_lab.train.trainer import Execution, Trainer

BACKWARD_SHARE = 2.0
"""FLOP of a backward pass over those of its forward pass."""
NUM_CASES = 120
WIDTH = 8
LAST_SHARE = 0.1
"""Part of a run, at its end, whose training loss is averaged."""

COMMON: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "recipe as it is": (),
        "plain attention": ("mixer=attention",),
        "token mixing": ("mixer=token",),
        "D 64": ("dim=64", "ffn_dim=128"),
        "D 96": ("dim=96", "ffn_dim=192"),
        "D 128": ("dim=128", "ffn_dim=256"),
        "D 192": ("dim=192", "ffn_dim=384"),
        "K 2": ("num_inner_steps=2",),
        "K 6": ("num_inner_steps=6",),
        "T 2": ("num_transitions=2",),
        "Muon": ("optimizer=muon",),
        "Muon, gated norm": ("optimizer=muon", "gate=norm"),
        "AdamW, gated norm": ("gate=norm",),
        "winner-take-all of 4": ("num_siblings=4", "learns=best"),
        "random z_0": ("initial_state=random",),
        "stored z_0": ("initial_state=fixed",),
        "pure noise (mu = 0)": ("guidance=noise",),
        "no guidance": ("guidance=none", "prior_share=1.0"),
        "4 steps a trajectory": ("depths=4",),
        "16 steps a trajectory": ("depths=16",),
        "half of the rows posterior": ("prior_share=0.5",),
        "prior rows only": ("prior_share=1.0",),
        "label smoothing 0.2": ("label_smoothing=0.2",),
    }
)
RATED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "all ratings": ("max_rating=9.9",),
        "all ratings, 30 % very hard": ("max_rating=9.9", "hard_share=0.3"),
        "all ratings, 70 % very hard": ("max_rating=9.9", "hard_share=0.7"),
    }
)
SEVERAL: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "aim: drawn solution": ("aim=drawn",),
        "aim: 4 siblings matched": ("aim=matched", "num_siblings=4"),
    }
)


def variants(task: Task) -> dict[str, tuple[str, ...]]:
    """Return the settings to compare for a task, by what people call them.

    The recipe itself comes first; of the others, those that change something.
    """
    named = {**COMMON, **(RATED if task.name == "sudoku-9x9" else SEVERAL)}
    unchanged = choices(task)
    return {
        name: settings
        for name, settings in named.items()
        if not settings or choices(task, settings=settings) != unchanged
    }


def update_flops(config: GramConfig, recipe: Recipe, task: Task) -> float:
    """Return the FLOP of one update: all transitions forward, the last one backward too."""
    last = 1.0 + BACKWARD_SHARE
    share = (config.num_transitions - 1 + last) / config.num_transitions
    return recipe.num_rows * share * step_flops(config, task)


def run(
    task: Task, settings: Sequence[str], *, flops: float, seed: int, options: argparse.Namespace
) -> dict[str, object]:
    """Train one variant for its share of updates and return what it ended with."""
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
    trainer.update(0.0)
    start_s = time.process_time()
    for progress in trainer.run():
        if progress <= 1.0 - LAST_SHARE:
            trainer.tally.take()
    figures = trainer.tally.take()
    return {
        "updates": trainer.num_updates,
        "cpu_ms_per_update": round(1e3 * (time.process_time() - start_s) / num_updates, 1),
        "flops": per_update * num_updates,
        "cross_entropy": figures["cross_entropy"],
        "kl_nats": figures["kl_nats"],
        **_judged(trainer, task, options),
    }


def _judged(trainer: Trainer, task: Task, options: argparse.Namespace) -> dict[str, object]:
    """Return what the averaged weights solve of the held-out instances."""
    with TemporaryDirectory() as folder:
        save_model(
            Path(folder),
            trainer.ema.averaged,
            name=task.name,
            task=task,
            depth=trainer.recipe.default_depth,
            dtype=torch.float32,
        )
        cases = read_cases(task, options.cases, limit=NUM_CASES)
        report = measure(
            load_model(Path(folder)),
            cases,
            width=WIDTH,
            depth=options.depth,
            is_complete=True,
            running=Running(is_bf16=options.bf16),
        )[0].to_json()
    return {name: report[name] for name in ("single", "solved", "distinct", "coverage")}


def main(arguments: Sequence[str]) -> int:
    """Run every variant that the output does not hold yet; 2 with one sentence on an error."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    if options.table:
        print(table(_lines(options.output)))
        return 0
    try:
        task = puzzles.task(options.puzzle)
        chosen, config = choices(task)
        flops = options.updates * update_flops(config, chosen, task)
        done = {(line["variant"], line["seed"]) for line in _lines(options.output)}
        for seed in range(options.seeds):
            for name, settings in variants(task).items():
                if (name, seed) in done or (options.only and name not in options.only):
                    continue
                result = run(task, settings, flops=flops, seed=seed, options=options)
                line = {"variant": name, "settings": list(settings), "seed": seed, **result}
                with options.output.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
                print(json.dumps(line), flush=True)
    except CoreError as error:
        print(f"gram-lab compare: {error}", file=sys.stderr)
        return 2
    return 0


def _lines(output: Path) -> list[dict[str, Any]]:
    if not output.exists():
        return []
    return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return the runs as a Markdown table, each variant's seeds averaged."""
    head = (
        "| variant | seeds | updates | ms / update | cross-entropy | width 1 | width 8 | coverage |"
    )
    rows = [head, "|---|---|---|---|---|---|---|---|"]
    for name in dict.fromkeys(line["variant"] for line in lines):
        runs = [line for line in lines if line["variant"] == name]
        shares = [_mean(runs, column) for column in ("single", "solved", "coverage")]
        cells = " | ".join("-" if share is None else f"{100 * share:.1f} %" for share in shares)
        rows.append(
            f"| {name} | {len(runs)} | {runs[0]['updates']} | "
            f"{_mean(runs, 'cpu_ms_per_update'):.0f} | {_mean(runs, 'cross_entropy'):.3f} | "
            f"{cells} |"
        )
    return "\n".join(rows)


def _mean(runs: Sequence[Mapping[str, Any]], column: str) -> float | None:
    values = [run[column] for run in runs if run[column] is not None]
    return sum(values) / len(values) if values else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gram-lab compare", description=__doc__)
    parser.add_argument("puzzle", help="task to train for, such as nqueens-8")
    parser.add_argument("--output", type=Path, required=True, help="JSON lines to append to")
    parser.add_argument("--updates", type=int, default=400, help="of the recipe as it is")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", action="append", help="a variant's name; may be repeated")
    parser.add_argument("--data", type=Path, help="folder of training files (sudoku-9x9)")
    parser.add_argument("--cases", type=Path, help="file of instances to judge by")
    parser.add_argument("--depth", type=int, default=16, help="supervision steps when judged")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--table", action="store_true", help="only print the output as a table")
    parser.add_argument("--bf16", action="store_true", help="products in bfloat16")
    parser.add_argument("--compile", action="store_true", help="compile the training step")
    return parser
