"""``gram-lab evaluate``: how well a checkpoint does, as a table or JSON."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from gram_core import puzzles
from gram_core.bound_step import PRODUCTS
from gram_core.catalog import ModelInfo, find_model, shipped_models
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.errors import ConfigError, CoreError
from gram_core.puzzles import Task
from gram_lab.data.arc import CORPORA
from gram_lab.data.graphs import EdgeProbabilities
from gram_lab.data.instances import held_out_cases, read_cases, read_data, spread
from gram_lab.data.pools import EDGE_PROBABILITIES
from gram_lab.evaluate import tables
from gram_lab.evaluate.candidates import Asking, corpus_table, evaluate_corpus
from gram_lab.evaluate.protocols import PROTOCOLS, protocol_table
from gram_lab.evaluate.published import NUM_TEST_GRAPHS, SUDOKU_TASK
from gram_lab.evaluate.report import measure
from gram_lab.evaluate.table import Json, section, write_table
from gram_lab.evaluate.tables import TestSet
from gram_lab.evaluate.variants import Plan
from gram_lab.intervals import wilson
from gram_lab.rollouts import Running

GENERATED = "held-out, generated"
SERVER = "http://127.0.0.1:8000"
TEXTBOOK_PROBABILITY: EdgeProbabilities = (0.5, 0.5)


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    try:
        if options.corpus:
            asking = Asking(
                width=options.width,
                depth=options.depth,
                seed=options.seed,
                augment=not options.no_augment,
            )
            found = evaluate_corpus(options.corpus, options.server, asking, limit=options.limit)
            print(json.dumps(found, indent=2) if options.json else corpus_table(found))
            return 0
        if options.threads:
            torch.set_num_threads(options.threads)
        models = _models(options)
        is_generated = models[0].info.purpose == "generate" and not options.data
        if options.grid or options.paper_tables or options.protocol or is_generated:
            kind = "grid" if options.grid else "protocols" if options.protocol else "paper-tables"
            shown = []
            for table in _tables(models, options, arguments):
                if options.output:
                    write_table(options.output, kind, table)
                shown.append(table)
                if not options.json:
                    print(section(table), flush=True)
            if options.json:
                print(json.dumps(shown, indent=2))
            return 0
        result = evaluate(models[0], options)
        print(json.dumps(result, indent=2) if options.json else _shown(result))
        for refusal in result["unread"]:
            print(f"gram-lab evaluate: {refusal}", file=sys.stderr)
        return 2 if result["unread"] else 0
    except CoreError as error:
        print(f"gram-lab evaluate: {error}", file=sys.stderr)
        return 2


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
        running=_running(options),
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
        "reports": [asdict(report) for report in reports],
    }


def _models(options: argparse.Namespace) -> list[LoadedModel]:
    """Return the requested model or, for the paper's tables, those of tasks, or all."""
    if options.against and not options.protocol:
        raise ConfigError("against", options.against, "two models are compared by a --protocol")
    if options.model:
        chosen = [find_model(options.model)]
    elif options.puzzle:
        chosen = _shipped([options.puzzle])[:1] or [find_model(options.puzzle)]
    elif not options.paper_tables:
        raise ConfigError("puzzle", None, "name a task, such as sudoku-9x9, or pass --model")
    else:
        own = [info for info in shipped_models() if not info.is_late]
        chosen = _shipped(options.tables) if options.tables else own
        if not chosen:
            raise ConfigError("tables", options.tables, "no shipped model is for any of these")
    return [load_model(info, options.device) for info in chosen]


def _shipped(names: Sequence[str]) -> list[ModelInfo]:
    found = []
    for info in shipped_models():
        solves = {info.task, puzzles.task(info.task).family}
        known = {info.purpose} if info.purpose == "generate" else solves
        if {info.name, *known} & set(names):
            found.append(info)
    return found


def _tables(
    models: Sequence[LoadedModel], options: argparse.Namespace, arguments: Sequence[str]
) -> Iterator[Json]:
    # Absolute paths are this machine's business.
    words = [Path(each).name if Path(each).is_absolute() else each for each in arguments]
    plan = Plan(
        command=" ".join(["gram-lab evaluate", *words]),
        running=_running(options),
        seeds=options.seeds or (options.seed,),
        has_ablations=not options.no_ablations,
        twins=tuple(load_model(find_model(each), options.device) for each in options.twin),
    )
    named = [options.against] if options.against else []
    others = [load_model(find_model(each), options.device) for each in named]
    for loaded in models:
        if options.protocol and (loaded.info.purpose == "solve" or options.data):
            for test in paper_sets(loaded.task, options, has_data=True):
                yield protocol_table(options.protocol, [loaded, *others], test, plan)
        elif options.grid:
            test, depth = _test_set(loaded.task, options), options.depth or loaded.info.depth
            yield tables.grid_table(loaded, test, plan, width=options.width, depth=depth)
        elif loaded.info.purpose == "generate":
            num_samples = options.limit or tables.NUM_SAMPLES
            yield tables.generation_table(loaded, plan, num_samples=num_samples)
        else:
            is_many = tables.has_many(loaded.task)
            make = tables.sampling_table if is_many else tables.solving_table
            has_data = len(models) == 1 or loaded.task.name == SUDOKU_TASK
            for test in paper_sets(loaded.task, options, has_data=has_data):
                yield make(loaded, test, plan)


def _test_set(task: Task, options: argparse.Namespace) -> TestSet:
    edges = options.edge_probability or EDGE_PROBABILITIES
    cases = read_cases(task, options.data, limit=options.limit, edge_probabilities=edges)
    return TestSet("", options.data.name if options.data else GENERATED, cases)


