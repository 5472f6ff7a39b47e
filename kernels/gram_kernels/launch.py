"""What a launch must know of the device: its architecture, and how large tiles may be there."""

from functools import cache
from typing import NamedTuple

import torch

Capability = tuple[int, int]

DEFAULT_CAPABILITY: Capability = (9, 0)
"""Taken where there is no GPU: the interpreter runs any configuration."""

SHARED_MEMORY_BYTES: dict[Capability, int] = {
    (8, 0): 166_912,
    (8, 6): 101_376,
    (8, 9): 101_376,
    (9, 0): 232_448,
    (10, 0): 232_448,
    (12, 0): 101_376,
}
"""What one program may use on the architectures that the kernels are compiled for in the tests."""

OPTIONS = {"enable_fp_fusion": True}
"""Said at every launch: the default changes between versions of Triton, and bits with it."""


class Tile(NamedTuple):
    """One way to launch a kernel."""

    rows: int
    """Rows of activations that a program works on at once."""
    columns: int
    """Columns of a weight that it reads at once."""
    num_warps: int
    num_stages: int


@cache
def capability(device: torch.device) -> Capability:
    """Return the compute capability of a device."""
    if device.type != "cuda":
        return DEFAULT_CAPABILITY
    return torch.cuda.get_device_capability(device)


@cache
def num_multiprocessors(device: torch.device) -> int:
    """Return how many programs run side by side at least; 1 where there is no GPU."""
    if device.type != "cuda":
        return 1
    return int(torch.cuda.get_device_properties(device).multi_processor_count)


def padded(size: int, *, least: int = 16) -> int:
    """Return the power of two that a tile needs for ``size`` elements."""
    return max(least, 1 << max(0, size - 1).bit_length())
