"""Fixed-depth trajectories against the plain loop, and what is taken from them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from gram_core import puzzles
from gram_core.bound_step import step_backend
from gram_core.checkpoint import LoadedModel
from gram_core.model import answer
from gram_core.solve import rollout, solve
from gram_core.trajectories import SETTLED_STEPS
from gram_lab.bench.engine import bench_engine, finish, job_of
from gram_lab.evaluate.variants import ABLATIONS, Ablation, ablated
from gram_lab.rollouts import Recorder, Running, Stops
from gram_server.engine import Finished
from gram_server.engine.model_runner import ModelRunner

BOARDS = ("123434122143432.", "12343412214.4321", "1.343.12.1434321", "1234.41.21434..1")


@pytest.mark.parametrize("stops", ["never", "valid"])
def test_recorded_trajectories_are_those_of_the_plain_loop(
    guesser: LoadedModel, stops: Stops
) -> None:
    family = puzzles.family("sudoku")
    instances = [family.parse_text(board) for board in BOARDS]
    recorder = Recorder(guesser.model, guesser.task, Running(num_rows=7))
    encoded = [family.encode(each) for each in instances]
    found = recorder.run(encoded, width=5, depth=6, seed=3, stops=stops)
    assert found.is_valid.shape == (4, 5, 6)
    for index, instance in enumerate(instances):
        expected = solve(guesser, instance, width=5, depth=6, seed=3 + index, batch=5)
        for trajectory, result in enumerate(expected):
            assert found.first.at[index, trajectory] == (result.solved_at or 0)
            steps = result.solved_at if stops == "valid" else None
            assert found.num_steps[index, trajectory] == (steps or 6)
            moment = found.final if result.solved_at is None else found.first
            assert np.array_equal(moment.tokens[index, trajectory], result.tokens)
            assert moment.value[index, trajectory] == pytest.approx(result.value, rel=1e-5)
            assert found.is_valid[index, trajectory].any() == (result.solved_at is not None)
    assert 0 < (found.first.at > 0).mean() < 1


def test_the_last_answers_and_all_verdicts_are_those_of_the_steps(guesser: LoadedModel) -> None:
    family = puzzles.family("sudoku")
    instance = family.parse_text(BOARDS[2])
    encoded = family.encode(instance)
    found = Recorder(guesser.model, guesser.task, Running()).run(
        [encoded], width=20, depth=9, seed=0, augment=False
    )
    givens = torch.as_tensor(encoded.tokens).long().repeat(20, 1)
    with torch.inference_mode():
        rows = torch.arange(20)
        steps = list(rollout(guesser.model, givens, 0 * rows, rows, depth=9))
    answers = [answer(step.logits, givens, allows_blank=False).numpy() for step in steps]
    for row in range(20):
        assert np.array_equal(found.final.tokens[0, row], answers[8][row])
        assert found.final.value[0, row] == pytest.approx(float(steps[8].value[row]), rel=1e-4)
        checked = [family.check(instance, each[row]) for each in answers]
        assert found.is_valid[0, row].tolist() == checked
    assert (found.final.at == 9).all()


def test_parts_are_the_trajectories_of_a_smaller_width(guesser: LoadedModel) -> None:
    encoded = [puzzles.family("sudoku").encode(puzzles.family("sudoku").parse_text(BOARDS[0]))]
    recorder = Recorder(guesser.model, guesser.task, Running())
    wide = recorder.run(encoded, width=6, depth=3, seed=1).part(0, 2)
    narrow = recorder.run(encoded, width=2, depth=3, seed=1)
    assert np.array_equal(wide.is_valid, narrow.is_valid)
    for ours, theirs in ((wide.first, narrow.first), (wide.final, narrow.final)):
        assert np.array_equal(ours.tokens, theirs.tokens)
        assert np.array_equal(ours.at, theirs.at)
        assert np.allclose(ours.value, theirs.value)


@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda ablation: str(ablation.name))
def test_ablations_keep_the_weights_and_change_the_guidance(
    guesser: LoadedModel, ablation: Ablation
) -> None:
    variant = ablated(guesser, ablation)
    assert variant.loaded.model.config.guidance == (ablation.guidance or "learned")
    family = puzzles.family("sudoku")
    encoded = [family.encode(family.parse_text("1...............")) for _ in range(2)]
    found = Recorder(variant.loaded.model, guesser.task).run(
        encoded, width=3, depth=2, seed=0, augment=variant.augment
    )
    answers = {tokens.tobytes() for tokens in found.final.tokens.reshape(-1, 16)}
    is_deterministic = ablation.guidance == "mean" and not ablation.augment
    assert (len(answers) == 1) == is_deterministic


def test_instances_may_have_widths_and_seeds_of_their_own_and_end_at_their_first_solution(
    guesser: LoadedModel,
) -> None:
    family = puzzles.family("sudoku")
    encoded = [family.encode(family.parse_text(board)) for board in BOARDS]
    recorder = Recorder(guesser.model, guesser.task)
    whole = recorder.run(encoded, width=[6, 2, 4, 5], depth=9, seed=[7, 7, 3, 9])
    for case, (width, seed) in enumerate(((6, 7), (2, 7), (4, 3), (5, 9))):
        alone = recorder.run([encoded[case]], width=width, depth=9, seed=seed)
        assert np.array_equal(whole.first.at[case, :width], alone.first.at[0])
        assert not whole.num_steps[case, width:].any()
    short = recorder.run(encoded, width=[6, 2, 4, 5], depth=9, seed=[7, 7, 3, 9], stops="first")
    for case, at in enumerate(whole.first.at):
        first = at[at > 0].min(initial=9)
        assert (short.first.at[case] == np.where(at == first, at, 0)).all() or not at.any()
        assert short.num_steps[case].max() == first


def test_steps_are_counted_in_the_server_s_order_however_many_rows_run(
    guesser: LoadedModel,
) -> None:
    family = puzzles.family("sudoku")
    instances = [family.parse_text(board) for board in BOARDS]
    encoded = [family.encode(each) for each in instances]
    served = [_served_steps(guesser, each, seed=3 + case) for case, each in enumerate(instances)]
    assert len(set(served)) > 1
    for num_rows in (1, 3, 256):
        recorder = Recorder(guesser.model, guesser.task, Running(num_rows=num_rows))
        found = recorder.run(encoded, width=9, depth=20, seed=3, stops="solved")
        assert found.served_steps().tolist() == served


def _served_steps(loaded: LoadedModel, instance: Any, *, seed: int) -> int:
    """Return the steps that the engine counts for a job that wants one solution."""
    runner = ModelRunner(loaded, num_slots=4, backend=step_backend(loaded.model, loaded.task))
    view = puzzles.family("sudoku").views(loaded.task, seed)
    job = job_of(loaded, instance, width=9, depth=20)
    events = finish(bench_engine(runner), replace(job, max_solutions=1, seed=seed, view=view))
    return next(event.supervision_steps for event in events if isinstance(event, Finished))


def test_a_trajectory_settles_when_its_answer_has_stayed_the_same(guesser: LoadedModel) -> None:
    encoded = [puzzles.family("sudoku").encode(puzzles.family("sudoku").parse_text(BOARDS[2]))]
    recorder = Recorder(guesser.model, guesser.task)
    found = recorder.run(encoded, width=12, depth=30, seed=0, augment=False)
    answers = np.stack(
        [
            recorder.run(encoded, width=12, depth=depth, seed=0, augment=False).final.tokens[0]
            for depth in range(1, 31)
        ]
    )  # (depth, width, length)
    is_same = (answers[1:] == answers[:-1]).all(axis=2)
    for trajectory in range(12):
        runs = [
            is_same[end - SETTLED_STEPS : end, trajectory].all()
            for end in range(SETTLED_STEPS, len(is_same) + 1)
        ]
        expected = SETTLED_STEPS + 1 + runs.index(True) if any(runs) else 0
        assert found.settled.at[0, trajectory] == expected
        if expected:
            settled = found.settled.tokens[0, trajectory]
            assert np.array_equal(settled, answers[expected - 1, trajectory])
    assert found.settled.at.any()
    stopped = recorder.run(encoded, width=12, depth=30, seed=0, augment=False, stops="settled")
    ends = np.where(found.settled.at > 0, found.settled.at, 30)
    assert np.array_equal(stopped.num_steps, ends)
