"""Medians of wall time on the CPU and of device time on CUDA, and the two ceilings of a device."""

import statistics
import time
from collections.abc import Callable

import torch

COPY_BYTES = {"cuda": 4 << 30, "cpu": 64 << 20}
MATMUL_SIZE = {"cuda": 8192, "cpu": 512}


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
