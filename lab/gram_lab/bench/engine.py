"""``gram-lab bench engine`` and ``host``: how fast rows advance, and what that costs the host.

``engine``: trajectory-steps per second by batch, and two ceilings. Before a batch is timed its
answers are compared with those of the plain model; where they differ in more than rounding can
explain, nothing is reported. ``host``: jobs on a device that takes no time, in processor time; all
around the step is the server's own: scheduling, views, staging, harvest, metrics.
"""

import gc
import hashlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from prometheus_client import CollectorRegistry
from torch.utils.benchmark import Timer

from gram_core import puzzles
from gram_core.catalog import find_model
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.puzzles import Encoded
from gram_kernels.slots import Moves
from gram_lab.machine import hardware
from gram_lab.rollouts import Recorder, Running
from gram_server.engine import Engine, EngineEvent, EngineJob, Trajectory
from gram_server.engine.model_runner import ModelRunner
from gram_server.engine.slots import BatchUpdate, Runner, SlotAssignment, StepReport
from gram_server.engine.trajectory import StepClock
from gram_server.errors import ConfigError
from gram_server.metrics.engine import EngineMetrics
from gram_server.worker.loading import make_runner, resolve_device, use_device

Json = dict[str, object]
NUM_JOBS = 5
"""Jobs timed for a median, after one to warm up."""
MIN_AGREEMENT = 0.98
"""Least share of cells that two implementations of a step decode alike; float16 changes few."""
NUM_EDGE_TICKS = 2
"""Ticks at the start and the end of a job that are not steady."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """Model and batches to time."""

    model: str = "sudoku-9x9"
    batches: tuple[int, ...] = (1, 8, 64)
    num_steps: int = 16
    device: str = "auto"
    num_threads: int | None = None
    output: Path | None = None

    def __post_init__(self) -> None:
        if min((*self.batches, self.num_steps)) < 1:
            raise ConfigError("batches", self.batches, "must be at least 1, as num_steps must")


def measure_engine(options: EngineOptions) -> Json:
    if options.num_threads is not None:
        torch.set_num_threads(options.num_threads)
    device = resolve_device(options.device)
    use_device(device)
    loaded = load_model(find_model(options.model), device)
    return {
        "environment": environment(loaded, num_steps=options.num_steps),
        "ceilings": ceilings(device),
        "results": [_measured(loaded, batch, options.num_steps) for batch in options.batches],
    }


def environment(loaded: LoadedModel, **more: object) -> Json:
    return {
        "model": loaded.info.id,
        "device": hardware(loaded.model.z0_high.device),
        "torch": torch.__version__,
        **more,
    }


def _measured(loaded: LoadedModel, batch: int, num_steps: int) -> Json:
    runner = make_runner(loaded, num_slots=batch, fixed_shape=True)
    runner.warm_up()
    job = bench_job(loaded, width=batch, depth=num_steps)
    agreement = _agreement(loaded, job, _timed(runner, job, 1)[1])
    if agreement < MIN_AGREEMENT:
        return {"batch": batch, "agreement": agreement, "refused": "answers differ"}
    durations, report = _timed(runner, job, num_steps)
    median_s = statistics.median(durations)
    is_cuda = loaded.model.z0_high.is_cuda
    answers = b"".join(sorted(row.tobytes() for row in report.answers))
    jobs_s = []
    engine = bench_engine(runner)
    for _ in range(1 + NUM_JOBS):
        started_s = time.perf_counter()
        finish(engine, job)
        jobs_s.append(time.perf_counter() - started_s)
    eager_s = None
    if is_cuda:
        eager = ModelRunner(loaded, num_slots=batch, backend=runner.backend, captures=False)
        eager.warm_up()
        eager_s = statistics.median(_timed(eager, job, num_steps)[0])
    return {
        "batch": batch,
        "runner": runner.backend,
        "agreement": agreement,
        # Equal for runs with the same answers, in any order of rows.
        "answers_hash": hashlib.sha256(answers).hexdigest()[:16],
        "kernels_per_step": num_kernels(lambda: _advanced(runner, batch)) if is_cuda else None,
        "median_step_ms": median_s * 1e3,
        "all_steps_ms": sum(durations) * 1e3,
        # From submission to end.
        "job_ms": statistics.median(jobs_s[1:]) * 1e3,
        "trajectory_steps_per_s": batch / median_s,
        # Against kernels that are launched one by one.
        "replay_against_eager": eager_s and eager_s / median_s,
    }


def _timed(runner: Runner, job: EngineJob, num_steps: int) -> tuple[list[float], StepReport]:
    """Return the seconds of each step, and the last report."""
    starts = [SlotAssignment(row, Trajectory(job, row, StepClock())) for row in range(job.width)]
    runner.update_rows(BatchUpdate(moves=[], starts=starts))
    durations = []
    for _ in range(num_steps):
        started_s = time.perf_counter()
        report = _advanced(runner, job.width)
        durations.append(time.perf_counter() - started_s)
    return durations, report


def _advanced(runner: Runner, num_rows: int) -> StepReport:
    runner.step(num_rows)
    return runner.read()


def bench_engine(runner: Runner) -> Engine:
    return Engine(runner, metrics=EngineMetrics(CollectorRegistry()).of("bench"))


def finish(engine: Engine, job: EngineJob) -> list[EngineEvent]:
    """Run a job to its end; return all that happened."""
    engine.submit(job, time.monotonic())
    events: list[EngineEvent] = []
    while engine.has_work:
        events += engine.tick(time.monotonic())
    return events


def num_kernels(call: Callable[[], object]) -> int:
    """Return how many kernels a call launches on CUDA."""
    call()
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        call()
        torch.cuda.synchronize()
    names = [
        event.name for event in profile.events() or () if str(event.device_type).endswith("CUDA")
    ]
    return sum(not name.startswith(("Memcpy", "Memset")) for name in names)


def _agreement(loaded: LoadedModel, job: EngineJob, report: StepReport) -> float:
    """Return the share of cells that the plain model answers alike after one step."""
    encoded = Encoded(tokens=job.tokens, adjacency=job.adjacency)
    recorder = Recorder(loaded.model, loaded.task, Running(backend="model"))
    plain = recorder.run([encoded], width=job.width, depth=1, seed=job.seed).final.tokens[0]
    ours = [
        answer if (symmetry := job.view(row)) is None else symmetry.invert(answer)
        for row, answer in enumerate(report.answers)
    ]
    return float(np.mean(plain == np.stack(ours)))


def bench_job(loaded: LoadedModel, *, width: int, depth: int) -> EngineJob:
    """Return a job without early stops; each trajectory has its own view of one instance."""
    family = puzzles.family(loaded.task.family)
    instance = family.generate(loaded.task, np.random.default_rng(0), num_solutions=None)
    return replace(job_of(loaded, instance, width=width, depth=depth), halt="never")


def job_of(loaded: LoadedModel, instance: object, *, width: int, depth: int) -> EngineJob:
    """Return a job of an instance, whose views and rules are its family's, with seed 0."""
    task = loaded.task
    family = puzzles.family(task.family)
    encoded = family.encode(instance)
    return EngineJob(
        id="bench",
        tokens=encoded.tokens,
        adjacency=encoded.adjacency,
        width=width,
        depth=depth,
        seed=0,
        view=family.views(task, 0),
        check=partial(family.check, instance),
        canonical=partial(family.canonical, instance),
    )


