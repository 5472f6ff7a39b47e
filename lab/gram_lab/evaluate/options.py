"""The options of ``gram-lab evaluate``, and what they ask for."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from gram_lab.data.graphs import EdgeProbabilities
from gram_lab.rollouts import Running

DESCRIPTION = "How well a checkpoint does, as a table or JSON."


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(prog="gram-lab evaluate", description=DESCRIPTION)
    parser.add_argument(
        "puzzle", nargs="?", help="task or family of a shipped model, such as sudoku-9x9"
    )
    parser.add_argument("--model", help="name or directory of another checkpoint")
    parser.add_argument(
        "--data", type=Path, help=".tsv, .npz or text file; default: generated held-out instances"
    )
    parser.add_argument("--width", type=_positive, default=16, help="trajectories per instance")
    parser.add_argument("--depth", type=_positive, help="supervision steps; default: the model's")
    parser.add_argument("--limit", type=_positive, help="at most that many instances")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-augment", action="store_true", help="no symmetry views")
    parser.add_argument(
        "--all-trajectories",
        action="store_true",
        help="go on after the first solution, to count distinct ones and coverage",
    )
    _add_measurements(parser)
    _add_measuring(parser)
    _add_machine(parser)
    return parser


def _add_measurements(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_argument_group("measurements beside solve rates")
    chosen = kinds.add_mutually_exclusive_group()
    for flag, description in {
        "--paper-tables": "our rows of the paper's tables, for one puzzle or all shipped models",
        "--grid": "solve rates at every width and depth up to these, with a verifier and without",
    }.items():
        chosen.add_argument(flag, action="store_true", help=description)


def _add_measuring(parser: argparse.ArgumentParser) -> None:
    """Add what only the measurements read."""
    group = parser.add_argument_group("how to measure")
    group.add_argument(
        "--tables", type=_names, help="tasks or families of --paper-tables, separated by commas"
    )
    group.add_argument("--seeds", type=_seeds, help="such as 0,1,2: figures are means over them")
    group.add_argument("--twin", action="append", default=[], help="deterministic checkpoint")
    group.add_argument("--no-ablations", action="store_true", help="the model alone")
    group.add_argument(
        "--edge-probability",
        type=_probabilities,
        help="of held-out random graphs: 0.5, or bounds such as 0.3-0.7",
    )
    group.add_argument("--output", type=Path, help="folder to write JSON and Markdown files to")


def _add_machine(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how to compute")
    group.add_argument("--rows", type=_positive, default=256, help="rows of the running batch")
    group.add_argument("--device", default="cpu")
    group.add_argument("--threads", type=_positive)
    group.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    group.add_argument("--compile", action="store_true", help="compile the step first")
    group.add_argument("--json", action="store_true", help="JSON on stdout")


def running(options: argparse.Namespace) -> Running:
    """Return how the options want figures computed."""
    return Running(
        num_rows=options.rows,
        is_bf16=options.precision == "bf16",
        is_compiled=options.compile,
    )


def command_line(arguments: Sequence[str]) -> str:
    """Return the command as a reader would type it: files by name, wherever they lie here."""
    return " ".join(["gram-lab evaluate", *(_portable(each) for each in arguments)])


def _portable(argument: str) -> str:
    return Path(argument).name if Path(argument).is_absolute() else argument


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _seeds(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(","))


def _probabilities(text: str) -> EdgeProbabilities:
    low, _, high = text.partition("-")
    bounds = (float(low), float(high or low))
    if not 0.0 <= bounds[0] <= bounds[1] <= 1.0:
        raise argparse.ArgumentTypeError("must lie between 0 and 1, the smaller bound first")
    return bounds
