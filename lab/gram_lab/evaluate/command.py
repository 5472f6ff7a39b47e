"""``gram-lab evaluate``: how well a checkpoint does, as a table or JSON."""

import argparse
import json
import sys
import time
from collections.abc import Sequence

import torch

from gram_core.errors import CoreError
from gram_lab.evaluate.measure import measure
from gram_lab.evaluate.measurements import (
    cases_for,
    data_name,
    is_measurement,
    loaded_model,
    measurements,
)
from gram_lab.evaluate.options import command_line, parser, running


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code: 0, or 2 with one sentence on stderr."""
    options = parser().parse_args(arguments)
    try:
        if options.threads:
            torch.set_num_threads(options.threads)
        if is_measurement(options):
            _print_measurements(options, command_line(arguments))
        else:
            result = evaluate(options)
            print(json.dumps(result, indent=2) if options.json else _table(result))
    except CoreError as error:
        print(f"gram-lab evaluate: {error}", file=sys.stderr)
        return 2
    return 0


def evaluate(options: argparse.Namespace) -> dict[str, object]:
    """Return the reports of one evaluation as JSON values."""
    loaded = loaded_model(options)
    cases = cases_for(loaded, options)
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
        "data": data_name(options),
        "seconds": round(time.monotonic() - start_s, 1),
        "threads": torch.get_num_threads(),
        "device": options.device,
        "precision": options.precision,
        "augment": not options.no_augment,
        "reports": [report.to_json() for report in reports],
    }


def _print_measurements(options: argparse.Namespace, command: str) -> None:
    found = []
    for table in measurements(options, command):
        found.append(table.to_json())
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
