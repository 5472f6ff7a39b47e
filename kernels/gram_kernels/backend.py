"""Chooses between Triton and the PyTorch reference.

Every op takes ``backend``: ``auto`` is Triton for CUDA tensors where Triton is installed, and the
reference for everything else. Triton is looked up when an op is called.
"""

from functools import cache
from importlib.util import find_spec
from typing import Literal

from torch import Tensor

Backend = Literal["auto", "triton", "reference"]


@cache
def has_triton() -> bool:
    return find_spec("triton") is not None


def use_triton(x: Tensor, backend: Backend) -> bool:
    if backend == "auto":
        return x.is_cuda and has_triton()
    return backend == "triton"