def paper_sets(task: Task, options: argparse.Namespace, *, has_data: bool) -> list[TestSet]:
    """Return the paper's test sets of a task, as far as it states them.

    ``has_data``: whether the file of puzzles is for this task.
    """
    limit = options.limit
    if not tables.has_many(task):
        path = options.data if has_data else None
        cases = read_cases(task, path, limit=limit)
        return [TestSet("", path.name if path else "held out or freshly made", cases)]
    if task.family == "nqueens":
        data = "held-out boards with 1 to 3 queens, no symmetric image of a training board"
        return [TestSet("", data, spread(held_out_cases(task), limit))]
    chosen = options.edge_probability
    # Of larger graphs with so many edges hardly any has a colouring.
    stated = [TEXTBOOK_PROBABILITY] if task.name in NUM_TEST_GRAPHS else []
    found = []
    for low, high in [chosen] if chosen else [*stated, EDGE_PROBABILITIES]:
        name = f"edge probability {low:g}" + ("" if low == high else f" to {high:g}")
        number = NUM_TEST_GRAPHS.get(task.name)
        cases = held_out_cases(task, edge_probabilities=(low, high), num_graphs=number)
        data = f"held-out random graphs of {name} that three colours suffice for"
        found.append(TestSet(name, data, spread(cases, limit)))
    return found


def _shown(result: dict[str, object]) -> str:
    reports = result["reports"]
    assert isinstance(reports, list)
    lines = [f"{result['model']} on {result['data']}, {result['seconds']} s"]
    lines.append("group            instances  solved  single  distinct  coverage  steps/puzzle")
    for report in reports:
        solved, single, coverage = (
            f"{'-':>8}" if report[name] is None else f"{100 * report[name]:7.2f}%"
            for name in ("solved", "single", "coverage")
        )
        distinct = f"{'-':>8}" if report["distinct"] is None else f"{report['distinct']:8.2f}"
        lines.append(
            f"{report['group']:<16} {report['instances']:>9} {solved} {single} {distinct} "
            f"{coverage} {report['steps_per_puzzle']:>12.1f}"
        )
        for width, share in report["solved_by_width"].items():
            found = wilson(share, report["instances"])
            low, high = (f"{100 * bound:.1f}" for bound in (found.low, found.high))
            lines.append(f"  width {width}: {100 * share:.1f} % (95 %: {low} to {high})")
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    text = "How well a checkpoint does, as a table or JSON."
    parser = argparse.ArgumentParser(prog="gram-lab evaluate", description=text)
    add = parser.add_argument
    add("puzzle", nargs="?", help="task or family of a shipped model, such as sudoku-9x9")
    add("--model", help="name or directory of another checkpoint")
    add("--data", type=Path, help="as for gram solve; default: generated held-out instances")
    add("--width", type=_positive, default=16, help="trajectories per instance")
    add("--depth", type=_positive, help="supervision steps; default: the model's")
    add("--limit", type=_positive, help="at most that many instances")
    add("--seed", type=int, default=0)
    add("--no-augment", action="store_true", help="no symmetry views")
    text = "settled: no verifier; trajectories stop when their answer has stayed the same, and the"
    text += " most frequent answer counts"
    add("--halt", choices=("verified", "settled"), default="verified", help=text)
    text = "go on after the first solution, to count distinct ones and coverage"
    add("--all-trajectories", action="store_true", help=text)
    kinds = parser.add_argument_group("measurements beside solve rates")
    add = kinds.add_mutually_exclusive_group().add_argument
    text = "our rows of the paper's tables, for one puzzle or all shipped models"
    add("--paper-tables", action="store_true", help=text)
    text = "solve rates at every width and depth up to these, with a verifier and without"
    add("--grid", action="store_true", help=text)
    text = "as a paper measures: its width and depth, and how it chooses an answer"
    add("--protocol", choices=PROTOCOLS, help=text)
    text = "the public evaluation tasks of ARC-AGI, asked of a running server: pass@1 and pass@2"
    add("--corpus", choices=CORPORA, help=text)
    parser.add_argument("--server", default=SERVER, help=f"for --corpus (default {SERVER})")
    _add_how(parser)
    return parser


def _add_how(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("how to measure").add_argument
    text = "tasks or families of --paper-tables, separated by commas"
    add("--tables", type=lambda names: tuple(names.split(",")), help=text)
    text = "such as 0,1,2: figures are means over them"
    add("--seeds", type=lambda numbers: tuple(map(int, numbers.split(","))), help=text)
    text = "for --protocol: a second checkpoint, and the difference with its paired interval"
    add("--against", metavar="MODEL", help=text)
    add("--twin", action="append", default=[], help="deterministic checkpoint")
    add("--no-ablations", action="store_true", help="the model alone")
    text = "of held-out random graphs: 0.5, or bounds such as 0.3-0.7"
    add("--edge-probability", type=_probabilities, help=text)
    add("--output", type=Path, help="folder to write JSON and Markdown files to")
    add = parser.add_argument_group("how to compute").add_argument
    add("--rows", type=_positive, default=256, help="rows of the running batch")
    add("--device", default="cpu")
    add("--threads", type=_positive)
    add("--precision", choices=PRODUCTS, default="fp32")
    add("--json", action="store_true", help="JSON on stdout")


def _running(options: argparse.Namespace) -> Running:
    return Running(num_rows=options.rows, precision=options.precision)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _probabilities(text: str) -> EdgeProbabilities:
    low, _, high = text.partition("-")
    bounds = (float(low), float(high or low))
    if not 0.0 <= bounds[0] <= bounds[1] <= 1.0:
        raise argparse.ArgumentTypeError("must lie between 0 and 1, the smaller bound first")
    return bounds
