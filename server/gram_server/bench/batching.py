"""Continuous against static batching on the same rows, weights and puzzles.

Static batching is the classical server: as many whole jobs as fit the batch run to the full depth
together, then the next ones. Both go through the same runner, so only the batching differs.
"""

import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.progress import Progress

from gram_core import puzzles
from gram_core.catalog import find_model
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.evaluation.instances import read_cases
from gram_core.views import view
from gram_server.engine import Engine, EngineJob, Finished, Trajectory
from gram_server.engine.slots import Arrangement, Placement
from gram_server.engine.torch_runner import TorchRunner
from gram_server.errors import ConfigError
from gram_server.metrics.engine import EngineMetrics

Json = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run."""

    model: str = "sudoku-9x9"
    data: Path | None = None
    """Puzzles as for ``gram-server evaluate``; None takes held-out or freshly made ones."""
    num_puzzles: int = 200
    width: int = 16
    depth: int | None = None
    num_slots: int = 64
    seed: int = 0
    num_threads: int | None = None

    def __post_init__(self) -> None:
        """Refuse counts that cannot be run."""
        for name in ("num_puzzles", "width", "num_slots"):
            value = getattr(self, name)
            if value < 1:
                raise ConfigError(name, value, "must be at least 1")
        if self.width > self.num_slots:
            raise ConfigError("width", self.width, "a static batch must hold a whole job")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one way of batching cost for the whole load."""

    batching: str
    wall_s: float
    cpu_s: float
    """Processor time of the process, which other processes on the machine do not stretch."""
    row_steps: int
    """Steps of rows that the model computed, padding included."""
    supervision_steps: int
    """Those of them that belonged to a trajectory."""
    num_solved: int
    steps_of_puzzles: tuple[int, ...]
    """Supervision steps of each puzzle, in the order of the load."""

    @property
    def puzzles_per_s(self) -> float:
        """Throughput."""
        return len(self.steps_of_puzzles) / self.wall_s


def measure(plan: Plan) -> Json:
    """Run the load in each way of batching; return every raw number."""
    if plan.num_threads is not None:
        torch.set_num_threads(plan.num_threads)
    loaded = load_model(find_model(plan.model))
    depth = plan.depth or loaded.info.depth
    jobs = _load(plan, loaded, depth)
    runner = TorchRunner(loaded, num_slots=plan.num_slots)
    runner.warm_up()
    first = [replace(job, max_solutions=1) for job in jobs]
    measured = [
        _run_static(runner, jobs, depth=depth),
        _run_continuous(runner, jobs, name="continuous, whole width explored"),
        _run_continuous(runner, first, name="continuous, first solution is enough"),
    ]
    return {
        "environment": _environment(loaded, plan, depth=depth),
        "results": [
            {**asdict(each), "puzzles_per_s": round(each.puzzles_per_s, 3)} for each in measured
        ],
        "against_static": [
            {
                "batching": each.batching,
                "fewer_supervision_steps": _ratio(measured[0].supervision_steps, each),
                "throughput": round(each.puzzles_per_s / measured[0].puzzles_per_s, 3),
            }
            for each in measured[1:]
        ],
    }


def _ratio(num_static: int, measured: Measured) -> float:
    return round(num_static / measured.supervision_steps, 3)


def _load(plan: Plan, loaded: LoadedModel, depth: int) -> list[EngineJob]:
    """Return the jobs in an order drawn from the seed, so that difficulties are mixed."""
    task = loaded.task
    family = puzzles.family(task.family)
    cases = read_cases(task, plan.data, limit=plan.num_puzzles)
    order = np.random.default_rng(plan.seed).permutation(len(cases))
    jobs = []
    for number in order.tolist():
        instance = cases[number].instance
        encoded = family.encode(instance)
        seed = plan.seed + number
        jobs.append(
            EngineJob(
                id=str(number),
                tokens=encoded.tokens,
                adjacency=encoded.adjacency,
                width=plan.width,
                depth=depth,
                seed=seed,
                view=partial(view, family, task, seed),
                check=partial(family.check, instance),
                canonical=partial(family.canonical, instance),
            )
        )
    return jobs


def _run_static(runner: TorchRunner, jobs: Sequence[EngineJob], *, depth: int) -> Measured:
    """Run whole jobs side by side to the full depth, batch after batch."""
    jobs_per_batch = runner.num_slots // jobs[0].width
    solved: set[str] = set()
    row_steps = 0
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    with _progress() as progress:
        bar = progress.add_task("static", total=len(jobs))
        for first in range(0, len(jobs), jobs_per_batch):
            batch = jobs[first : first + jobs_per_batch]
            rows = _place(batch)
            runner.arrange(Arrangement(moves=[], starts=rows))
            for _ in range(depth):
                runner.step(len(rows))
                report = runner.read()
                row_steps += report.num_rows
                solved.update(
                    trajectory.job.id
                    for row, trajectory in rows
                    if report.is_valid[row]
                    and trajectory.job.id not in solved
                    and trajectory.job.check(trajectory.unview(report.answers[row]))
                )
            progress.advance(bar, len(batch))
    steps = tuple(job.width * depth for job in jobs)
    return Measured(
        batching="static",
        wall_s=time.perf_counter() - started_s,
        cpu_s=time.process_time() - started_cpu_s,
        row_steps=row_steps,
        supervision_steps=sum(steps),
        num_solved=len(solved),
        steps_of_puzzles=steps,
    )


def _place(jobs: Sequence[EngineJob]) -> list[Placement]:
    trajectories = [
        Trajectory(job=job, index=index, view=job.view(index))
        for job in jobs
        for index in range(job.width)
    ]
    return [Placement(row, trajectory) for row, trajectory in enumerate(trajectories)]


def _run_continuous(runner: TorchRunner, jobs: Sequence[EngineJob], *, name: str) -> Measured:
    """Give the engine every job at once and tick until all are done."""
    registry = CollectorRegistry()
    engine = Engine(runner, metrics=EngineMetrics(registry).of("bench"))
    ends: dict[str, Finished] = {}
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    with _progress() as progress:
        bar = progress.add_task(name, total=len(jobs))
        for job in jobs:
            engine.submit(job, 0.0)
        while engine.has_work:
            for event in engine.tick(time.perf_counter() - started_s):
                if isinstance(event, Finished):
                    ends[event.job_id] = event
                    progress.advance(bar)
    steps = tuple(ends[job.id].supervision_steps for job in jobs)
    labels = {"model": "bench", "reason": "padding"}
    padding = registry.get_sample_value("gram_wasted_slot_steps_total", labels) or 0.0
    return Measured(
        batching=name,
        wall_s=time.perf_counter() - started_s,
        cpu_s=time.process_time() - started_cpu_s,
        row_steps=sum(steps) + round(padding),
        supervision_steps=sum(steps),
        num_solved=sum(bool(end.solutions) for end in ends.values()),
        steps_of_puzzles=steps,
    )


def _progress() -> Progress:
    return Progress(console=Console(stderr=True), transient=True)


def _environment(loaded: LoadedModel, plan: Plan, *, depth: int) -> Json:
    return {
        "model": loaded.info.id,
        "task": loaded.task.name,
        "data": plan.data.name if plan.data else "held-out or made",
        "num_puzzles": plan.num_puzzles,
        "width": plan.width,
        "depth": depth,
        "num_slots": plan.num_slots,
        "seed": plan.seed,
        "processor": platform.processor() or platform.machine(),
        "num_threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
