from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from gram_core.checkpoint import load_model
from gram_core.errors import CheckpointError
from gram_kernels.supervision_step.native import refusal
from gram_server.engine.fused_runner import FusedRunner
from gram_server.engine.torch_runner import TorchRunner
from gram_server.errors import ConfigError
from gram_server.metrics.engine import EngineMetrics
from gram_server.settings import EngineConfig
from gram_server.worker.loading import Lane, load_lane, make_runner, wanted_models, warm_up


def test_models_are_found_by_path(guessing_model: Any) -> None:
    info = guessing_model("sudoku-4x4").info
    assert wanted_models([str(info.path)]) == (info,)


def test_two_models_of_one_name_are_refused(guessing_model: Any) -> None:
    path = str(guessing_model("sudoku-4x4").info.path)
    with pytest.raises(ConfigError, match="two models are named sudoku-4x4"):
        wanted_models([path, path])


def test_a_model_that_does_not_exist_is_refused() -> None:
    with pytest.raises(CheckpointError):
        wanted_models(["nowhere"])


@pytest.mark.parametrize("fixed_shape", [True, False])
@pytest.mark.parametrize("task", ["sudoku-4x4", "graph-coloring-5"])
def test_a_warm_up_solves_a_puzzle_from_end_to_end(
    guessing_model: Any, task: str, fixed_shape: bool
) -> None:
    config = EngineConfig(num_slots=12, device="cpu", fixed_shape=fixed_shape)
    lane = load_lane(guessing_model(task).info, config)
    registry = CollectorRegistry()
    warm_up(lane, EngineMetrics(registry).of(task))
    ended = registry.get_sample_value("gram_steps_per_trajectory_count", {"model": task})
    assert ended == 8


def test_a_model_without_finite_numbers_never_becomes_ready(guessing_model: Any) -> None:
    loaded = load_model(guessing_model("sudoku-4x4").info)
    loaded.model.decoder.weight.fill_(float("nan"))
    lane = Lane(loaded=loaded, runner=make_runner(loaded, num_slots=4, fixed_shape=True))
    with pytest.raises(RuntimeError, match="no finite numbers"):
        warm_up(lane, EngineMetrics(CollectorRegistry()).of("x"))


def test_where_native_code_cannot_be_built_torch_serves(
    guessing_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = guessing_model("sudoku-4x4")
    if not refusal():
        assert isinstance(make_runner(loaded, num_slots=2, fixed_shape=True), FusedRunner)
    monkeypatch.setattr("gram_server.worker.loading.refusal", lambda: "no C compiler is installed")
    assert isinstance(make_runner(loaded, num_slots=2, fixed_shape=True), TorchRunner)
