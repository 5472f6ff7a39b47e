"""Says in one sentence why a worker cannot start, and whether a retry may succeed."""

import errno
import re
import subprocess
from typing import NamedTuple

import torch

from gram_core.errors import CoreError
from gram_server.errors import ConfigError, ServerError, StartFailed, StartRefused


class Cause(NamedTuple):
    """One cause of failure, recognised by the message of torch, Triton or the system."""

    pattern: str
    sentence: str
    is_lasting: bool = True
    """Whether every start would fail like this."""


CAUSES = (
    Cause(
        r"Found no NVIDIA driver|libcuda\.so cannot found|CUDA driver initialization failed",
        "there is no NVIDIA driver here: install it, or give the container the GPU (--gpus all)",
    ),
    Cause(
        r"driver on your system is too old|driver version is insufficient",
        "the NVIDIA driver is too old for this torch: update it, or install torch for its CUDA",
    ),
    Cause(
        r"not compiled with CUDA|not linked with support for cuda",
        "this torch is built for processors alone: install one that is built for CUDA",
    ),
    Cause(
        r"[Ff]ailed to find C compiler|No such file or directory: '\S*(cc|gcc|clang)'",
        "Triton needs a C compiler to start its kernels: install gcc, or set CC",
    ),
    Cause(
        r"Python\.h",
        "Triton needs the headers of Python to start its kernels: install python3-dev",
    ),
    Cause(
        r"out of memory|CUBLAS_STATUS_ALLOC_FAILED|can't allocate memory",
        "there is not enough memory for the models: lower --num-slots, or name fewer with --model",
        is_lasting=False,
    ),
    Cause(
        r"MIG",
        "the GPU is split by MIG and has no instance for us: make one, and name it in "
        "CUDA_VISIBLE_DEVICES",
    ),
    Cause(
        r"No CUDA GPUs are available|no CUDA-capable device",
        "torch sees no GPU: look at CUDA_VISIBLE_DEVICES, and at nvidia-smi for MIG without "
        "instances",
    ),
    Cause(r"invalid device ordinal", "there is no GPU of this number"),
    Cause(
        r"busy or unavailable",
        "the GPU is taken by another process, or split by MIG without an instance for us",
        is_lasting=False,
    ),
    Cause(
        r"no kernel image is available|not compatible with the current PyTorch",
        "this torch is not built for a GPU of this kind: install one that is",
    ),
    Cause(
        r"system not yet initialized",
        "the GPUs are not set up yet: start nvidia-fabricmanager",
        is_lasting=False,
    ),
    Cause(r"CUDA unknown error|CUDA error", "the GPU failed: see nvidia-smi", is_lasting=False),
)


def explained(error: Exception, device: str) -> Exception:
    """Return an error with a one-sentence message; an unknown error unchanged."""
    if isinstance(error, ServerError):
        return error
    if isinstance(error, CoreError):
        return StartRefused(str(error))
    if isinstance(error, PermissionError) and error.filename:
        return StartRefused(f"{error.filename} cannot be read: {error.strerror}")
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return StartFailed("there is not enough memory for the models: name fewer with --model")
    words = _words(error)
    for cause in CAUSES:
        if re.search(cause.pattern, words):
            if cause.is_lasting:
                return ConfigError("device", device, cause.sentence)
            return StartFailed(f"device={device!r}: {cause.sentence}")
    return error


def _words(error: BaseException) -> str:
    parts = []
    cause: BaseException | None = error
    while cause is not None:
        parts.append(f"{type(cause).__name__}: {cause}")
        if isinstance(cause, subprocess.CalledProcessError):
            parts += [_text(cause.stderr), _text(cause.output)]
        cause = cause.__cause__ or cause.__context__
    return "\n".join(parts)


def _text(output: object) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else str(output or "")


def check_device(name: str) -> None:
    """Raise if the device cannot be used; initialize CUDA for a GPU."""
    kind, _, index = name.partition(":")
    if name in ("auto", "cpu"):
        return
    if kind != "cuda" or (":" in name and not index.isdecimal()):
        raise ConfigError("device", name, "must be auto, cpu, cuda or cuda:N")
    try:
        # Raises the reason, where ``device_count`` would only return 0.
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        raise explained(error, name) from error
    count = torch.cuda.device_count()
    if index and int(index) >= count:
        known = ", ".join(f"cuda:{number}" for number in range(count)) or "none"
        raise ConfigError("device", name, f"there is no GPU of this number: {known}")
