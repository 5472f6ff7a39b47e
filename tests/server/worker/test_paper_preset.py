"""A model of the paper's size from disk to answers: loaded, warmed up, stepped by the engine."""

from typing import Any

import numpy as np
import pytest
import torch
from prometheus_client import CollectorRegistry

from gram_core import puzzles
from gram_core.catalog import ModelInfo
from gram_core.checkpoint import load_model, save_model
from gram_core.config import preset
from gram_core.model import Gram
from gram_server.engine import EngineJob, Finished, Trajectory
from gram_server.engine.model_runner import ModelRunner
from gram_server.engine.slots import BatchUpdate, SlotAssignment
from gram_server.engine.trajectory import StepClock
from gram_server.metrics.engine import EngineMetrics
from gram_server.settings import EngineConfig
from gram_server.worker.loading import load_served_model, warm_up

TASK = "sudoku-4x4"
NUM_ROWS = 4
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
        ],
    ),
]


@pytest.fixture(scope="module")
def paper_info(tmp_path_factory: pytest.TempPathFactory) -> ModelInfo:
    torch.manual_seed(0)
    task = puzzles.task(TASK)
    model = Gram(preset("paper", task), task.units)
    folder = tmp_path_factory.mktemp("paper")
    return save_model(folder, model, name=TASK, task=task, depth=2, dtype=torch.bfloat16)


def job(depth: int) -> EngineJob:
    family, task = puzzles.family("sudoku"), puzzles.task(TASK)
    instance = family.generate(task, np.random.default_rng(1), num_solutions=None)
    return EngineJob(
        id="paper",
        tokens=family.encode(instance).tokens,
        width=NUM_ROWS,
        depth=depth,
        seed=3,
        view=lambda trajectory: None,
        check=lambda tokens: family.check(instance, tokens),
        canonical=lambda tokens: family.canonical(instance, tokens),
    )


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_a_model_of_the_papers_size_runs_in_the_engine(paper_info: ModelInfo, device: str) -> None:
    served = load_served_model(paper_info, EngineConfig(num_slots=NUM_ROWS, device=device))
    assert served.loaded.model.config.dim == 512
    metrics = EngineMetrics(CollectorRegistry()).of("paper")
    warm_up(served, metrics)
    engine = served.engine(metrics)
    engine.submit(job(depth=2), 0.0)
    events: list[Any] = []
    while engine.has_work:
        events += engine.tick(0.0)
    (end,) = [event for event in events if isinstance(event, Finished)]
    assert (end.outcome, end.ended_trajectories) == ("done", NUM_ROWS)
    assert end.best_attempt is not None or end.solutions


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_its_first_answers_are_those_of_the_plain_model(paper_info: ModelInfo, device: str) -> None:
    served = load_served_model(paper_info, EngineConfig(num_slots=NUM_ROWS, device=device))
    plain = ModelRunner(load_model(paper_info), num_slots=NUM_ROWS, backend="model")
    reports = []
    for runner in (served.runner, plain):
        starts = [
            SlotAssignment(row, Trajectory(job(depth=2), row, StepClock()))
            for row in range(NUM_ROWS)
        ]
        runner.update_rows(BatchUpdate(moves=[], starts=starts))
        runner.step(NUM_ROWS)
        reports.append(runner.read())
    assert served.runner.backend == ("native" if device == "cpu" else "model")
    assert np.mean(reports[0].answers == reports[1].answers) > 0.95
    assert np.allclose(reports[0].value, reports[1].value, atol=0.02)
