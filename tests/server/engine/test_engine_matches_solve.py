"""The engine against the plain loop of ``gram_core.solve``: the same bits, whatever the traffic."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from gram_core import puzzles
from gram_core.checkpoint import LoadedModel, load_model, save_model
from gram_core.config import preset
from gram_core.model import Gram, answer
from gram_core.solve import TrajectoryResult, rollout, solve, unit_tables
from gram_core.views import through, view
from gram_kernels.supervision_step.native import refusal
from gram_kernels.verify import verify
from gram_server.engine import Engine, EngineJob, Finished
from gram_server.engine.model_runner import ModelRunner
from gram_server.engine.runner import Runner
from gram_server.metrics.engine import EngineMetrics
from gram_server.worker.loading import make_runner

ROOT = Path(__file__).parents[3]
WIDTH = 14
DEPTH = 8
ROWS = 8
NUM_MIXES = 36
MakeModel = Callable[[str], LoadedModel]
TASKS = ("sudoku-4x4", "graph-coloring-5")


@lru_cache
def _instance(task_name: str, seed: int) -> Any:
    """Return an instance with one or two open cells, or a graph."""
    task = puzzles.task(task_name)
    family = puzzles.family(task.family)
    rng = np.random.default_rng(seed)
    instance = family.generate(task, rng, num_solutions=None)
    if task.has_adjacency:
        return instance
    grid = next(iter(family.enumerate(instance, limit=1))).astype(int) - 1
    grid[rng.choice(task.length, 1 + seed % 2, replace=False)] = 0
    return family.parse({"grid": grid.reshape(task.rows, task.columns).tolist()})


@dataclass(frozen=True)
class Case:
    task: str
    seed: int
    augment: bool
    width: int = WIDTH
    depth: int = DEPTH
    halt: Any = "verified"


@cache
def _truth(loaded: LoadedModel, seed: int, augment: bool) -> tuple[TrajectoryResult, ...]:
    return solve(
        loaded,
        _instance(loaded.task.name, seed),
        width=WIDTH,
        depth=DEPTH,
        seed=seed,
        augment=augment,
        batch=ROWS,
    )


@cache
def _all_answers(
    loaded: LoadedModel, seed: int, augment: bool
) -> list[list[tuple[NDArray[np.uint8], float]]]:
    """Return every step's answers and values of all trajectories, by the plain loop."""
    task = loaded.task
    family = puzzles.family(task.family)
    encoded = family.encode(_instance(task.name, seed))
    steps: list[list[tuple[NDArray[np.uint8], float]]] = [[] for _ in range(DEPTH)]
    for first in range(0, WIDTH, ROWS):
        indices = range(first, first + ROWS)
        views = [view(family, task, seed, index) if augment else None for index in indices]
        seen = [through(encoded, symmetry) for symmetry in views]
        graphs = [torch.from_numpy(each.adjacency) for each in seen if each.adjacency is not None]
        givens = torch.from_numpy(np.stack([each.tokens for each in seen])).long()
        outputs = rollout(
            loaded.model,
            givens,
            torch.full((ROWS,), seed),
            torch.tensor(indices),
            depth=DEPTH,
            adjacency=torch.stack(graphs) if graphs else None,
        )
        for step, output in zip(steps, outputs, strict=True):
            found = answer(output.logits, givens, allows_blank=task.allows_blank)
            rows = found.numpy().astype(np.uint8)
            step += [
                (row if symmetry is None else symmetry.invert(row), value)
                for row, symmetry, value in zip(rows, views, output.value.tolist(), strict=True)
            ]
    return steps


def _engine_job(case: Case, name: str) -> EngineJob:
    task, instance = puzzles.task(case.task), _instance(case.task, case.seed)
    family = puzzles.family(task.family)
    encoded = family.encode(instance)
    return EngineJob(
        id=name,
        tokens=encoded.tokens,
        adjacency=encoded.adjacency,
        width=case.width,
        depth=case.depth,
        seed=case.seed,
        halt=case.halt,
        view=partial(view, family, task, case.seed) if case.augment else lambda trajectory: None,
        check=partial(family.check, instance),
        canonical=partial(family.canonical, instance),
    )


