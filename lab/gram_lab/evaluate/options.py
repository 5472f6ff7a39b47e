"""The options of ``gram-lab evaluate``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from gram_lab.data.graphs import EdgeProbabilities
from gram_lab.rollouts import Running


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gram-lab evaluate", description="How well a checkpoint does, as a table or JSON."
    )
    add = parser.add_argument
    add("puzzle", nargs="?", help="task or family of a shipped model, such as sudoku-9x9")
    add("--model", help="name or directory of another checkpoint")
    add("--data", type=Path, help="as for gram solve; default: generated held-out instances")
    add("--width", type=_positive, default=16, help="trajectories per instance")
    add("--depth", type=_positive, help="supervision steps; default: the model's")
    add("--limit", type=_positive, help="at most that many instances")
    add("--seed", type=int, default=0)
    add("--no-augment", action="store_true", help="no symmetry views")
    add(
        "--halt",
        choices=("verified", "settled"),
        default="verified",
        help="settled: no verifier; trajectories stop when their answer has stayed the same, and "
        "the most frequent answer counts",
    )
    add(
        "--all-trajectories",
        action="store_true",
        help="go on after the first solution, to count distinct ones and coverage",
    )
    kinds = parser.add_argument_group("measurements beside solve rates")
    add = kinds.add_mutually_exclusive_group().add_argument
    add(
        "--paper-tables",
        action="store_true",
        help="our rows of the paper's tables, for one puzzle or all shipped models",
    )
    add(
        "--grid",
        action="store_true",
        help="solve rates at every width and depth up to these, with a verifier and without",
    )
    _add_measuring(parser)
    _add_machine(parser)
    return parser


def _add_measuring(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("how to measure").add_argument
    text = "tasks or families of --paper-tables, separated by commas"
    add("--tables", type=lambda names: tuple(names.split(",")), help=text)
    add("--seeds", type=_seeds, help="such as 0,1,2: figures are means over them")
    add("--twin", action="append", default=[], help="deterministic checkpoint")
    add("--no-ablations", action="store_true", help="the model alone")
    text = "of held-out random graphs: 0.5, or bounds such as 0.3-0.7"
    add("--edge-probability", type=_probabilities, help=text)
    add("--output", type=Path, help="folder to write JSON and Markdown files to")


def _add_machine(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("how to compute").add_argument
    add("--rows", type=_positive, default=256, help="rows of the running batch")
    add("--device", default="cpu")
    add("--threads", type=_positive)
    add("--precision", choices=("fp32", "bf16"), default="fp32")
    add("--json", action="store_true", help="JSON on stdout")


def running(options: argparse.Namespace) -> Running:
    return Running(num_rows=options.rows, is_bf16=options.precision == "bf16")


def command_line(arguments: Sequence[str]) -> str:
    """Return the command with absolute paths cut to file names."""
    portable = (Path(each).name if Path(each).is_absolute() else each for each in arguments)
    return " ".join(["gram-lab evaluate", *portable])


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _seeds(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(","))


def _probabilities(text: str) -> EdgeProbabilities:
    low, _, high = text.partition("-")
    bounds = (float(low), float(high or low))
    if not 0.0 <= bounds[0] <= bounds[1] <= 1.0:
        raise argparse.ArgumentTypeError("must lie between 0 and 1, the smaller bound first")
    return bounds
