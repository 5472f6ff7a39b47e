"""Everything that needs a GPU in one command of under eight minutes: correctness, then speed.

    python lab/gram_lab/bench/gpu_session.py --output FOLDER

Writes ``tests.txt``, ``kernels.json`` and ``engine.json``; what fails leaves its output there too.
Without a GPU it does the same on the CPU at small sizes, which is how it is tried.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).parents[3]
LIMIT_S = 470.0
PATHS = (".", "kernels", "server", "clients/python", "lab")


def main() -> int:
    """Run the stages while there is time; return how many of them failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("OUT", "gpu-session")
    parser.add_argument("--output", type=Path, default=Path(default))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    deadline_s = time.monotonic() + LIMIT_S
    num_failed = 0
    for name, command in _stages(options.output, is_cuda=torch.cuda.is_available()):
        started_s = time.monotonic()
        status = _run(command, options.output / f"{name}.txt", deadline_s - started_s)
        num_failed += status != 0
        sys.stdout.write(f"{name}: status {status}, {time.monotonic() - started_s:.1f} s\n")
        sys.stdout.flush()
    return num_failed


def _stages(output: Path, *, is_cuda: bool) -> list[tuple[str, list[str]]]:
    tests = [
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/kernels",
        "tests/server/engine/test_fused_runner.py",
        "tests/server/engine/test_engine_matches_solve.py",
        "tests/server/worker/test_paper_preset.py",
        "--deselect", "tests/kernels/test_compilation.py",
    ]  # fmt: skip
    sizes = [] if is_cuda else ["--op", "verify", "--rows", "1", "--budget-s", "0.01"]
    rows = ["1", "8", "64", "512", "4096"] if is_cuda else ["1"]
    steps = [] if is_cuda else ["--num-steps", "2"]
    kernels = ["kernels/bench/run.py", "--output", str(output / "kernels.json"), *sizes]
    engine = ["-m", "gram_lab", "bench", "engine", "--batches", *rows, *steps]
    return [
        ("tests", tests if is_cuda else ["-m", "pytest", "-q", "tests/kernels/test_slots.py"]),
        ("kernels", kernels),
        ("engine", [*engine, "--output", str(output)]),
    ]


def _run(arguments: list[str], log: Path, limit_s: float) -> int:
    environment = dict(os.environ)
    paths = [str(ROOT / path) for path in PATHS]
    environment["PYTHONPATH"] = os.pathsep.join([*paths, environment.get("PYTHONPATH", "")])
    with log.open("w", encoding="utf-8") as file:
        try:
            return subprocess.run(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=max(1.0, limit_s),
            ).returncode
        except subprocess.TimeoutExpired:
            return 124


if __name__ == "__main__":
    sys.exit(main())
