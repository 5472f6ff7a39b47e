"""The plain loop and the views: results are functions of (model, instance, seed, trajectory)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gram_core import puzzles
from gram_core.catalog import find_model
from gram_core.checkpoint import LoadedModel, load_model, save_model
from gram_core.config import InitialState, preset
from gram_core.model import Gram
from gram_core.solve import solve

BOARD = "1..4..1..2....3."


@pytest.fixture(scope="module")
def shipped() -> LoadedModel:
    return load_model(find_model("sudoku-4x4"))


def random_model(folder: Path, name: str, *, initial_state: InitialState = "fixed") -> LoadedModel:
    torch.manual_seed(4)
    task = puzzles.task(name)
    config = replace(preset("tiny", task), initial_state=initial_state)
    model = Gram(config, task.units)
    save_model(folder, model, name=name, task=task, depth=4, dtype=torch.float32)
    return load_model(folder)


def test_a_shipped_model_solves_and_says_at_which_step(shipped: LoadedModel) -> None:
    family = puzzles.family("sudoku")
    instance = family.parse_text(BOARD)
    results = solve(shipped, instance, width=8, depth=16, seed=1, batch=8)
    solved = [result for result in results if result.solved_at is not None]
    assert solved
    for result in solved:
        assert family.check(instance, result.tokens)
        assert 1 <= (result.solved_at or 0) <= 16
        assert 0.0 <= result.value <= 1.0
    for result in results:
        if result.solved_at is None:
            assert not family.check(instance, result.tokens)


def test_a_trajectory_does_not_depend_on_how_many_others_there_are(shipped: LoadedModel) -> None:
    instance = puzzles.family("sudoku").parse_text("." * 16)
    few = solve(shipped, instance, width=3, depth=6, seed=5, batch=4)
    many = solve(shipped, instance, width=10, depth=6, seed=5, batch=4)
    for one, other in zip(few, many, strict=False):
        assert np.array_equal(one.tokens, other.tokens)
        assert one[1:] == other[1:]


def test_another_seed_gives_other_solutions_of_the_empty_board(shipped: LoadedModel) -> None:
    instance = puzzles.family("sudoku").parse_text("." * 16)
    found = [
        {
            result.tokens.tobytes()
            for result in solve(shipped, instance, width=16, depth=8, seed=seed, batch=16)
            if result.solved_at
        }
        for seed in (1, 2)
    ]
    assert len(found[0]) > 4
    assert found[0] != found[1]


@pytest.mark.parametrize("name", ["sudoku-4x4", "nqueens-5", "graph-coloring-6"])
def test_answers_come_back_as_posted_whatever_view_they_were_found_in(
    tmp_path: Path, name: str
) -> None:
    loaded = random_model(tmp_path, name)
    family = puzzles.family(loaded.task.family)
    instance = family.generate(loaded.task, np.random.default_rng(3), num_solutions=None)
    givens = family.encode(instance).tokens
    for result in solve(loaded, instance, width=5, depth=2, seed=9, batch=5):
        assert (result.tokens[givens > 1] == givens[givens > 1]).all()


def test_the_first_trajectory_sees_the_board_as_posted_and_the_others_repeatable_views() -> None:
    family = puzzles.family("sudoku")
    task = puzzles.task("sudoku-9x9")
    assert family.views(task, 7)(0) is None
    first, again = family.views(task, 7)(3), family.views(task, 7)(3)
    other = family.views(task, 7)(4)
    assert first is not None
    assert again is not None
    assert other is not None
    assert np.array_equal(first.positions, again.positions)
    assert np.array_equal(first.values, again.values)
    assert not np.array_equal(first.positions, other.positions)
    # Neighbours are drawn together, but no two alike.
    drawn = {view.positions.tobytes() for view in map(family.views(task, 7), range(1, 200)) if view}
    assert len(drawn) == 199


@pytest.mark.parametrize(
    "name", ["sudoku-9x9", "sudoku-6x6", "nqueens-8", "graph-coloring-5", "maze-3x3"]
)
def test_many_trajectories_see_the_tokens_that_each_alone_sees(name: str) -> None:
    task = puzzles.task(name)
    views = puzzles.family(task.family).views(task, 7)
    tokens = np.random.default_rng(1).integers(0, task.vocabulary, task.length).astype(np.uint8)
    trajectories = np.array([5, 0, 63, 64, 200, 1, 130])
    for row, index in zip(views.seen(tokens, trajectories), trajectories.tolist(), strict=True):
        view = views(index)
        assert np.array_equal(row, tokens if view is None else view.apply(tokens))


def test_a_graph_is_seen_with_its_edges_moved_along() -> None:
    family = puzzles.family("graph-coloring")
    task = puzzles.task("graph-coloring-5")
    body = {"vertices": 5, "edges": [[0, 1], [1, 2], [3, 4]], "fixed": {"2": 1}}
    encoded = family.encode(family.parse(body))
    symmetry = family.views(task, 1)(1)
    assert symmetry is not None
    seen = encoded.through(symmetry)
    assert seen.adjacency is not None
    assert encoded.adjacency is not None
    for i, j in np.ndindex(5, 5):
        assert (
            seen.adjacency[i, j] == encoded.adjacency[symmetry.positions[i], symmetry.positions[j]]
        )
    assert np.array_equal(symmetry.invert(seen.tokens), encoded.tokens)


def test_a_path_counts_as_solved_only_when_it_is_shortest(tmp_path: Path) -> None:
    loaded = random_model(tmp_path, "maze-1x3", initial_state="random")
    family = puzzles.family("maze")
    instance = family.parse({"grid": ["S.G"]})
    results = solve(loaded, instance, width=40, depth=3, seed=5, batch=8)
    valid = [family.check(instance, result.tokens) for result in results]
    assert [result.solved_at is not None for result in results] == valid
    assert True in valid
    assert False in valid
