"""``gram-server evaluate``: how well a checkpoint does, as a table or JSON."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from gram_core import puzzles
from gram_core.catalog import ModelInfo, find_model, shipped_models
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.console import ProgressBar
from gram_core.errors import CoreError
from gram_core.evaluation.instances import Case, read_cases
from gram_core.evaluation.report import Report, summarise
from gram_core.evaluation.sweep import Sweep, Work


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code: 0, or 2 with one sentence on stderr."""
    options = _parser().parse_args(arguments)
    try:
        result = evaluate(options)
    except CoreError as error:
        print(f"gram-server evaluate: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=2) if options.json else _table(result))
    return 0


def evaluate(options: argparse.Namespace) -> dict[str, object]:
    """Return the reports of one evaluation as JSON values."""
    if options.threads:
        torch.set_num_threads(options.threads)
    info = model_for(options.puzzle, options.model)
    loaded = load_model(info, options.device)
    cases = read_cases(loaded.task, options.data, limit=options.limit)
    start_s = time.monotonic()
    reports = measure(
        loaded,
        cases,
        width=options.width,
        depth=options.depth or info.depth,
        seed=options.seed,
        augment=not options.no_augment,
        num_rows=options.rows,
        is_complete=options.all_trajectories,
        is_bf16=options.precision == "bf16",
        is_compiled=options.compile,
    )
    return {
        "model": info.id,
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
    for info in shipped_models():
        if info.task == puzzle or puzzles.task(info.task).family == puzzle:
            return info
    return find_model(puzzle)


def measure(
    loaded: LoadedModel,
    cases: Sequence[Case],
    *,
    width: int,
    depth: int,
    seed: int = 0,
    augment: bool = True,
    num_rows: int = 256,
    is_complete: bool = False,
    is_bf16: bool = False,
    is_compiled: bool = False,
) -> list[Report]:
    """Run trajectories on every case and summarise them.

    Args:
        loaded: the checkpoint.
        cases: instances of its task.
        width: trajectories per instance.
        depth: supervision steps per trajectory.
        seed: of noise and views.
        augment: use symmetry views.
        num_rows: rows of the running batch.
        is_complete: run every trajectory, also of solved instances, and count solutions.
        is_bf16: run matrix products in bfloat16.
        is_compiled: compile the step; worth it for long evaluations.
    """
    family = puzzles.family(loaded.task.family)
    encoded = [family.encode(case.instance) for case in cases]
    rows = min(num_rows, width * len(cases))
    sweep = Sweep(
        loaded,
        encoded,
        depth=depth,
        seed=seed,
        augment=augment,
        num_rows=rows,
        is_compiled=is_compiled,
    )
    # Trajectory by trajectory: the first ones of all instances run before any second one, so that
    # fewer are started than needed.
    work = [Work(index, each) for each in range(width) for index in range(len(cases))]
    bar = ProgressBar()
    with torch.autocast(loaded.model.z0_high.device.type, torch.bfloat16, enabled=is_bf16):
        attempts = sweep.run(
            work,
            stop_when_solved=not is_complete,
            progress=lambda done: bar.show(done / len(work), "trajectories"),
        )
    bar.close()
    return summarise(
        loaded.task, cases, attempts, width=width, depth=depth, is_complete=is_complete
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gram-server evaluate", description=__doc__)
    parser.add_argument("puzzle", help="task or family of a shipped model, such as sudoku-9x9")
    parser.add_argument("--model", help="name or directory of another checkpoint")
    parser.add_argument(
        "--data", type=Path, help=".tsv, .npz or text file; default: generated held-out instances"
    )
    parser.add_argument("--width", type=int, default=16, help="trajectories per instance")
    parser.add_argument("--depth", type=int, help="supervision steps; default: the model's")
    parser.add_argument("--limit", type=int, help="at most that many instances")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-augment", action="store_true", help="no symmetry views")
    parser.add_argument(
        "--all-trajectories",
        action="store_true",
        help="go on after the first solution, to count distinct ones and coverage",
    )
    parser.add_argument("--rows", type=int, default=256, help="rows of the running batch")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--compile", action="store_true", help="compile the step first")
    parser.add_argument("--json", action="store_true", help="JSON on stdout")
    return parser


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
