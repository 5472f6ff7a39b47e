"""``gram-lab bench``: chooses a measurement and writes what it found.

Raw numbers go to standard output and, as JSON beside a short Markdown table, to a folder.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from gram_lab.bench.engine import EnginePlan, measure_engine
from gram_server.errors import ConfigError

Json = dict[str, object]


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit status."""
    parser = _parser()
    options = parser.parse_args(list(arguments))
    try:
        result, page = options.measure(options)
    except ConfigError as error:
        parser.error(str(error))
    text = json.dumps(result, indent=2) + "\n"
    sys.stdout.write(text)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / f"{options.name}.json").write_text(text, encoding="utf-8")
        if page is not None:
            (options.output / f"{options.name}.md").write_text(page, encoding="utf-8")
    return 0


def _measure_engine(options: argparse.Namespace) -> tuple[Json, None]:
    plan = EnginePlan(
        model=options.model,
        batches=tuple(options.batches),
        num_steps=options.num_steps,
        device=options.device,
        num_threads=options.num_threads,
    )
    return measure_engine(plan), None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gram-lab bench", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="MEASUREMENT")
    _add_engine(commands.add_parser("engine", help="trajectory-steps per second by batch"))
    if find_spec("aiohttp") is None:
        parser.epilog = "serve and compare need the extra: pip install 'gram-lab[bench]'"
    else:
        _add_load(commands)
    return parser


def _add_load(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from gram_lab.bench.load.command import add_compare, add_serve, add_soak, add_start

    add_serve(commands.add_parser("serve", help="open-loop load on a server, and its goodput"))
    add_compare(commands.add_parser("compare", help="the same weights, served in four ways"))
    add_start(commands.add_parser("start", help="start to ready by phase, and memory"))
    add_soak(commands.add_parser("soak", help="a part of the highest load for an hour"))


def _add_engine(engine: argparse.ArgumentParser) -> None:
    defaults = EnginePlan()
    engine.add_argument("--model", default=defaults.model, help="shipped model or checkpoint")
    engine.add_argument("--batches", type=int, nargs="+", default=defaults.batches)
    engine.add_argument("--num-steps", type=int, default=defaults.num_steps)
    engine.add_argument("--device", default=defaults.device, help="auto, cpu or cuda")
    engine.add_argument("--num-threads", type=int, help="threads of torch")
    engine.add_argument("--output", type=Path, help="folder for engine.json")
    engine.set_defaults(measure=_measure_engine, name="engine")
