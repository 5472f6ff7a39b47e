"""Turns model names of the settings into tested engines: load, build, warm up."""

import logging
import time
from dataclasses import dataclass

import numpy as np
import torch

from gram_core import puzzles
from gram_core.bound_step import step_backend
from gram_core.catalog import ModelInfo
from gram_core.checkpoint import LoadedModel, load_model
from gram_kernels.backend import triton_refusal
from gram_kernels.launch import num_multiprocessors
from gram_kernels.supervision_step.native import origin, refusal
from gram_server.engine import Engine, EngineJob, Finished
from gram_server.engine.model_runner import ModelRunner
from gram_server.errors import ConfigError
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
        is_bf16=config.precision == "bf16",
    )
    return ServedModel(loaded=loaded, runner=runner)


def make_runner(
    loaded: LoadedModel, *, num_slots: int, fixed_shape: bool, is_bf16: bool = False
) -> ModelRunner:
    """Return rows for a model, with the fastest step that can run it on its device.

    Raises:
        ConfigError: bfloat16 products were asked for, which only native code has.
    """
    backend = step_backend(loaded.model, loaded.task)
    reason = triton_refusal() if loaded.model.z0_high.is_cuda else refusal()
    if backend == "model" and reason:
        logger.warning(
            "model %s runs by torch's own ops, which is slower: %s", loaded.info.id, reason
        )
    if backend == "native":
        logger.info("model %s runs by native code: %s", loaded.info.id, origin())
    if is_bf16 and backend != "native":
        raise ConfigError("precision", "bf16", f"{loaded.info.name} runs without native code here")
    return ModelRunner(
        loaded,
        num_slots=num_slots,
        fixed_shape=fixed_shape,
        dtype=torch.bfloat16 if is_bf16 else None,
        backend=backend,
    )


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