def ceilings(device: str) -> Json:
    """Return what a large copy and a large product reach, in TB/s and TFLOP/s."""
    is_cuda = device == "cuda"
    num_elements, size = (1 << 30, 8192) if is_cuda else (1 << 24, 512)
    source = torch.randn(num_elements, device=device)
    dtype = torch.float16 if is_cuda else torch.float32
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    named = {"source": source, "target": torch.empty_like(source), "left": left, "right": right}
    copy_s, product_s = (
        Timer(call, globals=named, num_threads=torch.get_num_threads()).blocked_autorange().median
        for call in ("target.copy_(source)", "left @ right")
    )
    return {
        "copy_tb_per_s": 8.0 * num_elements / copy_s / 1e12,
        "product_tflop_per_s": 2.0 * size**3 / product_s / 1e12,
    }


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
        "results": [_timed_jobs(loaded, width, options) for width in options.widths],
    }


def _timed_jobs(loaded: LoadedModel, width: int, options: HostOptions) -> Json:
    # A runner whose step does nothing, and whose answers are finite and wrong.
    runner = ModelRunner(loaded, num_slots=width)
    runner._bound.rows.facts[:, 2:4] = 1
    runner.rows_are_free = True
    moves = Moves(lambda sources, targets: None, lambda starts: None)
    runner._bound = replace(runner._bound, advance=lambda num_rows: None, moves=moves)
    engine = bench_engine(runner)
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
