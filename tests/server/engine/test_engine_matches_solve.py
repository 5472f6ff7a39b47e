"""The engine against the plain loop of ``gram_core.solve``: the same bits, whatever the traffic."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from prometheus_client import CollectorRegistry

from gram_core import puzzles
from gram_core.checkpoint import load_model, save_model
from gram_core.config import preset
from gram_core.model import Gram
from gram_kernels.supervision_step.native import refusal
from gram_server.engine import Engine, Finished
from gram_server.engine.model_runner import ModelRunner
from gram_server.engine.slots import Runner
from gram_server.metrics.engine import EngineMetrics
from gram_server.worker.loading import make_runner
from tests.stress import engine_model as plain
from tests.stress.engine_model import ROWS, Backend, Wanted
from tests.stress.engine_part import found_of

NOISY = Path(__file__).parents[3] / "lab/checkpoints/sudoku-9x9-denoising"
GUESSING = tuple(f"guess:{task}" for task in plain.GUESSING)
CASE = Wanted(name="a", model=GUESSING[0], instance=0, seed=1, width=14, depth=8)


def assert_is_of_the_plain_loop(end: Finished, wanted: Wanted, backend: Backend = "torch") -> None:
    expected = plain.expected(wanted, backend)
    assert [found_of(solution) for solution in end.solutions] == expected.solutions
    assert end.supervision_steps - end.wasted_steps == expected.num_steps
    best = None if end.best_attempt is None else end.best_attempt.tobytes()
    assert best == expected.best_attempt


def run_mix(
    wanted: Sequence[Wanted], runner: Runner, rng: np.random.Generator
) -> dict[str, Finished]:
    """Submit jobs at random moments and run until all are done; they are named by their number."""
    engine = Engine(runner, metrics=EngineMetrics(CollectorRegistry()).of("test"))
    ends: dict[str, Finished] = {}
    pending = [plain.engine_job(replace(each, name=str(n))) for n, each in enumerate(wanted)]
    now_s = 0.0
    while pending or engine.has_work:
        while pending and (not engine.has_work or rng.random() < 0.3):
            engine.submit(pending.pop(), now_s)
        now_s += 1.0
        for event in engine.tick(now_s):
            if isinstance(event, Finished):
                ends[event.job_id] = event
    return ends


@pytest.mark.slow
@pytest.mark.parametrize("name", GUESSING)
def test_the_engine_gives_the_bits_of_the_plain_loop_in_any_mix(name: str) -> None:
    """On torch's ops; the rounds of tests/stress run mostly by native code."""
    rng = np.random.default_rng(20)
    num_found = num_unsolved = 0
    for _ in range(18):
        cases = [
            replace(
                CASE,
                model=name,
                instance=int(rng.integers(0, 3)),
                seed=int(rng.integers(0, 3)),
                augment=bool(rng.integers(0, 2)),
                width=int(rng.integers(1, 15)),
                depth=int(rng.choice([3, 8])),
                halt=rng.choice(["verified", "verified", "never"]),
            )
            for _ in range(rng.integers(2, 5))
        ]
        runner = ModelRunner(
            plain.model(name),
            num_slots=int(rng.integers(2, 28)),
            num_parking=int(rng.choice([0, 2, 28])),
            rows_per_call=ROWS,
            backend="model",
        )
        ends = run_mix(cases, runner, rng)
        assert len(ends) == len(cases)
        for number, case in enumerate(cases):
            end = ends[str(number)]
            assert_is_of_the_plain_loop(end, case)
            num_found += len(end.solutions)
            num_unsolved += end.best_attempt is not None
    # The comparison means something only when both kinds of ends occurred.
    assert num_found > 10
    assert num_unsolved > 1


@pytest.mark.slow
def test_native_code_finds_nearly_all_that_the_plain_loop_finds_and_little_else() -> None:
    if refusal():
        pytest.skip(refusal())
    # Their bits differ, so a close guess may fall the other way.
    found: dict[Backend, set[Any]] = {}
    backends: tuple[Backend, ...] = ("torch", "native")
    for backend in backends:
        found[backend] = {
            (model, seed, solution.tokens)
            for model in GUESSING
            for seed in range(6)
            for solution in plain.expected(replace(CASE, model=model, seed=seed), backend).solutions
        }
    assert len(found["native"]) > 10
    assert len(found["native"] & found["torch"]) > 0.95 * len(found["native"])


