"""What the host costs the engine: jobs on a device that takes no time, in processor time.

Everything around the step is the server's own: scheduling, views, staging, harvest, metrics.
"""

import gc
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from gram_core import puzzles
from gram_core.catalog import find_model
from gram_core.checkpoint import LoadedModel, load_model
from gram_kernels.slots import Moves
from gram_lab.bench.engine import Json, bench_engine, bench_job, environment
from gram_server.engine.model_runner import ModelRunner
from gram_server.errors import ConfigError

NUM_EDGE_TICKS = 2
"""Ticks at the start and the end of a job that are not steady."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """Widths of one job to time."""

    model: str = "sudoku-9x9"
    widths: tuple[int, ...] = (1, 64, 512, 2048)
    num_steps: int = 16
    num_jobs: int = 20
    output: Path | None = None

    def __post_init__(self) -> None:
        if min((*self.widths, self.num_jobs, self.num_steps - 2 * NUM_EDGE_TICKS)) < 1:
            raise ConfigError("widths", self.widths, "must be at least 1, and num_steps at least 5")


def measure_host(options: HostOptions) -> Json:
    torch.set_num_threads(1)
    loaded = load_model(find_model(options.model))
    # As the worker does when it is ready.
    gc.collect()
    gc.freeze()
    return {
        "environment": environment(loaded, num_steps=options.num_steps),
        "results": [_measured(loaded, width, options) for width in options.widths],
    }


def _measured(loaded: LoadedModel, width: int, options: HostOptions) -> Json:
    engine = bench_engine(_idle_runner(loaded, width))
    job = bench_job(loaded, width=width, depth=options.num_steps)
    # Any answer keeps the givens of a blank board.
    job = replace(job, tokens=np.full_like(job.tokens, puzzles.BLANK))
    jobs_s, ticks_s = [], list[float]()
    for number in range(1 + options.num_jobs):
        # Views are drawn for every job anew, as for every request.
        view = puzzles.family(loaded.task.family).views(loaded.task, number)
        started_s = time.thread_time()
        engine.submit(replace(job, view=view), 0.0)
        ends_s = [time.thread_time()]
        while engine.has_work:
            engine.tick(0.0)
            ends_s.append(time.thread_time())
        jobs_s.append(ends_s[-1] - started_s)
        ticks_s += np.diff(ends_s)[NUM_EDGE_TICKS:-NUM_EDGE_TICKS].tolist()
    return {
        "width": width,
        "job_ms": statistics.median(jobs_s[1:]) * 1e3,
        "tick_us": statistics.median(ticks_s) * 1e6,
    }


def _idle_runner(loaded: LoadedModel, num_slots: int) -> ModelRunner:
    """Return a runner whose step does nothing, and whose answers are finite and wrong."""
    runner = ModelRunner(loaded, num_slots=num_slots)
    runner._bound.rows.facts[:, 2:4] = 1
    runner.rows_are_free = True
    moves = Moves(lambda sources, targets: None, lambda starts: None)
    runner._bound = replace(runner._bound, advance=lambda num_rows: None, moves=moves)
    return runner
