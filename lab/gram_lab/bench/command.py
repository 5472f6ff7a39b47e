"""``gram-lab bench``: chooses a measurement and writes what it found.

Raw numbers go to standard output and, as JSON, to a folder. Flags are the fields of the plans.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import MISSING, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from gram_lab.bench.engine import EnginePlan, measure_engine
from gram_server.errors import ConfigError

Json = dict[str, object]
Plan = TypeVar("Plan")


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit status."""
    parser = _parser()
    options = parser.parse_args(list(arguments))
    try:
        result, page = options.measure(options)
    except ConfigError as error:
        parser.error(str(error))
    text = json.dumps(result, indent=2, default=str) + "\n"
    sys.stdout.write(text)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / f"{options.name}.json").write_text(text, encoding="utf-8")
        if page is not None:
            (options.output / f"{options.name}.md").write_text(page, encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gram-lab bench", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="MEASUREMENT")
    engine = commands.add_parser("engine", help="trajectory-steps per second by batch")
    _add(engine, EnginePlan)
    engine.add_argument("--output", type=Path, help="folder for engine.json")
    engine.set_defaults(measure=_engine, name="engine")
    if find_spec("aiohttp") is None:
        parser.epilog = "the others need the extra: pip install 'gram-lab[bench]'"
        return parser
    for name, text, add, measure in (
        ("serve", "open-loop load on a server, and its goodput", _add_serve, _serve),
        ("compare", "the same weights, served in several ways", _add_compare, _compare),
        ("start", "start to ready by phase, and memory", _add_start, _start),
        ("soak", "a part of the highest load for an hour", _add_soak, _soak),
    ):
        command = commands.add_parser(name, help=text)
        add(command)
        command.set_defaults(measure=measure, name=name)
    return parser


def _add(parser: argparse.ArgumentParser, plan: type, *left_out: str) -> None:
    """Add a flag for every field of a plan that has a default."""
    hints = get_type_hints(plan)
    for field in fields(plan):
        if field.default is MISSING or field.name in left_out:
            continue
        kinds = [each for each in get_args(hints[field.name]) if each not in (type(None), ...)]
        parser.add_argument(
            "--" + field.name.replace("_", "-"),
            type=kinds[0] if kinds else hints[field.name],
            nargs="*" if isinstance(field.default, tuple) else None,
            default=field.default,
            help=f"default {field.default}",
        )


def _taken(plan: type[Plan], options: argparse.Namespace, **more: Any) -> Plan:
    """Return a plan as the flags want it."""
    values = {name: getattr(options, name) for name in get_type_hints(plan) if name not in more}
    return plan(**{n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}, **more)


def _engine(options: argparse.Namespace) -> tuple[Json, None]:
    return measure_engine(_taken(EnginePlan, options)), None


def _add_load(parser: argparse.ArgumentParser, *left_out: str) -> None:
    from gram_lab.bench.arrivals import Arrivals
    from gram_lab.bench.serve import LoadPlan

    _add(parser, Arrivals)
    _add(parser, LoadPlan, *left_out)
    parser.add_argument("--slo-ms", type=float, default=2000.0, help="to the first solution")
    parser.add_argument("--slo-share", type=float, default=0.99, help="of requests within it")


def _load_plan(options: argparse.Namespace, **more: Any) -> Any:
    from gram_lab.bench.arrivals import Arrivals
    from gram_lab.bench.serve import LoadPlan
    from gram_lab.bench.summary import Objective

    objective = Objective(first_solution_s=options.slo_ms / 1e3, share=options.slo_share)
    return _taken(
        LoadPlan, options, arrivals=_taken(Arrivals, options), objective=objective, **more
    )


def _add_serve(parser: argparse.ArgumentParser) -> None:
    from gram_lab.bench.serve import Offer

    _add(parser, Offer)
    _add_load(parser)


def _serve(options: argparse.Namespace) -> tuple[Json, None]:
    from gram_lab.bench.serve import Offer, measure_serve, run_client

    offer, plan = _taken(Offer, options), _load_plan(options)
    questions = offer.questions(seed=options.seed)
    return run_client(lambda: measure_serve(offer, questions, plan)), None


def _add_compare(parser: argparse.ArgumentParser) -> None:
    from gram_lab.bench.compare import Comparison

    _add(parser, Comparison)
    _add_load(parser, "overload")


def _compare(options: argparse.Namespace) -> tuple[Json, str]:
    from gram_lab.bench.compare import Comparison, measure_compare, render_compare

    result = measure_compare(_taken(Comparison, options), _load_plan(options, overload=()))
    return result, render_compare(result)


def _add_start(parser: argparse.ArgumentParser) -> None:
    from gram_lab.bench.soak import StartPlan

    _add(parser, StartPlan)
    parser.add_argument("--output", type=Path, help="folder for start.json")


def _start(options: argparse.Namespace) -> tuple[Json, None]:
    from gram_lab.bench.soak import StartPlan, measure_start

    return measure_start(_taken(StartPlan, options)), None


def _add_soak(parser: argparse.ArgumentParser) -> None:
    from gram_lab.bench.soak import SoakPlan

    _add(parser, SoakPlan)
    parser.add_argument("--output", type=Path, help="folder for soak.json")


def _soak(options: argparse.Namespace) -> tuple[Json, None]:
    from gram_lab.bench.soak import SoakPlan, measure_soak

    return measure_soak(_taken(SoakPlan, options)), None
