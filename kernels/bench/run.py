"""Times every op: ``make bench-kernels``.

First an op's tests run, unless --tested says that they just did; where one is red nothing is
reported of the op. Figures are medians, of wall time on the CPU and of device time on CUDA, and
stand beside two ceilings of the device. Raw numbers go to standard output as JSON.

    python kernels/bench/run.py [--op NAME] [--budget-s S] [--rows N ...] [--output FILE] [--tested]
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from shutil import which

import torch
from registry import OPS, Case

from gram_kernels.backend import triton_refusal
from gram_kernels.supervision_step.native import refusal

ROOT = Path(__file__).parents[2]
COPY_BYTES = {"cuda": 4 << 30, "cpu": 64 << 20}
MATMUL_SIZE = {"cuda": 8192, "cpu": 512}
Json = dict[str, object]


def main() -> int:
    """Return 1 if an op was not measured because its tests fail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--op", choices=sorted(OPS), action="append")
    parser.add_argument("--budget-s", type=float, default=0.3, help="seconds for each figure")
    parser.add_argument("--rows", type=int, nargs="+", help="trajectories of a call")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--tested", action="store_true", help="its tests have just run")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = options.rows or ([1, 64, 1024] if device == "cuda" else [8])
    results: list[Json] = []
    silenced = []
    for name in options.op or sorted(OPS):
        if not options.tested and not _is_green(name):
            silenced.append(name)
            sys.stderr.write(f"{name}: its tests fail, so nothing is reported\n")
            continue
        for case in OPS[name].cases:
            for count in rows:
                results += _measured(name, case, device, count, budget_s=options.budget_s)
    report = {
        "environment": environment(device),
        "ceilings": ceilings(device),
        "silenced": silenced,
        "results": results,
    }
    text = json.dumps(report, indent=2) + "\n"
    sys.stdout.write(text)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")
    return 1 if silenced else 0


def environment(device: str) -> Json:
    commit = ""
    if which("git"):
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
        ).stdout.strip()
    name = torch.cuda.get_device_name() if device == "cuda" else platform.machine()
    return {
        "device": name,
        "commit": commit or "unknown",
        "torch": torch.__version__,
        "num_threads": torch.get_num_threads(),
    }


def _is_green(name: str) -> bool:
    tests = [str(ROOT / "tests/kernels" / test) for test in OPS[name].tests]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--exitfirst", *tests],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if run.returncode != 0:
        sys.stderr.write(run.stdout[-2000:])
    return run.returncode == 0


def _measured(name: str, case: Case, device: str, rows: int, *, budget_s: float) -> list[Json]:
    dtype = torch.float16 if device == "cuda" else torch.float32
    prepared = case.prepare(device, dtype, rows)
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
            kernels = num_kernels(call, device)
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
    for _ in range(2):
        call()
    durations: list[float] = []
    deadline_s = time.perf_counter() + budget_s
    while len(durations) < 3 or (time.perf_counter() < deadline_s and len(durations) < 200):
        if device == "cpu":
            started_s = time.perf_counter()
            call()
            durations.append(time.perf_counter() - started_s)
            continue
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        durations.append(start.elapsed_time(end) / 1e3)
    return statistics.median(durations)


def ceilings(device: str, *, budget_s: float = 1.0) -> dict[str, float]:
    """Return the throughput of a large copy (TB/s) and a large product (TFLOP/s)."""
    source = torch.empty(COPY_BYTES[device] // 4, device=device).normal_()
    target = torch.empty_like(source)
    copy_s = median_s(lambda: target.copy_(source), device, budget_s=budget_s)
    dtype = torch.float16 if device == "cuda" else torch.float32
    size = MATMUL_SIZE[device]
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    matmul_s = median_s(lambda: left @ right, device, budget_s=budget_s)
    return {
        "copy_tb_per_s": 2.0 * COPY_BYTES[device] / copy_s / 1e12,
        "matmul_tflop_per_s": 2.0 * size**3 / matmul_s / 1e12,
    }


def num_kernels(call: Callable[[], object], device: str) -> int | None:
    """Return how many kernels a call launches; None on CPU."""
    if device == "cpu":
        return None
    call()
    torch.cuda.synchronize()
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        call()
        torch.cuda.synchronize()
    return sum(
        event.device_type == torch.autograd.DeviceType.CUDA for event in profile.events() or ()
    )


if __name__ == "__main__":
    sys.exit(main())
