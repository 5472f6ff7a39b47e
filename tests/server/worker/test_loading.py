import asyncio
import sys
import threading
from typing import Any
from unittest.mock import AsyncMock

import numpy as np
import pytest
import torch
from prometheus_client import CollectorRegistry

from gram_core import puzzles
from gram_core.bound_step import step_backend
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.config import preset
from gram_core.errors import CheckpointError
from gram_core.model import Gram
from gram_kernels.supervision_step.native import has_integers, product_kind, refusal
from gram_server.engine import Trajectory
from gram_server.engine.slots import BatchUpdate, SlotAssignment
from gram_server.engine.trajectory import StepClock
from gram_server.errors import ConfigError
from gram_server.metrics.engine import EngineMetrics
from gram_server.settings import EngineConfig
from gram_server.worker.loading import (
    WARM_UP_WIDTH,
    ServedModel,
    load_served_model,
    make_runner,
    resolve_slots,
    warm_up,
)
from gram_server.worker.process import WorkerProcess
from gram_server.worker.start import wanted_models
from tests.server.engine.harness import plain_job
from tests.server.worker.harness import MakeModel


def test_models_are_found_by_path(guessing_model: MakeModel) -> None:
    info = guessing_model("sudoku-4x4").info
    assert wanted_models([str(info.path)]) == (info,)


def test_two_models_of_one_name_are_refused(guessing_model: MakeModel) -> None:
    path = str(guessing_model("sudoku-4x4").info.path)
    with pytest.raises(ConfigError, match="two models are named sudoku-4x4"):
        wanted_models([path, path])


