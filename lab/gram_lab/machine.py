"""The machine that figures were measured on, in words."""

import platform
from pathlib import Path

import torch

CPU_FILE = Path("/proc/cpuinfo")


def processor() -> str:
    lines = CPU_FILE.read_text(encoding="utf-8").splitlines() if CPU_FILE.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def hardware(device: torch.device) -> str:
    """Return the GPU, or the processor and the threads on it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor()}, {torch.get_num_threads()} threads"
