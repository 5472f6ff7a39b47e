"""``gram-lab import``: a checkpoint of TRM or a relative of it as a model directory to serve."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from gram_core import puzzles
from gram_core.checkpoint import save_model
from gram_core.errors import CoreError
from gram_core.puzzles.arc import Arc
from gram_core.puzzles.arc.learned import TASKS_FILE
from gram_lab.importing.files import read_checkpoint, weights_file
from gram_lab.importing.known import read_known
from gram_lab.importing.models import PEERS, fraction, import_model, settings_of, with_noise


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    try:
        task, known = puzzles.task(options.task), None
        if task.family == Arc.name:
            task = puzzles.task(f"{options.task.removesuffix('-learned')}-learned")
            known = read_known(options.identifiers, options.tasks)
        state, settings = read_checkpoint(weights_file(options.path))
        settings = settings_of(options.peer, {**settings, **dict(options.set or ())})
        model = import_model(
            options.peer,
            state,
            task,
            settings,
            identifier=options.identifier,
            known=known.rows if known else (),
        )
        sigma = fraction(settings, "noise_scale") if options.sigma is None else options.sigma
        if sigma:
            model = with_noise(model, sigma, task, str(settings["noise_in"]))
        depth = model.config.num_supervision_steps
        info = save_model(
            options.output,
            model,
            name=options.output.name,
            task=task,
            depth=depth,
            dtype=torch.float32,
        )
        if known:
            text = json.dumps({key: each._asdict() for key, each in known.tasks.items()})
            (options.output / TASKS_FILE).write_text(text + "\n", encoding="utf-8")
    except (CoreError, OSError) as error:
        print(f"gram-lab import: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"model": info.id, "task": task.name, "num_parameters": info.num_parameters}))
    return 0


def _setting(text: str) -> tuple[str, str]:
    name, is_given, value = text.partition("=")
    if not is_given:
        raise argparse.ArgumentTypeError("write NAME=VALUE")
    return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gram-lab import", description=__doc__)
    parser.add_argument("peer", choices=PEERS, help="the project that wrote the checkpoint")
    parser.add_argument("path", type=Path, help="a state dict, safetensors, or a folder with one")
    parser.add_argument("--task", default="sudoku-9x9", help="such as maze-30x30 or arc-30x30")
    parser.add_argument("--output", type=Path, required=True, help="model directory to write")
    text = "the architecture, where no config stands beside the weights, such as num_heads=8"
    parser.add_argument("--set", type=_setting, action="append", metavar="NAME=VALUE", help=text)
    text = "row of the puzzle embedding"
    parser.add_argument("--identifier", type=int, default=0, help=text)
    text = "of ARC, identifiers.json of the training set or its folder"
    parser.add_argument("--identifiers", type=Path, default=Path(), help=text)
    text = "of ARC, the tasks to keep: a JSON of tasks by their ids, or a folder of ID.json; by "
    text += "default test_puzzles.json beside the identifiers"
    parser.add_argument("--tasks", type=Path, help=text)
    text = "deviation of noise; 0.01 for eqr, 0.3 for ptrm, else none by default"
    parser.add_argument("--sigma", type=float, help=text)
    return parser