def _expected(case: Case, loaded: LoadedModel) -> tuple[Any, int]:
    """Return what the plain loop's trajectories amount to, and the steps they are worth."""
    instance = _instance(case.task, case.seed)
    family = puzzles.family(puzzles.task(case.task).family)
    groups: dict[bytes, list[tuple[int, int, float, bytes]]] = defaultdict(list)
    num_steps = 0
    for index in range(case.width):
        mine: dict[bytes, tuple[int, int, float, bytes]] = {}
        for step, answers in enumerate(_all_answers(loaded, case.seed, case.augment), start=1):
            if step > case.depth or (mine and case.halt == "verified"):
                break
            num_steps += 1
            tokens, value = answers[index]
            if family.check(instance, tokens):
                key = family.canonical(instance, tokens)
                mine.setdefault(key, (step, index, value, tokens.tobytes()))
        for key, found in mine.items():
            groups[key].append(found)
    ranked = sorted(groups.values(), key=lambda group: (-len(group), min(group)[:2]))
    return [(len(group), *min(group)) for group in ranked], num_steps


def _best_attempt(case: Case, loaded: LoadedModel) -> bytes:
    """Return the answer with the fewest violations after the full depth."""
    family = puzzles.family(puzzles.task(case.task).family)
    encoded = family.encode(_instance(case.task, case.seed))
    results = _truth(loaded, case.seed, case.augment)[: case.width]
    answers = torch.from_numpy(np.stack([result.tokens for result in results]).astype(np.int64))
    adjacency = encoded.adjacency
    violations = verify(
        answers,
        torch.from_numpy(encoded.tokens.astype(np.int64)).expand_as(answers),
        unit_tables(puzzles.task(case.task)),
        adjacency=None
        if adjacency is None
        else torch.from_numpy(adjacency).expand(len(answers), -1, -1),
    ).num_violations
    return bytes(results[int(violations.argmin())].tokens.tobytes())


def _outcome(end: Finished) -> tuple[Any, int]:
    found = [(s.votes, s.step, s.trajectory, s.value, s.tokens.tobytes()) for s in end.solutions]
    return found, end.supervision_steps - end.wasted_steps


def _run_mix(
    cases: Sequence[Case], runner: Runner, rng: np.random.Generator
) -> dict[str, Finished]:
    """Submit cases at random moments and run until all are done."""
    metrics = EngineMetrics(CollectorRegistry()).of("test")
    engine = Engine(runner, metrics=metrics)
    ends: dict[str, Finished] = {}
    pending = [_engine_job(case, str(number)) for number, case in enumerate(cases)]
    now_s = 0.0
    while pending or engine.has_work:
        while pending and (not engine.has_work or rng.random() < 0.3):
            engine.submit(pending.pop(), now_s)
        now_s += 1.0
        for event in engine.tick(now_s):
            if isinstance(event, Finished):
                ends[event.job_id] = event
    return ends


