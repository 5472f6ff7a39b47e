"""``gram-lab evaluate``: how well a checkpoint does, as a table or JSON."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from gram_core import puzzles
from gram_core.catalog import ModelInfo, find_model, shipped_models
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.errors import ConfigError, CoreError
from gram_core.puzzles import Task
from gram_lab.data.graphs import EdgeProbabilities
from gram_lab.data.instances import held_out_cases, read_cases, read_data, spread
from gram_lab.data.pools import EDGE_PROBABILITIES
from gram_lab.evaluate import tables
from gram_lab.evaluate.options import command_line, parser, running
from gram_lab.evaluate.published import NUM_TEST_GRAPHS, SUDOKU_TASK
from gram_lab.evaluate.report import measure
from gram_lab.evaluate.table import GRID, PAPER_TABLES, Table, write_tables
from gram_lab.evaluate.tables import TestSet
from gram_lab.evaluate.variants import Plan
from gram_lab.intervals import wilson

WITH_MANY_SOLUTIONS = ("nqueens", "graph-coloring")
GENERATED = "held-out, generated"
TEXTBOOK_PROBABILITY: EdgeProbabilities = (0.5, 0.5)


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    try:
        if options.threads:
            torch.set_num_threads(options.threads)
        models = _models(options)
        if options.grid or options.paper_tables or models[0].info.purpose == "generate":
            _print_tables(options, _tables(models, options, command_line(arguments)))
        else:
            result = evaluate(models[0], options)
            print(json.dumps(result, indent=2) if options.json else _shown(result))
            for refusal in result["unread"]:
                print(f"gram-lab evaluate: {refusal}", file=sys.stderr)
            return 2 if result["unread"] else 0
    except CoreError as error:
        print(f"gram-lab evaluate: {error}", file=sys.stderr)
        return 2
    return 0


def evaluate(loaded: LoadedModel, options: argparse.Namespace) -> dict[str, Any]:
    """Measure on what can be read of the data; ``unread`` names the rest."""
    if options.data:
        cases, unread = read_data(loaded.task, options.data, limit=options.limit)
    else:
        cases, unread = _test_set(loaded.task, options).cases, []
    start_s = time.monotonic()
    reports = measure(
        loaded,
        cases,
        width=options.width,
        depth=options.depth or loaded.info.depth,
        seed=options.seed,
        augment=not options.no_augment,
        halt=options.halt,
        is_complete=options.all_trajectories,
        running=running(options),
    )
    return {
        "model": loaded.info.id,
        "data": options.data.name if options.data else GENERATED,
        "unread": unread,
        "seconds": round(time.monotonic() - start_s, 1),
        "threads": torch.get_num_threads(),
        "device": options.device,
        "precision": options.precision,
        "augment": not options.no_augment,
        "halt": options.halt,
        "reports": [report.to_json() for report in reports],
    }


def _models(options: argparse.Namespace) -> list[LoadedModel]:
    """Return the requested model or, for the paper's tables, those of tasks, or all."""
    if options.model:
        chosen = [find_model(options.model)]
    elif options.puzzle:
        chosen = _shipped([options.puzzle])[:1] or [find_model(options.puzzle)]
    elif not options.paper_tables:
        raise ConfigError("puzzle", None, "name a task, such as sudoku-9x9, or pass --model")
    else:
        chosen = _shipped(options.tables) if options.tables else list(shipped_models())
        if not chosen:
            raise ConfigError("tables", options.tables, "no shipped model is for any of these")
    return [load_model(info, options.device) for info in chosen]


def _shipped(names: Sequence[str]) -> list[ModelInfo]:
    return [info for info in shipped_models() if _names(info) & set(names)]


def _names(info: ModelInfo) -> set[str]:
    if info.purpose == "generate":
        return {info.name, info.purpose}
    return {info.name, info.task, puzzles.task(info.task).family}


def _tables(
    models: Sequence[LoadedModel], options: argparse.Namespace, command: str
) -> Iterator[Table]:
    plan = Plan(
        command=command,
        running=running(options),
        seeds=options.seeds or (options.seed,),
        has_ablations=not options.no_ablations,
        twins=tuple(load_model(find_model(each), options.device) for each in options.twin),
    )
    for loaded in models:
        if options.grid:
            test, depth = _test_set(loaded.task, options), options.depth or loaded.info.depth
            yield tables.grid_table(loaded, test, plan, width=options.width, depth=depth)
        elif loaded.info.purpose == "generate":
            num_samples = options.limit or tables.NUM_SAMPLES
            yield tables.generation_table(loaded, plan, num_samples=num_samples)
        else:
            has_many = loaded.task.family in WITH_MANY_SOLUTIONS
            make = tables.sampling_table if has_many else tables.solving_table
            has_data = len(models) == 1 or loaded.task.name == SUDOKU_TASK
            for test in paper_sets(loaded.task, options, has_data=has_data):
                yield make(loaded, test, plan)


def _test_set(task: Task, options: argparse.Namespace) -> TestSet:
    probabilities = options.edge_probability or EDGE_PROBABILITIES
    cases = read_cases(task, options.data, limit=options.limit, edge_probabilities=probabilities)
    return TestSet("", options.data.name if options.data else GENERATED, cases)


def paper_sets(task: Task, options: argparse.Namespace, *, has_data: bool) -> list[TestSet]:
    """Return the paper's test sets of a task, as far as it states them.

    ``has_data``: whether the file of puzzles is for this task.
    """
    limit = options.limit
    if task.family == "nqueens":
        data = "held-out boards with 1 to 3 queens, no symmetric image of a training board"
        return [TestSet("", data, spread(held_out_cases(task), limit))]
    if task.family != "graph-coloring":
        path = options.data if has_data else None
        cases = read_cases(task, path, limit=limit)
        return [TestSet("", path.name if path else "held out or freshly made", cases)]
    chosen = options.edge_probability
    found = []
    for low, high in [chosen] if chosen else [TEXTBOOK_PROBABILITY, EDGE_PROBABILITIES]:
        name = f"edge probability {low:g}" + ("" if low == high else f" to {high:g}")
        number = NUM_TEST_GRAPHS.get(task.name)
        cases = held_out_cases(task, edge_probabilities=(low, high), num_graphs=number)
        data = f"held-out random graphs of {name} that three colours suffice for"
        found.append(TestSet(name, data, spread(cases, limit)))
    return found


def _print_tables(options: argparse.Namespace, found: Iterator[Table]) -> None:
    shown = []
    for table in found:
        if options.output:
            write_tables(options.output, GRID if options.grid else PAPER_TABLES, [table])
        shown.append(table.to_json())
        if not options.json:
            print(table.to_markdown(), flush=True)
    if options.json:
        print(json.dumps(shown, indent=2))


def _shown(result: dict[str, object]) -> str:
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
        shares = [
            (width, *wilson(share, report["instances"]))
            for width, share in report["solved_by_width"].items()
        ]
        lines += [
            f"  width {width}: {100 * share:.1f} % (95 %: {100 * low:.1f} to {100 * high:.1f})"
            for width, share, low, high in shares
        ]
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return f"{'-':>8}" if share is None else f"{100 * share:7.2f}%"


def _number(value: float | None) -> str:
    return f"{'-':>8}" if value is None else f"{value:8.2f}"
