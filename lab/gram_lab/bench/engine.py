"""How fast the engine's rows advance: trajectory-steps per second by batch, and two ceilings.

Before a batch is timed its answers are compared with those of the plain model; where they differ
in more than rounding can explain, nothing is reported.
"""

import hashlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from prometheus_client import CollectorRegistry

from gram_core import puzzles
from gram_core.catalog import find_model
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.puzzles import Encoded
from gram_lab.machine import hardware
from gram_lab.rollouts import Recorder, Running
from gram_server.engine import Engine, EngineEvent, EngineJob, Trajectory
from gram_server.engine.model_runner import ModelRunner
from gram_server.engine.runner import Runner, StepReport
from gram_server.engine.slots import BatchUpdate, SlotAssignment
from gram_server.engine.trajectory import StepClock
from gram_server.errors import ConfigError
from gram_server.metrics.engine import EngineMetrics
from gram_server.worker.loading import make_runner, resolve_device, use_device

Json = dict[str, object]
NUM_JOBS = 5
"""Jobs timed for a median, after one to warm up."""
MIN_AGREEMENT = 0.98
"""Least share of cells that two implementations of a step decode alike; float16 changes few."""


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
        "ceilings": _ceilings(device),
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
        "kernels_per_step": _num_kernels(runner, batch) if is_cuda else None,
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
        runner.step(job.width)
        report = runner.read()
        durations.append(time.perf_counter() - started_s)
    return durations, report


def bench_engine(runner: Runner) -> Engine:
    return Engine(runner, metrics=EngineMetrics(CollectorRegistry()).of("bench"))


def finish(engine: Engine, job: EngineJob) -> list[EngineEvent]:
    """Run a job to its end; return all that happened."""
    engine.submit(job, time.monotonic())
    events: list[EngineEvent] = []
    while engine.has_work:
        events += engine.tick(time.monotonic())
    return events


def _num_kernels(runner: Runner, batch: int) -> int:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        runner.step(batch)
        runner.read()
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
    task = loaded.task
    family = puzzles.family(task.family)
    instance = family.generate(task, np.random.default_rng(0), num_solutions=None)
    encoded = family.encode(instance)
    return EngineJob(
        id="bench",
        tokens=encoded.tokens,
        adjacency=encoded.adjacency,
        width=width,
        depth=depth,
        seed=0,
        halt="never",
        view=family.views(task, 0),
        check=partial(family.check, instance),
        canonical=partial(family.canonical, instance),
    )


def _ceilings(device: str) -> Json:
    """Return what a large copy and a large product reach, in TB/s and TFLOP/s."""
    is_cuda = device == "cuda"
    num_elements, size = (1 << 30, 8192) if is_cuda else (1 << 24, 512)
    source = torch.randn(num_elements, device=device)
    target = torch.empty_like(source)
    dtype = torch.float16 if is_cuda else torch.float32
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    copy_s = _median_s(lambda: target.copy_(source), is_cuda=is_cuda)
    product_s = _median_s(lambda: left @ right, is_cuda=is_cuda)
    return {
        "copy_tb_per_s": 8.0 * num_elements / copy_s / 1e12,
        "product_tflop_per_s": 2.0 * size**3 / product_s / 1e12,
    }


def _median_s(call: Callable[[], object], *, is_cuda: bool) -> float:
    durations = []
    for _ in range(5):
        started_s = time.perf_counter()
        call()
        if is_cuda:
            torch.cuda.synchronize()
        durations.append(time.perf_counter() - started_s)
    return statistics.median(durations)
