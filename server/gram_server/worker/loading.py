"""Turns model names of the settings into tested engines: load, build, warm up.

Says in one sentence why a worker cannot start, and whether a retry may succeed.
"""

import errno
import logging
import re
import subprocess
import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from gram_core import puzzles
from gram_core.bound_step import PRODUCTS, RunnerBackend, native_precision, step_backend
from gram_core.catalog import ModelInfo
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.errors import CoreError
from gram_kernels.backend import triton_refusal
from gram_kernels.launch import num_multiprocessors
from gram_kernels.supervision_step.native import has_integers, origin, refusal
from gram_server.engine import Engine, EngineJob, Finished
from gram_server.engine.model_runner import ModelRunner
from gram_server.errors import ConfigError, ServerError, StartFailed, StartRefused
from gram_server.metrics.engine import ModelMetrics
from gram_server.settings import EngineConfig

NUM_SLOTS_ON_CPU = 16
"""Slots of a model unless the settings say otherwise. The time of a step on the CPU grows with its
rows: 64 slots give a tenth more steps per second, but a first solution takes two to three times as
long at the same load. A GPU has a slot for each multiprocessor, which steps one row."""
WARM_UP_WIDTH = 8
WARM_UP_SEED = 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """A loaded model and the rows it runs on."""

    loaded: LoadedModel
    runner: ModelRunner

    @property
    def info(self) -> ModelInfo:
        return self.loaded.info

    def engine(self, metrics: ModelMetrics) -> Engine:
        """Return a new engine on the rows, which only one engine may use at a time."""
        return Engine(self.runner, metrics=metrics)


def resolve_device(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def use_device(name: str) -> None:
    """Make a numbered GPU the current one: Triton launches there, wherever the tensors are."""
    device = torch.device(resolve_device(name))
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)


def resolve_slots(config: EngineConfig) -> int:
    if config.num_slots:
        return config.num_slots
    device = torch.device(resolve_device(config.device))
    return NUM_SLOTS_ON_CPU if device.type == "cpu" else num_multiprocessors(device)


def load_served_model(info: ModelInfo, config: EngineConfig) -> ServedModel:
    loaded = load_model(info, resolve_device(config.device))
    runner = make_runner(
        loaded,
        num_slots=resolve_slots(config),
        fixed_shape=config.fixed_shape,
        precision=config.precision,
    )
    return ServedModel(loaded=loaded, runner=runner)


def make_runner(
    loaded: LoadedModel, *, num_slots: int, fixed_shape: bool, precision: str = "fp32"
) -> ModelRunner:
    """Return rows for a model, with the fastest step that can run it on its device.

    Raises:
        ConfigError: products of that precision cannot run here.
    """
    backend = step_backend(loaded.model, loaded.task)
    reason = triton_refusal() if loaded.model.z0_high.is_cuda else refusal()
    if backend == "model" and reason:
        logger.warning(
            "model %s runs by torch's own ops, which is slower: %s", loaded.info.id, reason
        )
    if backend == "native":
        logger.info("model %s runs by native code: %s", loaded.info.id, origin())
    return ModelRunner(
        loaded,
        num_slots=num_slots,
        fixed_shape=fixed_shape,
        dtype=PRODUCTS[_resolve_precision(precision, loaded, backend)],
        backend=backend,
    )


def _resolve_precision(precision: str, loaded: LoadedModel, backend: RunnerBackend) -> str:
    if precision == "auto":
        return native_precision() if backend == "native" else "fp32"
    if precision == "fp32":
        refused = "products are in float16 on CUDA" if loaded.model.z0_high.is_cuda else ""
    elif backend != "native":
        refused = f"{loaded.info.name} runs without native code here"
    else:
        is_missing = precision == "int8" and not has_integers()
        refused = "this processor has no dot products of 8-bit integers" if is_missing else ""
    if refused:
        raise ConfigError("precision", precision, refused)
    return precision


def warm_up(served: ServedModel, metrics: ModelMetrics) -> None:
    """Run every call size once, then a puzzle from end to end.

    Raises:
        RuntimeError: the model yields no finite numbers here.
    """
    served.runner.warm_up()
    engine, task = served.engine(metrics), served.loaded.task
    family = puzzles.family(task.family)
    if served.info.purpose == "generate" and isinstance(family, puzzles.Generative):
        instance = family.blank(task)
    else:
        rng = np.random.default_rng(WARM_UP_SEED)
        instance = family.generate(task, rng, num_solutions=None)
    encoded = family.encode(instance)
    job = EngineJob(
        id="warm-up",
        tokens=encoded.tokens,
        adjacency=encoded.adjacency,
        width=WARM_UP_WIDTH,
        depth=served.info.depth,
        max_solutions=1,
        seed=WARM_UP_SEED,
        view=lambda trajectory: None,
        check=lambda tokens: family.check(instance, tokens),
        canonical=lambda tokens: family.canonical(instance, tokens),
    )
    engine.submit(job, time.monotonic())
    while engine.has_work:
        for event in engine.tick(time.monotonic()):
            if not isinstance(event, Finished):
                continue
            if event.outcome == "failed":
                raise RuntimeError(f"{served.info.id} yields no finite numbers on this machine")
            if event.solutions:
                logger.info("model %s is warm: solved its puzzle", served.info.id)
            else:
                logger.warning("model %s is warm, but did not solve its puzzle", served.info.id)


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
