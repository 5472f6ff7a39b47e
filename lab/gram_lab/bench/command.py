"""``gram-lab bench``: chooses a measurement and writes what it found.

Raw numbers go to standard output and, as JSON, to a folder. Flags are the fields of the options.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from importlib.util import find_spec
from typing import Any, NamedTuple, get_args, get_type_hints

from gram_lab.bench.engine import EngineOptions, measure_engine
from gram_lab.bench.exact import ExactOptions, measure_exact
from gram_lab.bench.host import HostOptions, measure_host
from gram_server.errors import ConfigError


class Measurement(NamedTuple):
    """One command."""

    name: str
    purpose: str
    options: type
    """A dataclass whose fields, all with defaults, are the flags."""
    measure: Callable[[Any], dict[str, Any]]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="gram-lab bench", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="MEASUREMENT")
    for each in _measurements():
        command = commands.add_parser(each.name, help=each.purpose)
        _add_flags(command, each.options)
        command.set_defaults(measurement=each)
    if find_spec("aiohttp") is None:
        parser.epilog = "the others need the extra: pip install 'gram-lab[bench]'"
    values = vars(parser.parse_args(list(arguments)))
    chosen: Measurement = values.pop("measurement")
    given = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    try:
        options = chosen.options(**given)
        result = chosen.measure(options)
    except ConfigError as error:
        parser.error(str(error))
    text = json.dumps(result, indent=2, default=str) + "\n"
    sys.stdout.write(text)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / f"{chosen.name}.json").write_text(text, encoding="utf-8")
    return 0


def _measurements() -> Iterator[Measurement]:
    """Yield the measurements whose dependencies are installed."""
    purpose = "trajectory-steps per second by batch"
    yield Measurement("engine", purpose, EngineOptions, measure_engine)
    purpose = "what the host costs the engine, on a device that takes no time"
    yield Measurement("host", purpose, HostOptions, measure_host)
    purpose = "what a sudoku costs beside exact solvers on the same core"
    yield Measurement("exact", purpose, ExactOptions, measure_exact)
    if find_spec("aiohttp") is None:
        return
    from gram_lab.bench.compare import CompareOptions, measure_compare
    from gram_lab.bench.serve import ServeOptions, measure_serve
    from gram_lab.bench.soak import SoakOptions, StartOptions, measure_soak, measure_start

    purpose = "open-loop load on a server, and its goodput"
    yield Measurement("serve", purpose, ServeOptions, measure_serve)
    purpose = "the same weights, served in several ways"
    yield Measurement("compare", purpose, CompareOptions, measure_compare)
    purpose = "start to ready by phase, and memory"
    yield Measurement("start", purpose, StartOptions, measure_start)
    purpose = "a part of the highest load for an hour"
    yield Measurement("soak", purpose, SoakOptions, measure_soak)


def _add_flags(parser: argparse.ArgumentParser, options: type) -> None:
    hints = get_type_hints(options)
    for field in fields(options):
        kinds = [each for each in get_args(hints[field.name]) if each not in (type(None), ...)]
        parser.add_argument(
            "--" + field.name.replace("_", "-"),
            type=kinds[0] if kinds else hints[field.name],
            nargs="*" if isinstance(field.default, tuple) else None,
            default=field.default,
            help=f"default {field.default}",
        )