def _random_cases(task: str, rng: np.random.Generator) -> list[Case]:
    return [
        Case(
            task=task,
            seed=int(rng.integers(0, 6)),
            augment=bool(rng.integers(0, 2)),
            width=int(rng.integers(1, WIDTH + 1)),
            depth=int(rng.choice([3, DEPTH])),
            halt=str(rng.choice(["verified", "verified", "never"])),
        )
        for _ in range(int(rng.integers(2, 5)))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_the_engine_gives_the_bits_of_the_plain_loop_in_any_mix(
    task: str, guessing_model: MakeModel
) -> None:
    loaded = guessing_model(task)
    rng = np.random.default_rng(20)
    num_found = num_unsolved = 0
    for _ in range(NUM_MIXES // len(TASKS)):
        cases = _random_cases(task, rng)
        runner = ModelRunner(
            loaded,
            num_slots=int(rng.integers(2, 28)),
            num_parking=int(rng.choice([0, 2, 28])),
            rows_per_call=ROWS,
            backend="model",
        )
        ends = _run_mix(cases, runner, rng)
        assert len(ends) == len(cases)
        for number, case in enumerate(cases):
            end = ends[str(number)]
            assert _outcome(end) == _expected(case, loaded)
            num_found += len(end.solutions)
            if not end.solutions and case.depth == DEPTH:
                assert end.best_attempt is not None
                assert end.best_attempt.tobytes() == _best_attempt(case, loaded)
                num_unsolved += 1
    # The comparison means something only when both kinds of ends occurred.
    assert num_found > 25
    assert num_unsolved > 1


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_native_code_gives_the_bits_of_a_job_on_its_own_in_any_mix(
    task: str, guessing_model: MakeModel
) -> None:
    if refusal():
        pytest.skip(refusal())
    loaded = guessing_model(task)
    rng = np.random.default_rng(21)
    num_found = num_shared = 0
    for number in range(NUM_MIXES // 4):
        cases = _random_cases(task, rng)
        num_slots, num_parking = int(rng.integers(2, 28)), int(rng.choice([0, 2, 28]))
        runner = ModelRunner(
            loaded,
            num_slots=num_slots,
            num_parking=num_parking,
            backend="native",
            pipeline_depth=number % 2,
        )
        ends = _run_mix(cases, runner, rng)
        for number, case in enumerate(cases):
            alone = ModelRunner(loaded, num_slots=WIDTH, backend="native")
            assert _outcome(ends[str(number)]) == _outcome(_run_mix([case], alone, rng)["0"])
            num_found += len(ends[str(number)].solutions)
            # Bits differ from the plain loop's, so a close guess may fall the other way.
            found = {key[4] for key in _outcome(ends[str(number)])[0]}
            truth = {key[4] for key in _expected(case, loaded)[0]}
            num_shared += len(found & truth)
    assert num_found > 10
    assert num_shared > 0.95 * num_found


ONLY_BY_MODEL: dict[str, dict[str, Any]] = {
    "norms before the mixer, without noise": {"block_norm": "pre", "recursion": "flat"},
    "prefix": {"mixer": "attention", "head_kinds": (), "num_prefix_tokens": 2},
    "gate": {"gate": "norm"},
}


@pytest.fixture(params=[*ONLY_BY_MODEL])
def unfused_model(request: pytest.FixtureRequest, tmp_path: Path) -> LoadedModel:
    """Return a model that no fused step knows."""
    torch.manual_seed(0)
    task = puzzles.task("sudoku-4x4")
    config = replace(preset("tiny", task), **ONLY_BY_MODEL[request.param])
    model = Gram(config, task.units)
    # So that answers depend on the state that the rows keep.
    torch.nn.init.normal_(model.decoder.weight)
    info = save_model(tmp_path, model, name="m", task=task, depth=DEPTH, dtype=torch.float32)
    return load_model(info)


def test_a_model_that_no_fused_step_knows_is_served_with_the_bits_of_the_plain_loop(
    unfused_model: LoadedModel,
) -> None:
    runner = make_runner(unfused_model, num_slots=12, fixed_shape=True)
    assert runner.backend == "model"
    runner.warm_up()
    case = Case(task=unfused_model.task.name, seed=1, augment=True, halt="never")
    end = _run_mix([case, replace(case, width=3)], runner, np.random.default_rng(1))["0"]
    assert _outcome(end) == _expected(case, unfused_model)
    if not end.solutions:
        assert end.best_attempt is not None
        assert end.best_attempt.tobytes() == _best_attempt(case, unfused_model)


def test_weights_with_noise_in_their_input_are_served_by_native_code() -> None:
    if refusal():
        pytest.skip(refusal())
    loaded = load_model(ROOT / "lab/checkpoints/sudoku-9x9-denoising")
    runner = make_runner(loaded, num_slots=12, fixed_shape=True)
    assert runner.backend == "native"
    rng = np.random.default_rng(1)
    case = Case(task=loaded.task.name, seed=1, augment=True, halt="never")
    end = _run_mix([case, replace(case, width=3)], runner, rng)["0"]
    assert _outcome(end) == _outcome(_run_mix([case], runner, rng)["0"])
    # Votes, steps and answers are those of the plain loop; values differ by rounding.
    made, expected = (
        [(*key[:3], key[4]) for key in each[0]] for each in (_outcome(end), _expected(case, loaded))
    )
    assert made == expected
    assert made


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("task", TASKS)
def test_on_a_gpu_an_engine_that_lags_gives_the_bits_of_one_that_does_not(
    task: str, guessing_model: MakeModel
) -> None:
    loaded = load_model(guessing_model(task).info, "cuda")
    rng = np.random.default_rng(22)
    num_found = 0
    for _ in range(4):
        cases = _random_cases(task, rng)
        runs = [
            _run_mix(
                cases,
                ModelRunner(
                    loaded,
                    num_slots=9,
                    num_parking=2,
                    backend="triton",
                    pipeline_depth=pipeline_depth,
                ),
                rng,
            )
            for pipeline_depth in (0, 1)
        ]
        outcomes = [[_outcome(run[str(n)]) for n in range(len(cases))] for run in runs]
        assert outcomes[0] == outcomes[1]
        num_found += sum(len(end.solutions) for end in runs[1].values())
    assert num_found > 0


@pytest.mark.slow
def test_halting_by_the_halt_head_keeps_what_the_plain_loop_would_answer_there(
    guessing_model: MakeModel,
) -> None:
    """With halt=act a trajectory's answer counts exactly where its halt head stops it."""
    rng = np.random.default_rng(5)
    case = Case(task="sudoku-4x4", seed=1, augment=True, halt="act")
    runs = [
        _run_mix(
            [case] * copies,
            ModelRunner(
                guessing_model(case.task), num_slots=num_slots, rows_per_call=ROWS, backend="model"
            ),
            rng,
        )["0"]
        for copies, num_slots in [(1, 20), (1, 3), (3, 7)]
    ]
    assert {str(_outcome(run)) for run in runs} == {str(_outcome(runs[0]))}
    assert runs[0].supervision_steps < WIDTH * DEPTH


def test_without_a_fixed_shape_every_answer_is_still_checked_and_counted(
    guessing_model: MakeModel,
) -> None:
    rng = np.random.default_rng(3)
    case = Case(task="sudoku-4x4", seed=0, augment=True)
    loaded = guessing_model(case.task)
    runner = ModelRunner(loaded, num_slots=13, fixed_shape=False, backend="model")
    runner.warm_up()
    end = _run_mix([case], runner, rng)["0"]
    expected, _ = _expected(case, loaded)
    assert len(end.solutions) == len(expected)
    assert end.verify_mismatches == 0


def test_a_row_that_is_not_finite_spoils_no_other(guessing_model: MakeModel) -> None:
    task = "sudoku-4x4"
    loaded = guessing_model(task)
    runner = ModelRunner(loaded, num_slots=20, rows_per_call=ROWS, backend="model")
    metrics = EngineMetrics(CollectorRegistry()).of("test")
    engine = Engine(runner, metrics=metrics)
    case = Case(task=task, seed=1, augment=True)
    engine.submit(_engine_job(replace(case, seed=3), "spoilt"), 0.0)
    engine.submit(_engine_job(case, "sound"), 0.0)
    events = engine.tick(1.0)
    spoilt = [place.row for place in engine._slots.live() if place.trajectory.job.id == "spoilt"]
    with torch.inference_mode():
        runner._rows.high[spoilt] = float("nan")
    while engine.has_work:
        events += engine.tick(2.0)
    ends = {event.job_id: event for event in events if isinstance(event, Finished)}
    assert spoilt
    assert _outcome(ends["sound"]) == _expected(case, loaded)
    spoilt_steps = ends["spoilt"].supervision_steps
    assert spoilt_steps < _expected(replace(case, seed=3), loaded)[1]
