"""The runner of fused kernels beside the plain one: the same rows, the same reports.

Off a GPU it runs native code or the model itself, so what is tested is all around the kernels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest
import torch
from prometheus_client import CollectorRegistry

from gram_core import puzzles
from gram_core.bound_step import buckets
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.puzzles import BLANK
from gram_kernels.supervision_step.native import NativeStep, refusal
from gram_server.engine import Engine, EngineJob, Finished, Trajectory
from gram_server.engine.model_runner import ModelRunner
from gram_server.engine.slots import BatchUpdate, Slots, StepReport
from gram_server.engine.trajectory import StepClock
from gram_server.metrics.engine import EngineMetrics

MakeModel = Callable[[str], LoadedModel]
NUM_SLOTS = 5
NUM_PARKING = 3


def job(task_name: str, seed: int) -> EngineJob:
    """Return a job with two open cells, so that guesses are right now and then."""
    task = puzzles.task(task_name)
    family = puzzles.family(task.family)
    instance = family.generate(task, np.random.default_rng(seed), num_solutions=None)
    encoded = family.encode(instance)
    tokens = next(iter(family.enumerate(instance, limit=1))).copy()
    tokens[np.random.default_rng(seed).choice(task.length, 2, replace=False)] = BLANK
    return EngineJob(
        id=str(seed),
        tokens=tokens,
        adjacency=encoded.adjacency,
        width=8,
        depth=16,
        seed=2**40 + seed,
        view=family.views(task, seed),
        check=partial(family.check, instance),
        canonical=partial(family.canonical, instance),
    )


def random_updates(task_name: str, num_ticks: int) -> Sequence[tuple[BatchUpdate, int]]:
    """Return updates in which trajectories start, pause, return and leave, and live counts."""
    rng = np.random.default_rng(4)
    slots = Slots(num_slots=NUM_SLOTS, num_parking=NUM_PARKING)
    jobs = [job(task_name, seed) for seed in range(3)]
    paused: list[Trajectory] = []
    ticks = []
    for tick in range(num_ticks):
        for placement in list(slots.live()):
            chance = rng.random()
            if chance < 0.15:
                slots.release(placement.row)
            elif chance < 0.3 and len(paused) < NUM_PARKING:
                slots.preempt(placement.row)
                paused.append(placement.trajectory)
        admitted = []
        for _ in range(int(rng.integers(0, NUM_SLOTS - slots.num_live + 1))):
            if paused and rng.random() < 0.5:
                admitted.append(paused.pop())
            else:
                chosen = jobs[int(rng.integers(3))]
                admitted.append(Trajectory(chosen, tick, StepClock()))
        update = slots.fill(admitted)
        ticks.append((update, slots.num_live))
    return ticks


def report_of(runner: ModelRunner, update: BatchUpdate, num_live: int) -> StepReport:
    if update.moves or update.starts:
        runner.update_rows(update)
    runner.step(num_live)
    return runner.read()


def report_pairs(
    task: str, one: ModelRunner, other: ModelRunner
) -> Iterator[tuple[BatchUpdate, StepReport, StepReport]]:
    """Yield what two runners report of the same rows, after each update that leaves any."""
    for update, num_live in random_updates(task, 25):
        if num_live:
            report = report_of(one, update, num_live)
            yield update, report, report_of(other, update, num_live)


@pytest.mark.skipif(bool(refusal()), reason=refusal() or "there is native code")
@pytest.mark.parametrize("task", ["sudoku-4x4", "nqueens-5", "graph-coloring-5"])
def test_every_report_is_that_of_the_plain_runner(task: str, guessing_model: MakeModel) -> None:
    loaded = guessing_model(task)
    sizes: Any = {"num_slots": NUM_SLOTS, "num_parking": NUM_PARKING}
    plain = ModelRunner(loaded, **sizes, backend="model")
    fused = ModelRunner(loaded, **sizes, dtype=torch.float32, backend="native")
    fused.warm_up()
    num_moves = num_valid = 0
    for update, expected, made in report_pairs(task, plain, fused):
        assert np.array_equal(made.answers, expected.answers)
        for name in ("is_valid", "wants_halt", "is_finite", "num_violations"):
            assert np.array_equal(getattr(made, name), getattr(expected, name)), name
        assert np.allclose(made.value, expected.value, atol=1e-5)
        assert made.num_rows >= len(made.facts)
        num_moves += len(update.moves)
        num_valid += sum(made.is_valid)
    assert num_moves > 10
    # Guesses place too many queens.
    assert num_valid > 0 or task == "nqueens-5"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("captures", [True, False])
@pytest.mark.parametrize("task", ["sudoku-4x4", "graph-coloring-5"])
def test_on_a_gpu_the_first_reports_are_those_of_the_plain_runner(
    task: str, captures: bool, guessing_model: MakeModel
) -> None:
    loaded = load_model(guessing_model(task).info, "cuda")
    sizes: Any = {"num_slots": NUM_SLOTS, "num_parking": NUM_PARKING}
    plain = ModelRunner(loaded, **sizes, dtype=torch.float32, backend="model")
    fused = ModelRunner(loaded, **sizes, backend="triton", captures=captures)
    fused.warm_up()
    alike = []
    for _, expected, made in report_pairs(task, plain, fused):
        alike.append(float(np.mean(made.answers == expected.answers)))
        assert np.array_equal(made.is_finite, expected.is_finite)
    # Products in float16 move a guess that stands on the edge.
    assert np.mean(alike) > 0.95


def test_products_in_a_narrow_type_stay_near_the_plain_runner(guessing_model: MakeModel) -> None:
    loaded = guessing_model("sudoku-4x4")
    sizes: Any = {"num_slots": NUM_SLOTS, "num_parking": NUM_PARKING, "backend": "model"}
    plain, narrow = (ModelRunner(loaded, **sizes, dtype=t) for t in (None, torch.bfloat16))
    alike, is_equal = [], []
    for _, expected, made in report_pairs("sudoku-4x4", plain, narrow):
        alike.append(float(np.mean(made.answers == expected.answers)))
        is_equal.append(torch.equal(plain._rows.high, narrow._rows.high))
    assert np.mean(alike) > 0.9
    assert not all(is_equal)


def test_a_call_is_prepared_for_every_bucket(guessing_model: MakeModel) -> None:
    runner = ModelRunner(guessing_model("sudoku-4x4"), num_slots=6, fixed_shape=False)
    runner.warm_up()
    assert list(runner.capture_s) == buckets(6) == [1, 2, 4, 6]
    assert all(duration_s >= 0 for duration_s in runner.capture_s.values())


@pytest.mark.parametrize("num_slots", [1, 2, 5, 64, 100])
def test_buckets_rise_to_the_number_of_slots(num_slots: int) -> None:
    sizes = buckets(num_slots)
    assert sizes == sorted(set(sizes))
    assert sizes[0] == 1
    assert sizes[-1] == num_slots
    assert all(high <= 2 * low for low, high in pairwise(sizes))


def _capturing(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch, capture: Any) -> ModelRunner:
    """Return a runner that prepares its calls as on a GPU, by another way of capturing."""
    monkeypatch.setattr("gram_server.engine.model_runner.captured", capture)
    runner = ModelRunner(loaded, num_slots=NUM_SLOTS, num_parking=0, fixed_shape=False)
    runner._captures = True
    return runner


def _warmed(step: Any, num_rows: int, device: torch.device) -> Callable[[], None]:
    """Run the calls that come before a capture."""
    for _ in range(2):
        step(num_rows)
    return partial(step, num_rows)


@pytest.mark.parametrize("task", ["sudoku-4x4", "graph-coloring-5"])
def test_a_bucket_that_is_prepared_in_the_middle_of_work_moves_no_row(
    task: str, guessing_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The late runner prepares its call of four rows when two are under way."""
    loaded = guessing_model(task)
    late, early = (_capturing(loaded, monkeypatch, _warmed) for _ in range(2))
    early.warm_up()
    slots = Slots(num_slots=NUM_SLOTS, num_parking=0)
    reports: list[list[StepReport]] = [[], []]
    for tick, num_new in enumerate((2, 0, 2, 0, 1, 0)):
        chosen = job(task, tick)
        new = [Trajectory(chosen, i, StepClock()) for i in range(num_new)]
        update = slots.fill(new)
        for runner, told in zip((late, early), reports, strict=True):
            told.append(report_of(runner, update, slots.num_live))
    for made, expected in zip(*reports, strict=True):
        assert np.array_equal(made.answers, expected.answers)
        assert np.array_equal(made.value, expected.value)
    assert late._rows.keys[2].tolist() == early._rows.keys[2].tolist() == [6, 6, 4, 4, 2]


