"""Beside exact solvers on the same core: what a Sudoku costs, in processor time.

A backtracker of 40 lines in C, CP-SAT, and the engine at several widths; every answer is checked.
"""

import ctypes
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from gram_core import puzzles
from gram_core.catalog import find_model
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.puzzles import BLANK, Tokens
from gram_lab.bench.engine import Json, bench_engine, environment, finish, job_of
from gram_lab.data.instances import read_cases
from gram_lab.intervals import wilson
from gram_server.engine import Finished
from gram_server.errors import ConfigError
from gram_server.worker.loading import make_runner

BACKTRACKER = Path(__file__).with_name("backtracker.c")
SUDOKU = puzzles.family("sudoku")
Solver = Callable[[object], Tokens | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactOptions:
    """Puzzles and widths to time."""

    data: Path | None = None
    """A file of 9x9 Sudokus, as for ``gram-lab evaluate``."""
    limit: int = 60
    model: str = "sudoku-9x9"
    widths: tuple[int, ...] = (1, 16, 64)
    output: Path | None = None

    def __post_init__(self) -> None:
        if self.data is None or min((*self.widths, self.limit)) < 1:
            raise ConfigError("data", self.data, "must be a file; limit and widths at least 1")


def measure_exact(options: ExactOptions) -> Json:
    torch.set_num_threads(1)
    loaded = load_model(find_model(options.model))
    cases = read_cases(loaded.task, options.data, limit=options.limit)
    solvers: dict[str, Solver] = {
        "backtracker in C": backtracker(),
        "CP-SAT": lambda instance: next(SUDOKU.enumerate(instance, limit=1), None),
    }
    for width in options.widths:
        solvers[f"{loaded.info.name}, width {width}"] = sampler(loaded, width)
    instances = [case.instance for case in cases]
    return {
        "environment": environment(loaded, data=Path(options.data or "").name),
        "results": [_measured(name, solver, instances) for name, solver in solvers.items()],
    }


def _measured(name: str, solve: Solver, instances: list[object]) -> Json:
    solve(instances[0])
    started_s = time.process_time()
    answers = [solve(instance) for instance in instances]
    spent_s = time.process_time() - started_s
    solved = sum(
        answer is not None and SUDOKU.check(instance, answer)
        for instance, answer in zip(instances, answers, strict=True)
    )
    return {
        "solver": name,
        "puzzles": len(instances),
        "solved": solved,
        "share": asdict(wilson(solved / len(instances), len(instances))),
        "ms_per_puzzle": 1e3 * spent_s / len(instances),
    }


def backtracker() -> Solver:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "backtracker.so"
        flags = ["-O2", "-march=native", "-shared", "-fPIC"]
        subprocess.run(["cc", *flags, "-o", path, BACKTRACKER], check=True)
        library = ctypes.CDLL(str(path))

    def solve(instance: object) -> Tokens | None:
        tokens = SUDOKU.encode(instance).tokens
        grid = ctypes.create_string_buffer((tokens - BLANK).tobytes(), len(tokens))
        if not library.solve(grid):
            return None
        return np.frombuffer(grid.raw, np.uint8) + np.uint8(BLANK)

    return solve


def sampler(loaded: LoadedModel, width: int) -> Solver:
    """Return what finds the first solution of a job, as ``POST /solve?max_solutions=1`` does."""
    runner = make_runner(loaded, num_slots=16, fixed_shape=True)
    runner.warm_up()
    engine = bench_engine(runner)

    def solve(instance: object) -> Tokens | None:
        job = job_of(loaded, instance, width=width, depth=loaded.info.depth)
        events = finish(engine, replace(job, max_solutions=1))
        ends = [event for event in events if isinstance(event, Finished)]
        return next((solution.tokens for end in ends for solution in end.solutions), None)

    return solve
