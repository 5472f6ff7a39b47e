"""``gram-server evaluate``: how well a checkpoint does, as a table or JSON."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from gram_core import puzzles
from gram_core.catalog import ModelInfo, find_model, shipped_models
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.errors import ConfigError, CoreError
from gram_core.evaluation.instances import read_cases
from gram_core.evaluation.measure import measure
from gram_core.evaluation.options import command_line, parser, running
from gram_core.evaluation.page import write_tables
from gram_core.evaluation.paper import Trial, paper_tables
from gram_core.evaluation.plan import Plan
from gram_core.training.pools import EDGE_PROBABILITIES


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code: 0, or 2 with one sentence on stderr."""
    options = parser().parse_args(arguments)
    try:
        if options.threads:
            torch.set_num_threads(options.threads)
        if options.paper_tables:
            _print_tables(options, command_line(arguments))
        else:
            result = evaluate(options)
            print(json.dumps(result, indent=2) if options.json else _table(result))
    except CoreError as error:
        print(f"gram-server evaluate: {error}", file=sys.stderr)
        return 2
    return 0


def evaluate(options: argparse.Namespace) -> dict[str, object]:
    """Return the reports of one evaluation as JSON values."""
    loaded = _loaded(options)
    cases = read_cases(
        loaded.task,
        options.data,
        limit=options.limit,
        edge_probabilities=options.edge_probability or EDGE_PROBABILITIES,
    )
    start_s = time.monotonic()
    reports = measure(
        loaded,
        cases,
        width=options.width,
        depth=options.depth or loaded.info.depth,
        seed=options.seed,
        augment=not options.no_augment,
        is_complete=options.all_trajectories,
        running=running(options),
    )
    return {
        "model": loaded.info.id,
        "data": options.data.name if options.data else "held-out, generated",
        "seconds": round(time.monotonic() - start_s, 1),
        "threads": torch.get_num_threads(),
        "device": options.device,
        "precision": options.precision,
        "augment": not options.no_augment,
        "reports": [report.to_json() for report in reports],
    }


def model_for(puzzle: str, model: str | None) -> ModelInfo:
    """Return the model at a path, or the shipped model for a task or family."""
    if model:
        return find_model(model)
    chosen = _shipped([puzzle])
    return chosen[0] if chosen else find_model(puzzle)


def _shipped(names: Sequence[str]) -> list[ModelInfo]:
    """Return the shipped models of tasks and families."""
    return [
        info
        for info in shipped_models()
        if {info.name, info.task, puzzles.task(info.task).family} & set(names)
    ]


def _loaded(options: argparse.Namespace) -> LoadedModel:
    if options.puzzle is None and options.model is None:
        raise ConfigError("puzzle", None, "name a task, such as sudoku-9x9, or pass --model")
    return load_model(model_for(options.puzzle, options.model), options.device)


def _models(options: argparse.Namespace) -> list[LoadedModel]:
    """Return the models that tables are wanted of: one, those of some tasks, or all shipped."""
    if options.model or options.puzzle:
        return [_loaded(options)]
    chosen = _shipped(options.tables) if options.tables else list(shipped_models())
    if not chosen:
        raise ConfigError("tables", options.tables, "no shipped model is for any of these")
    return [load_model(info, options.device) for info in chosen]


def _plan(options: argparse.Namespace, command: str) -> Plan:
    return Plan(
        command=command,
        running=running(options),
        seeds=options.seeds or (options.seed,),
        has_ablations=not options.no_ablations,
        twins=tuple(load_model(find_model(each), options.device) for each in options.twin),
    )


def _print_tables(options: argparse.Namespace, command: str) -> None:
    trial = Trial(data=options.data, limit=options.limit)
    if options.edge_probability:
        trial = replace(trial, edge_probabilities=(options.edge_probability,))
    found = []
    for table in paper_tables(_models(options), _plan(options, command), trial):
        found.append(table.to_json())
        if options.output:
            write_tables(options.output, [table])
        if not options.json:
            print(table.to_markdown(), flush=True)
    if options.json:
        print(json.dumps(found, indent=2))


def _table(result: dict[str, object]) -> str:
    reports = result["reports"]
    assert isinstance(reports, list)
    lines = [f"{result['model']} on {result['data']}, {result['seconds']} s"]
    lines.append("group            instances  solved  single  distinct  coverage  steps/puzzle")
    for report in reports:
        lines.append(
            f"{report['group']:<16} {report['instances']:>9} {_percent(report['solved'])} "
            f"{_percent(report['single'])} {_number(report['distinct'])} "
            f"{_percent(report['coverage'])} {report['steps_per_puzzle']:>12.1f}"
        )
        by_width = report["solved_by_width"].items()
        shares = ", ".join(f"{width}: {100 * share:.1f} %" for width, share in by_width)
        lines.append(f"  by width  {shares}")
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return f"{'-':>8}" if share is None else f"{100 * share:7.2f}%"


def _number(value: float | None) -> str:
    return f"{'-':>8}" if value is None else f"{value:8.2f}"