@pytest.mark.slow
@pytest.mark.parametrize("prepares_early", [True, False])
def test_an_engine_takes_the_same_steps_with_and_without_lag(
    prepares_early: bool, guessing_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = guessing_model("sudoku-4x4")
    monkeypatch.setattr("gram_server.engine.model_runner.captured", _warmed)
    results = []
    for pipeline_depth in (0, 1):
        runner = ModelRunner(
            loaded, num_slots=NUM_SLOTS, fixed_shape=False, pipeline_depth=pipeline_depth
        )
        runner._captures = True
        if prepares_early:
            runner.warm_up()
        engine = Engine(runner, metrics=EngineMetrics(CollectorRegistry()).of("test"))
        ends: dict[str, Any] = {}
        for tick in range(400):
            if tick < 3:
                engine.submit(replace(job("sudoku-4x4", tick), width=1 + 3 * tick), float(tick))
            for event in engine.tick(float(tick)):
                if isinstance(event, Finished):
                    found = [(s.tokens.tolist(), s.trajectory, s.step) for s in event.solutions]
                    ends[event.job_id] = (found, event.valid_trajectories)
        assert len(ends) == 3
        results.append(ends)
    assert results[0] == results[1]
    assert any(found for found, _ in results[0].values())


def test_a_step_that_cannot_be_captured_runs_op_by_op_and_says_so_once(
    guessing_model: MakeModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(step: Any, num_rows: int, device: torch.device) -> Callable[[], None]:
        raise RuntimeError("operation not permitted when stream is capturing")

    loaded = guessing_model("sudoku-4x4")
    runner = _capturing(loaded, monkeypatch, refuse)
    runner.warm_up()
    plain = ModelRunner(loaded, num_slots=NUM_SLOTS, num_parking=0, fixed_shape=False)
    chosen = job("sudoku-4x4", 1)
    slots = Slots(num_slots=NUM_SLOTS, num_parking=0)
    update = slots.fill([Trajectory(chosen, 0, StepClock())])
    for _ in range(3):
        made, expected = report_of(runner, update, 1), report_of(plain, update, 1)
        assert np.array_equal(made.answers, expected.answers)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert loaded.info.id in warning
    assert "not permitted when stream is capturing" in warning


@pytest.mark.skipif(bool(refusal()), reason=refusal() or "there is native code")
def test_native_code_is_told_when_rows_hold_others_than_before(guessing_model: MakeModel) -> None:
    asked: list[tuple[int, int, bool]] = []

    class Native:
        def advance(self, num_live: int, max_steps: int, *, is_fresh: bool) -> int:
            asked.append((num_live, max_steps, is_fresh))
            return 3

    loaded = guessing_model("sudoku-4x4")
    runner = ModelRunner(loaded, num_slots=2, num_parking=0, backend="native")
    runner._bound = replace(runner._bound, native=cast("NativeStep", Native()))
    slots, chosen = Slots(num_slots=2, num_parking=0), job("sudoku-4x4", 1)
    for index in range(2):
        runner.update_rows(slots.fill([Trajectory(chosen, index, StepClock())]))
        for _ in range(2):
            runner.step(slots.num_live, 7)
            assert runner.read().num_steps == 3
    assert asked == [(1, 7, True), (1, 7, False), (2, 7, True), (2, 7, False)]