ONLY_BY_MODEL: dict[str, dict[str, Any]] = {
    "norms before the mixer, without noise": {"block_norm": "pre", "recursion": "flat"},
    "noise before each step": {"guidance": "step-l"},
    "gated norm": {"gate": "norm"},
    "convolution": {"gate": "conv"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ONLY_BY_MODEL)
def test_a_model_that_no_fused_step_knows_is_served_with_the_bits_of_the_plain_loop(
    name: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    task = puzzles.task("sudoku-4x4")
    model = Gram(replace(preset("tiny", task), **ONLY_BY_MODEL[name]), task.units)
    # So that answers depend on the state that the rows keep.
    torch.nn.init.normal_(model.decoder.weight)
    save_model(tmp_path, model, name="m", task=task, depth=CASE.depth, dtype=torch.float32)
    case = replace(CASE, model=str(tmp_path), halt="never")
    runner = make_runner(plain.model(case.model), num_slots=12, fixed_shape=True)
    assert runner.backend == "model"
    runner.warm_up()
    end = run_mix([case, replace(case, width=3)], runner, np.random.default_rng(1))["0"]
    assert_is_of_the_plain_loop(end, case)


@pytest.mark.slow
def test_weights_with_noise_in_their_input_are_served_by_native_code() -> None:
    if refusal():
        pytest.skip(refusal())
    case = replace(CASE, model=str(NOISY), halt="never")
    runner = make_runner(plain.model(case.model), num_slots=12, fixed_shape=True)
    assert runner.backend == "native"
    end = run_mix([case, replace(case, width=3)], runner, np.random.default_rng(1))["0"]
    assert_is_of_the_plain_loop(end, case, "native")
    # Votes, steps and answers are those of torch's ops too; values differ by rounding.
    made, truth = (
        [found._replace(value=0.0) for found in plain.expected(case, backend).solutions]
        for backend in ("native", "torch")
    )
    assert made == truth
    assert made


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", GUESSING)
def test_on_a_gpu_an_engine_that_lags_gives_the_bits_of_one_that_does_not(name: str) -> None:
    loaded = load_model(plain.model(name).info, "cuda")
    rng = np.random.default_rng(22)
    num_found = 0
    for seed in range(4):
        cases = [replace(CASE, model=name, seed=seed, width=width) for width in (3, 9, 14)]
        outcomes = []
        for pipeline_depth in (0, 1):
            runner = ModelRunner(
                loaded,
                num_slots=9,
                num_parking=2,
                backend="triton",
                pipeline_depth=pipeline_depth,
            )
            ends = run_mix(cases, runner, rng)
            found = {name: list(map(found_of, end.solutions)) for name, end in ends.items()}
            outcomes.append(found)
            num_found += sum(map(len, found.values()))
        assert outcomes[0] == outcomes[1]
    assert num_found > 0


@pytest.mark.slow
def test_halting_by_the_halt_head_keeps_what_the_plain_loop_would_answer_there() -> None:
    """A trajectory's answer counts exactly where its halt head stops it."""
    case, rng = replace(CASE, halt="act"), np.random.default_rng(5)
    for copies, num_slots in [(1, 20), (1, 3), (3, 7)]:
        runner = ModelRunner(
            plain.model(case.model), num_slots=num_slots, rows_per_call=ROWS, backend="model"
        )
        end = run_mix([case] * copies, runner, rng)["0"]
        assert_is_of_the_plain_loop(end, case)
        assert end.supervision_steps < case.width * case.depth


def test_without_a_fixed_shape_every_answer_is_still_checked_and_counted() -> None:
    case = replace(CASE, seed=0)
    runner = ModelRunner(plain.model(case.model), num_slots=13, fixed_shape=False, backend="model")
    runner.warm_up()
    end = run_mix([case], runner, np.random.default_rng(3))["0"]
    assert len(end.solutions) == len(plain.expected(case, "torch").solutions)
    assert end.verify_mismatches == 0


def test_a_row_that_is_not_finite_spoils_no_other() -> None:
    runner = ModelRunner(plain.model(CASE.model), num_slots=20, rows_per_call=ROWS, backend="model")
    engine = Engine(runner, metrics=EngineMetrics(CollectorRegistry()).of("test"))
    sound, other = replace(CASE, name="sound"), replace(CASE, name="spoilt", seed=3)
    engine.submit(plain.engine_job(other), 0.0)
    engine.submit(plain.engine_job(sound), 0.0)
    events = engine.tick(1.0)
    spoilt = [place.row for place in engine._slots.live() if place.trajectory.job.id == "spoilt"]
    with torch.inference_mode():
        runner._rows.high[spoilt] = float("nan")
    while engine.has_work:
        events += engine.tick(2.0)
    ends = {event.job_id: event for event in events if isinstance(event, Finished)}
    assert spoilt
    assert_is_of_the_plain_loop(ends["sound"], sound)
    num_steps = plain.expected(other, "torch").num_steps
    assert num_steps is not None
    assert ends["spoilt"].supervision_steps < num_steps
