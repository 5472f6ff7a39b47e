"""Device properties that launches depend on: architecture and shared memory."""

from functools import cache

import torch

Capability = tuple[int, int]

DEFAULT_CAPABILITY: Capability = (9, 0)
"""Used without a GPU: the interpreter runs any configuration."""

SHARED_MEMORY_BYTES: dict[Capability, int] = {
    (8, 0): 166_912,
    (8, 6): 101_376,
    (8, 9): 101_376,
    (9, 0): 232_448,
    (10, 0): 232_448,
    (12, 0): 101_376,
}
"""Limit for one program, on the architectures that the tests compile for."""

OPTIONS = {"enable_fp_fusion": True}
"""Set at every launch: the default differs between versions of Triton, and changes bits."""


@cache
def capability(device: torch.device) -> Capability:
    if device.type != "cuda":
        return DEFAULT_CAPABILITY
    return torch.cuda.get_device_capability(device)


@cache
def num_multiprocessors(device: torch.device) -> int:
    if device.type != "cuda":
        return 1
    return int(torch.cuda.get_device_properties(device).multi_processor_count)


def padded(size: int, *, least: int = 16) -> int:
    """Return the least power of two that holds ``size`` elements, at least ``least``."""
    return max(least, 1 << max(0, size - 1).bit_length())
