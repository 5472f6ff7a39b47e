"""``gram-lab bench``: chooses a measurement and writes what it found.

Raw numbers go to standard output and, as JSON, to a folder. Flags are the fields of the options.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, get_args, get_type_hints

from gram_lab.bench.engine import EngineOptions, HostOptions, measure_engine, measure_host
from gram_lab.bench.exact import ExactOptions, measure_exact
from gram_lab.bench.kernels import (
    CompilationOptions,
    KernelOptions,
    TileOptions,
    measure_kernels,
)
from gram_server.errors import ConfigError

HAS_CLIENT = all(map(find_spec, ("aiohttp", "psutil")))
HAS_TRITON = find_spec("triton") is not None
Measurement = tuple[str, str, type, Callable[[Any], dict[str, Any]]]
"""Name, purpose, a dataclass whose fields all have defaults, and what measures."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="gram-lab bench", description=__doc__)
    if not HAS_CLIENT:
        parser.epilog = "the others need the extra bench: in a checkout pip install './lab[bench]'"
    commands = parser.add_subparsers(required=True, metavar="MEASUREMENT", dest="name")
    chosen = {}
    for name, purpose, kind, measure in _measurements():
        chosen[name] = kind, measure
        command = commands.add_parser(name, help=purpose)
        hints = get_type_hints(kind)
        for field in fields(kind):
            flag = "--" + field.name.replace("_", "-")
            if hints[field.name] is bool:
                command.add_argument(flag, action="store_true")
                continue
            kinds = [each for each in get_args(hints[field.name]) if each not in (type(None), ...)]
            command.add_argument(
                flag,
                type=kinds[0] if kinds else hints[field.name],
                nargs="*" if isinstance(field.default, tuple) else None,
                default=field.default,
                help=f"default {field.default}",
            )
    given = vars(parser.parse_args(list(arguments)))
    name = given.pop("name")
    kind, measure = chosen[name]
    values = {
        key: tuple(value) if isinstance(value, list) else value for key, value in given.items()
    }
    try:
        options = kind(**values)
        result = measure(options)
    except ConfigError as error:
        parser.error(str(error))
    text = json.dumps(result, indent=2, default=str) + "\n"
    sys.stdout.write(text)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / f"{name}.json").write_text(text, encoding="utf-8")
    # Ops of which nothing is reported, for their tests fail.
    return int(bool(result.get("silenced")))


def _measurements() -> Iterator[Measurement]:
    """Yield the measurements whose dependencies are installed."""
    yield "engine", "trajectory-steps per second by batch", EngineOptions, measure_engine
    purpose = "what the host costs the engine, on a device that takes no time"
    yield "host", purpose, HostOptions, measure_host
    purpose = "what a sudoku costs beside exact solvers on the same core"
    yield "exact", purpose, ExactOptions, measure_exact
    yield "kernels", "every op beside its reference", KernelOptions, measure_kernels
    if HAS_TRITON:
        purpose = "what every kernel takes on every architecture, without a GPU"
        yield "compilation", purpose, CompilationOptions, partial(_by, "compilation")
        purpose = "the fused step with other sizes of tiles"
        yield "tiles", purpose, TileOptions, partial(_by, "tiles")
    if HAS_CLIENT:
        from gram_lab.bench.compare import CompareOptions, measure_compare
        from gram_lab.bench.serve import (
            ServeOptions,
            StartOptions,
            measure_serve,
            measure_start,
        )

        purpose = "open-loop load on a server, and its goodput"
        yield "serve", purpose, ServeOptions, measure_serve
        purpose = "the same weights, served in several ways"
        yield "compare", purpose, CompareOptions, measure_compare
        yield "start", "start to ready by phase, and memory", StartOptions, measure_start


def _by(module: str, options: object) -> dict[str, Any]:
    """Measure by a module that imports Triton, which takes a while."""
    found: dict[str, Any] = import_module(f"gram_lab.bench.{module}").measure(options)
    return found
