"""Chooses between Triton and the PyTorch reference.

Every op takes ``backend``: ``auto`` is Triton for CUDA tensors where Triton works, and the
reference for everything else. Triton is tried when the first op is called.
"""

from functools import cache
from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor

Backend = Literal["auto", "triton", "reference"]


@cache
def triton_refusal() -> str:
    """Return why kernels cannot run on the GPU here, or nothing.

    Triton needs a C compiler and the headers of Python to start any kernel, and both are often
    missing where torch itself runs well. So a small kernel is tried.
    """
    if find_spec("triton") is None:
        return "Triton is not installed"
    from gram_kernels.philox import kernel

    zero = torch.zeros(1, dtype=torch.int64, device="cuda" if torch.cuda.is_available() else "cpu")
    try:
        kernel.integers(zero, zero, zero, transition=0, stream=0, count=4)
    except Exception as error:  # whatever a compiler or a driver raises
        said = str(error).partition("\n")[0]
        return f"Triton cannot start a kernel ({said}): it needs gcc and the headers of Python"
    return ""


def use_triton(x: Tensor, backend: Backend) -> bool:
    if backend == "auto":
        return x.is_cuda and not triton_refusal()
    return backend == "triton"