@pytest.mark.parametrize(
    ("settings", "num_slots"),
    [
        ({"device": "cpu"}, 16),
        ({"device": "cuda:1"}, 132),
        ({"device": "cpu", "num_slots": 3}, 3),
    ],
)
def test_slots_follow_from_the_device_unless_they_are_set(
    settings: dict[str, Any], num_slots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    multiprocessors = {torch.device("cuda:1"): 132}
    monkeypatch.setattr(
        "gram_server.worker.loading.num_multiprocessors", multiprocessors.__getitem__
    )
    assert resolve_slots(EngineConfig(**settings)) == num_slots


def test_a_model_that_does_not_exist_is_refused() -> None:
    with pytest.raises(CheckpointError):
        wanted_models(["nowhere"])


@pytest.mark.parametrize("fixed_shape", [True, False])
@pytest.mark.parametrize("task", ["sudoku-4x4", "graph-coloring-5"])
def test_a_warm_up_solves_a_puzzle_from_end_to_end(
    guessing_model: MakeModel, task: str, fixed_shape: bool
) -> None:
    config = EngineConfig(num_slots=12, device="cpu", fixed_shape=fixed_shape)
    served = load_served_model(guessing_model(task).info, config)
    registry = CollectorRegistry()
    warm_up(served, EngineMetrics(registry).of(task))
    ended = registry.get_sample_value("gram_steps_per_trajectory_count", {"model": task})
    assert ended is not None
    assert 1 <= ended <= WARM_UP_WIDTH


def test_a_model_without_finite_numbers_never_becomes_ready(guessing_model: MakeModel) -> None:
    loaded = load_model(guessing_model("sudoku-4x4").info)
    loaded.model.decoder.weight.fill_(float("nan"))
    served = ServedModel(loaded=loaded, runner=make_runner(loaded, num_slots=4, fixed_shape=True))
    with pytest.raises(RuntimeError, match="no finite numbers"):
        warm_up(served, EngineMetrics(CollectorRegistry()).of("x"))


def test_where_native_code_cannot_be_built_torch_serves(
    guessing_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = guessing_model("sudoku-4x4")
    if not refusal():
        assert make_runner(loaded, num_slots=2, fixed_shape=True).backend == "native"
    monkeypatch.setattr("gram_core.bound_step.refusal", lambda: "no C compiler is installed")
    assert make_runner(loaded, num_slots=2, fixed_shape=True).backend == "model"


class OnGpu(torch.Tensor):
    """A tensor that says it is on a GPU."""

    is_cuda = True


@pytest.mark.parametrize(
    ("task", "refused", "backend"),
    [("sudoku-4x4", "", "triton"), ("maze-4x4", "", "model"), ("sudoku-4x4", "no gcc", "model")],
)
def test_on_a_gpu_a_model_runs_fused_where_it_can_and_by_its_own_operations_elsewhere(
    task: str, refused: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = puzzles.task(task)
    model = Gram(preset("tiny", sizes), sizes.units)
    model.z0_high = model.z0_high.as_subclass(OnGpu)
    monkeypatch.setattr("gram_core.bound_step.triton_refusal", lambda: refused)
    assert step_backend(model, sizes) == backend


def state_after_a_step(loaded: LoadedModel, precision: str) -> torch.Tensor:
    runner = make_runner(loaded, num_slots=1, fixed_shape=True, precision=precision)
    job = plain_job(tokens=np.ones(16, np.uint8), seed=3)
    start = SlotAssignment(0, Trajectory(job, 0, StepClock()))
    runner.update_rows(BatchUpdate(moves=[], starts=[start]))
    runner.step(1)
    runner.read()
    return runner._rows.high[0].clone()


@pytest.mark.slow
@pytest.mark.skipif(bool(refusal()), reason=refusal() or "there is native code")
def test_bf16_rounds_activations_where_there_are_matrix_units() -> None:
    [info] = wanted_models(["sudoku-4x4"])
    loaded = load_model(info)
    rounded, whole = (state_after_a_step(loaded, each) for each in ("bf16", "fp32"))
    torch.testing.assert_close(rounded, whole, atol=0.1, rtol=0.1)
    assert torch.equal(rounded, whole) == (product_kind() != "matrix")


@pytest.mark.skipif(not has_integers(), reason="there are no products of integers here")
def test_a_model_is_served_in_int8_where_that_is_fastest_and_as_asked_elsewhere() -> None:
    [info] = wanted_models(["sudoku-4x4"])
    loaded = load_model(info)
    chosen, rounded, whole = (state_after_a_step(loaded, each) for each in ("auto", "int8", "fp32"))
    torch.testing.assert_close(rounded, whole, atol=0.3, rtol=0.3)
    assert not torch.equal(rounded, whole)
    assert torch.equal(chosen, whole if product_kind() == "matrix" else rounded)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_precision_is_refused_where_nothing_runs_it(
    precision: str, guessing_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = EngineConfig(device="cpu", precision=precision)
    info = guessing_model("sudoku-4x4").info
    monkeypatch.setattr("gram_server.worker.loading.has_integers", lambda: False)
    if precision == "int8" and not refusal():
        with pytest.raises(ConfigError, match="no dot products"):
            load_served_model(info, config)
    monkeypatch.setattr("gram_core.bound_step.refusal", lambda: "no C compiler is installed")
    with pytest.raises(ConfigError, match=f"precision='{precision}'"):
        load_served_model(info, config)


@pytest.mark.parametrize(
    ("name", "chosen"), [("cuda:1", [torch.device("cuda:1")]), ("cuda", []), ("cpu", [])]
)
def test_a_worker_makes_its_gpu_the_current_one_before_it_loads_a_model(
    name: str, chosen: list[torch.device], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kernels are launched on the current GPU, wherever their data are."""
    calls: list[object] = []
    monkeypatch.setattr("torch.cuda.set_device", calls.append)

    def load(info: object, config: object) -> None:
        calls.append("load")
        raise RuntimeError("loaded")

    monkeypatch.setattr("gram_server.worker.process.load_served_model", load)
    worker = WorkerProcess(
        EngineConfig(device=name, models=("sudoku-4x4",)),
        open_store=lambda: pytest.fail("no store is needed"),
        name="w",
        heartbeat=None,
    )
    with pytest.raises(RuntimeError, match="loaded"):
        worker._load()
    assert calls == [*chosen, "load"]


@pytest.mark.parametrize("opens_at_once", [False, True])
def test_a_worker_that_cannot_load_leaves_no_thread_behind(
    opens_at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that runs while the interpreter is taken down can abort the process."""
    store = AsyncMock()
    is_open = threading.Event()

    async def open_store() -> Any:
        is_open.set()
        if not opens_at_once:
            await asyncio.sleep(60.0)
        return store

    def load(info: object, config: object) -> None:
        is_open.wait()
        raise RuntimeError("no such weights")

    monkeypatch.setattr("gram_server.worker.process.load_served_model", load)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("os.nice", lambda _: None)
    config = EngineConfig(device="cpu", models=("sudoku-4x4",))
    switch_s = sys.getswitchinterval()
    try:
        with pytest.raises(RuntimeError, match="no such weights"):
            WorkerProcess(config, open_store=open_store, name="w", heartbeat=None).run()
    finally:
        sys.setswitchinterval(switch_s)
    assert "store" not in [thread.name for thread in threading.enumerate()]
    assert store.close.await_count == opens_at_once
