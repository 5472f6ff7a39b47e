"""Beside exact solvers on the same core: what a Sudoku costs, in processor time.

A backtracker of 40 lines in C, CP-SAT, and the engine at several widths; every answer is checked.
"""

import ctypes
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from prometheus_client import CollectorRegistry

from gram_core import puzzles
from gram_core.catalog import find_model
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.puzzles import BLANK, Tokens
from gram_lab.bench.engine import Json
from gram_lab.data.instances import read_cases
from gram_lab.intervals import wilson
from gram_lab.machine import processor
from gram_server.engine import Engine, EngineJob, Finished
from gram_server.errors import ConfigError
from gram_server.metrics.engine import EngineMetrics
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
    instances = [case.instance for case in cases]
    with tempfile.TemporaryDirectory() as folder:
        solvers = dict(_solvers(loaded, options, Path(folder)))
        rows = [_measured(name, solver, instances) for name, solver in solvers.items()]
    return {
        "environment": {
            "model": loaded.info.id,
            "machine": f"{processor()} ({platform.machine()}), one thread",
            "data": Path(options.data or "").name,
        },
        "results": rows,
    }


def _solvers(
    loaded: LoadedModel, options: ExactOptions, folder: Path
) -> Iterator[tuple[str, Solver]]:
    library = folder / "backtracker.so"
    subprocess.run(
        ["cc", "-O2", "-march=native", "-shared", "-fPIC", "-o", library, BACKTRACKER], check=True
    )
    yield "backtracker in C", partial(_backtrack, ctypes.CDLL(str(library)))
    yield "CP-SAT", lambda instance: next(SUDOKU.enumerate(instance, limit=1), None)
    for width in options.widths:
        yield f"{loaded.info.name}, width {width}", partial(_sample, loaded, _engine(loaded), width)


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
        "share": wilson(solved / len(instances), len(instances))._asdict(),
        "ms_per_puzzle": 1e3 * spent_s / len(instances),
    }


def _backtrack(library: ctypes.CDLL, instance: object) -> Tokens | None:
    tokens = SUDOKU.encode(instance).tokens
    grid = ctypes.create_string_buffer((tokens - BLANK).tobytes(), len(tokens))
    if not library.solve(grid):
        return None
    return np.frombuffer(grid.raw, np.uint8) + np.uint8(BLANK)


def _engine(loaded: LoadedModel) -> Engine:
    runner = make_runner(loaded, num_slots=16, fixed_shape=True)
    runner.warm_up()
    return Engine(runner, metrics=EngineMetrics(CollectorRegistry()).of("bench"))


def _sample(loaded: LoadedModel, engine: Engine, width: int, instance: object) -> Tokens | None:
    """Return the first solution of a job, as ``POST /solve?max_solutions=1`` finds it."""
    job = EngineJob(
        id="bench",
        tokens=SUDOKU.encode(instance).tokens,
        width=width,
        depth=loaded.info.depth,
        max_solutions=1,
        seed=0,
        view=SUDOKU.views(loaded.task, 0),
        check=partial(SUDOKU.check, instance),
        canonical=partial(SUDOKU.canonical, instance),
    )
    engine.submit(job, time.monotonic())
    solutions: list[Tokens] = []
    while engine.has_work:
        for event in engine.tick(time.monotonic()):
            if isinstance(event, Finished):
                solutions += [solution.tokens for solution in event.solutions]
    return solutions[0] if solutions else None
