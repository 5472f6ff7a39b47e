"""``gram-lab bench kernels``: every op beside its reference, by medians.

First an op's tests run, unless ``tested`` says that they just did; where one is red nothing is
reported of the op. Times are of the wall on a CPU and of the device on CUDA, and stand beside two
ceilings of the device.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import which
from typing import Any

import torch
from torch.utils.benchmark import Timer

from gram_kernels import launch
from gram_kernels.backend import triton_refusal
from gram_kernels.supervision_step.native import refusal
from gram_lab.bench.engine import Json, ceilings, num_kernels
from gram_lab.bench.ops import OPS, Case
from gram_lab.machine import hardware
from gram_server.errors import ConfigError

ROOT = Path(__file__).parents[3]
ARCHS = {major * 10 + minor: (major, minor) for major, minor in launch.SHARED_MEMORY_BYTES}


def require(name: str, given: Iterable[Any], known: Iterable[Any]) -> None:
    """Raise ``ConfigError`` for what is not known."""
    if unknown := set(given) - set(known):
        raise ConfigError(name, min(unknown), f"must be one of {', '.join(map(str, known))}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelOptions:
    """Ops to time, in a checkout with their tests."""

    op: tuple[str, ...] = tuple(OPS)
    rows: tuple[int, ...] = ()
    """Trajectories of a call; 8 by default on a CPU, and 1, 64 and 1024 on CUDA."""
    budget_s: float = 0.3
    """For each figure."""
    tested: bool = False
    output: Path | None = None

    def __post_init__(self) -> None:
        require("op", self.op, OPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompilationOptions:
    """Ops and architectures to compile for."""

    op: tuple[str, ...] = tuple(OPS)
    arch: tuple[int, ...] = tuple(ARCHS)
    output: Path | None = None

    def __post_init__(self) -> None:
        require("op", self.op, OPS)
        require("arch", self.arch, ARCHS)


@dataclass(frozen=True, slots=True, kw_only=True)
class TileOptions:
    """Rows to time."""

    rows: tuple[int, ...] = (1, 132, 1056)
    budget_s: float = 0.1
    """For each figure."""
    output: Path | None = None


def measure_kernels(options: KernelOptions) -> Json:
    """Time the ops; those whose tests fail are ``silenced``."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = options.rows or ((1, 64, 1024) if device == "cuda" else (8,))
    silenced = [name for name in options.op if not (options.tested or _is_green(name))]
    commit = ""
    if which("git"):
        command = ["git", "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return {
        "environment": {
            "device": hardware(torch.device(device)),
            "commit": commit or "unknown",
            "torch": torch.__version__,
        },
        "ceilings": ceilings(device),
        "silenced": silenced,
        "results": [
            found
            for name in options.op
            if name not in silenced
            for case in OPS[name].cases
            for count in rows
            for found in _measured(name, case, device, count, budget_s=options.budget_s)
        ],
    }


def _is_green(name: str) -> bool:
    tests = [str(ROOT / "tests/kernels" / test) for test in OPS[name].tests]
    command = [sys.executable, "-m", "pytest", "-q", "--exitfirst", *tests]
    run = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if run.returncode != 0:
        sys.stderr.write(f"{run.stdout[-2000:]}{name}: its tests fail, so nothing is reported\n")
    return run.returncode == 0


def _measured(name: str, case: Case, device: str, rows: int, *, budget_s: float) -> list[Json]:
    prepared = case.prepare(device, torch.float16 if device == "cuda" else torch.float32, rows)
    runs_here = {
        "reference": True,
        "triton": device == "cuda" and not triton_refusal(),
        "native": device == "cpu" and not refusal(),
    }
    found: list[Json] = []
    for backend in filter(runs_here.__getitem__, prepared.backends):
        call = partial(prepared.run, backend)
        with torch.inference_mode():
            duration_s = median_s(call, device, budget_s=budget_s)
            kernels = num_kernels(call) if device == "cuda" else None
        found.append(
            {
                "op": name,
                "case": case.name,
                "rows": rows,
                "backend": backend,
                "median_us": duration_s * 1e6,
                "tflop_per_s": prepared.flop / duration_s / 1e12,
                "tb_per_s": prepared.moved_bytes / duration_s / 1e12,
                "kernels": kernels,
            }
        )
    return found


def median_s(call: Callable[[], object], device: str, *, budget_s: float) -> float:
    """Return the median seconds of at least 3 calls within a budget, after warm-up."""
    if device == "cpu":
        timer = Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads())
        return timer.blocked_autorange(min_run_time=budget_s).median
    for _ in range(2):
        call()
    durations: list[float] = []
    deadline_s = time.perf_counter() + budget_s
    while len(durations) < 3 or (time.perf_counter() < deadline_s and len(durations) < 200):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        durations.append(start.elapsed_time(end) / 1e3)
    return statistics.median(durations)
