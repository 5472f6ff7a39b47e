"""Everything that needs a GPU, in under nine minutes, the most important first.

    python lab/gpu_session.py FOLDER [--data DATA] [--only STAGE ...] [--minutes 9]

Stages: ``engine`` (steps per second of the running batch), ``serve`` (every shipped model behind
HTTP, under load), ``tests``, ``kernels`` (each op, and the fused step with other tiles), ``train``
(for the time that is left; needs --data, the folder of training files). What a stage prints is in
the folder as soon as it is there, so an interrupted session loses nothing. The exit status is the
number of stages that failed. Without a GPU it does the same on the CPU at small sizes, which is how
it is tried: with Python 3.12, torch 2.11 and triton 3.6 every stage passes. Beside these it needs
numpy, safetensors, pydantic, fastapi, uvicorn, httptools, uvloop, click, redis, prometheus-client,
httpx, aiohttp, opentelemetry-api, ortools, pytest, pytest-xdist, pytest-timeout and hypothesis.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch

ROOT = Path(__file__).parents[1]
PATHS = (".", "kernels", "server", "clients/python", "lab")
PLUGINS = ("-p", "no:cacheprovider", "-p", "no:benchmark")
PYTEST = ("-m", "pytest", "-q", *PLUGINS, "--timeout=200", "-n")
TESTS = (
    "tests/kernels",
    "tests/server/engine/test_model_runner.py",
    "tests/server/engine/test_engine_matches_solve.py",
    "tests/server/worker/test_paper_preset.py",
    "tests/server/worker/test_loading.py",
)
RUN_UNDER_WAY = "lab/checkpoints/sudoku-9x9-denoising"
TRAINING = ("sudoku-9x9", "--set", "curriculum=denoising", "--set", "hold=0.4")
MIN_TRAINING_S = 60.0


class Command(NamedTuple):
    """What one stage runs, with Python."""

    name: str
    arguments: tuple[str, ...]
    most_s: float = 200.0


def main() -> int:
    """Return the number of stages that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--minutes", type=float, default=9.0)
    stages = ("engine", "serve", "tests", "kernels", "train")
    parser.add_argument("--only", nargs="+", choices=stages, default=stages)
    options = parser.parse_args()
    end_s = time.monotonic() + 60.0 * options.minutes
    folder: Path = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    failed = {
        stage
        for stage in dict.fromkeys(options.only)
        for command in _commands(stage, folder, options.data, end_s)
        if not _run(command, folder, end_s)
    }
    return len(failed)


def _commands(stage: str, folder: Path, data: Path | None, end_s: float) -> Iterator[Command]:
    is_gpu = torch.cuda.is_available()
    if stage == "engine":
        sizes = ["1", "64", "132", "512", "4096"] if is_gpu else ["1", "--num-steps", "2"]
        for model in ("sudoku-9x9", RUN_UNDER_WAY, "nqueens-8"):
            name = Path(model).name
            bench = ("-m", "gram_lab", "bench", "engine", "--model", model, "--batches", *sizes)
            yield Command(f"engine-{name}", (*bench, "--output", str(folder / name)), 90.0)
    elif stage == "serve":
        yield Command("doctor", ("-m", "gram_server", "doctor"), 60.0)
        load = ("--device", "cuda:0") if is_gpu else ("--seconds", "5", "--at-once", "4")
        yield Command("serve", ("lab/gpu_serve.py", *load))
    elif stage == "tests":
        chosen = (*TESTS, "--deselect", "tests/kernels/test_compilation.py")
        some = ("tests/kernels/test_philox.py",)
        yield Command("tests", (*PYTEST, "8", *chosen) if is_gpu else (*PYTEST, "2", *some))
    elif stage == "kernels":
        small = () if is_gpu else ("--op", "verify", "--rows", "1", "--budget-s", "0.01")
        timed = ("-m", "gram_lab", "bench", "kernels", "--tested", "--output", str(folder))
        yield Command("kernels", (*timed, *small), 90.0)
        yield Command("tiles", ("-m", "gram_lab", "bench", "tiles"))
    elif data is not None:
        left_s = end_s - time.monotonic() - 15.0
        small = ("--set", "num_rows=2", "--compile", "off", "--updates", "2")
        size = ("--device", "cuda", "--set", "num_rows=256", "--minutes", f"{left_s / 60.0:.2f}")
        where = ("--data", str(data), "--init", RUN_UNDER_WAY, "--output", str(folder / "trained"))
        if left_s > MIN_TRAINING_S or not is_gpu:
            arguments = (*TRAINING, *(size if is_gpu else small), *where)
            most_s = (left_s if is_gpu else 60.0) + 60.0
            yield Command("train", ("-m", "gram_lab", "train", *arguments), most_s)


def _run(command: Command, folder: Path, end_s: float) -> bool:
    """Run a command, its output in a file of the folder; add its end to ``summary.jsonl``."""
    places = [str(ROOT / path) for path in PATHS]
    path = os.pathsep.join([*places, *filter(None, [os.environ.get("PYTHONPATH")])])
    started_s = time.monotonic()
    limit_s = max(1.0, min(command.most_s, end_s - started_s))
    with (folder / f"{command.name}.txt").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command.arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            status: int | str = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            status = f"stopped after {limit_s:.0f} s"
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10.0)
            process.kill()
            process.wait()
    line = {"stage": command.name, "status": status, "seconds": time.monotonic() - started_s}
    with (folder / "summary.jsonl").open("a", encoding="utf-8") as summary:
        summary.write(json.dumps(line) + "\n")
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    return status == 0


if __name__ == "__main__":
    sys.exit(main())
