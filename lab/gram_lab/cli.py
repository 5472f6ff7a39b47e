"""The console script ``gram-lab``: dispatches to one of the commands.

Each command reads its own options and is imported when it is asked for, so that training and
evaluating need torch, numpy and safetensors only.
"""

import argparse
from collections.abc import Sequence
from importlib import import_module

from gram_lab import __version__

COMMANDS = {
    "data": ("gram_lab.data.command", "make puzzles to train on"),
    "train": ("gram_lab.card", "train a model within a budget, and write its card"),
    "import": ("gram_lab.importing.command", "turn a checkpoint of TRM or a relative into a model"),
    "evaluate": ("gram_lab.evaluate.command", "measure a model on puzzles"),
    "bench": ("gram_lab.bench.command", "measure the engine, and servers under load"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    listed = "\n".join(f"  {name:10}{text}" for name, (_, text) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="gram-lab",
        description="Trains, evaluates and measures the models that gram-server serves.",
        epilog=f"commands:\n{listed}\n\n'gram-lab COMMAND --help' shows the options of each.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gram-lab {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...")
    options = parser.parse_args(arguments)
    module, _ = COMMANDS[options.command]
    status: int = import_module(module).main(options.arguments)
    return status
