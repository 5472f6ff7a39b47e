"""Saving, loading, and refusing what does not fit."""

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gram_core import catalog, puzzles
from gram_core.checkpoint import load_model, save_model
from gram_core.config import preset
from gram_core.errors import CheckpointError, ConfigError
from gram_core.model import Gram
from gram_core.solve import rollout


def saved(folder: Path, task_name: str = "sudoku-4x4", *, seed: int = 0) -> Gram:
    torch.manual_seed(seed)
    task = puzzles.task(task_name)
    model = Gram(preset("tiny", task), task.units)
    save_model(folder, model, name=task_name, task=task, depth=8, dtype=torch.float32)
    return model


def test_a_loaded_model_computes_what_the_saved_one_did(tmp_path: Path) -> None:
    model = saved(tmp_path)
    loaded = load_model(tmp_path)
    tokens = torch.randint(1, 6, (2, 16))
    assert torch.equal(loaded.model.encode(tokens), model.encode(tokens))
    assert torch.equal(loaded.model.z0_high, model.z0_high)
    assert loaded.info.id == f"sudoku-4x4@{loaded.info.fingerprint}"
    assert loaded.info.depth == 8
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())


@pytest.mark.slow
def test_half_precision_on_disk_is_float32_in_memory(tmp_path: Path) -> None:
    task = puzzles.task("nqueens-5")
    model = Gram(preset("tiny", task), task.units)
    save_model(tmp_path, model, name="q", task=task, depth=4, dtype=torch.bfloat16)
    weight = load_model(tmp_path).model.decoder.weight
    assert weight.dtype == torch.float32
    torch.testing.assert_close(weight, model.decoder.weight.bfloat16().float())


def edit(folder: Path, **changes: object) -> None:
    path = folder / catalog.CONFIG_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def take_from_another(weights: Path) -> None:
    saved(weights.parent / "other", seed=2)
    (weights.parent / "other" / catalog.WEIGHTS_FILE).replace(weights)


def narrow(weights: Path) -> None:
    tensors = load_file(weights)
    tensors["decoder.weight"] = tensors["decoder.weight"][:, :16].contiguous()
    save_file(tensors, weights)
    edit(weights.parent, fingerprint=catalog.fingerprint(weights))


def make_a_pickle(weights: Path) -> object:
    return weights.write_bytes(pickle.dumps(Path.touch) + str(weights.parent / "ran").encode())


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda weights: os.truncate(weights, 1000), "copy the model directory again"),
        (take_from_another, "different checkpoints"),
        (make_a_pickle, "copy the model directory again"),
        (narrow, r"decoder\.weight"),
        (lambda weights: (weights.parent / catalog.CONFIG_FILE).write_text("{ no"), "damaged"),
    ],
)
def test_files_that_are_not_what_was_saved_are_refused_and_not_run(
    tmp_path: Path, damage: Callable[[Path], object], says: str
) -> None:
    saved(tmp_path)
    damage(tmp_path / catalog.WEIGHTS_FILE)
    with pytest.raises(CheckpointError, match=says):
        load_model(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": "other/2"}, "pass a directory written by"),
        ({"task": "sudoku-9x9"}, "train it again for this task"),
        ({"task": "chess-8"}, "upgrade gram-server"),
        ({"depth": "deep"}, "copy the model directory again"),
        ({"architecture": {"dim": 3}}, "copy the model directory again"),
        ({"architecture": "none"}, "copy the model directory again"),
        ({"max_givens": "few"}, "damaged"),
        ({"purpose": "amuse"}, "purpose is 'amuse': it is one of solve, generate"),
        # Sizes that these weights cannot have.
        ({"other_tasks": ["chess-8"]}, "no task is named"),
        ({"other_tasks": [6]}, "damaged"),
        ({"other_tasks": ["sudoku-6x6"]}, "these weights cannot have"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_with_advice(
    tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    saved(tmp_path)
    edit(tmp_path, **changes)
    with pytest.raises(CheckpointError, match=says):
        load_model(tmp_path)


def test_a_directory_without_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        catalog.find_model(str(tmp_path))


def test_every_shipped_model_loads_and_is_for_a_known_task() -> None:
    shipped = catalog.shipped_models()
    names = {info.name for info in shipped}
    assert {"sudoku-9x9", "sudoku-4x4", "nqueens-8", "graph-coloring-8"} <= names
    for info in shipped:
        loaded = load_model(info)
        assert loaded.task.name == info.task
        assert info.num_parameters <= 2_000_000
        assert (info.path / "CARD.md").stat().st_size > 500


def test_a_checkpoint_says_what_it_is_for_and_one_that_does_not_solves(tmp_path: Path) -> None:
    task = puzzles.task("sudoku-4x4")
    model = Gram(preset("tiny", task), task.units)
    save_model(
        tmp_path, model, name="g", task=task, depth=8, dtype=torch.float32, purpose="generate"
    )
    assert load_model(tmp_path).info.purpose == "generate"
    path = tmp_path / catalog.CONFIG_FILE
    config = json.loads(path.read_text())
    del config["purpose"]
    path.write_text(json.dumps(config))
    assert catalog.read_model(tmp_path).purpose == "solve"
    assert catalog.read_model(tmp_path).max_givens is None
    edit(tmp_path, max_givens=16)
    assert catalog.read_model(tmp_path).max_givens == 16


@pytest.mark.parametrize(("name", "names"), [("q", "q q-5 q-4"), ("my-6", "my-6 my-5 my-4")])
def test_weights_for_several_sizes_are_a_model_for_each(
    tmp_path: Path, name: str, names: str
) -> None:
    task, *others = (puzzles.task(f"nqueens-{size}") for size in (6, 5, 4))
    model = Gram(preset("tiny", task), task.units)
    save_model(tmp_path, model, name=name, task=task, depth=8, dtype=torch.float32, others=others)
    found = catalog.find_models(str(tmp_path))
    assert " ".join(info.name for info in found) == names
    assert len({info.fingerprint for info in found}) == 1
    assert catalog.find_model(str(tmp_path)) == found[0]
    for info, each in zip(found, (task, *others), strict=True):
        loaded = load_model(info)
        assert (loaded.task.name, info.is_late) == (each.name, each is not task)
        assert torch.equal(loaded.model.decoder.weight, model.decoder.weight)
        tokens = torch.ones(2, each.length, dtype=torch.int64)
        key = torch.zeros(2, dtype=torch.int64)
        (output,) = rollout(loaded.model, tokens, key, key, depth=1)
        assert output.logits.shape == (2, each.length, 3)


def test_weights_of_one_entry_per_token_fit_one_size_only() -> None:
    config = replace(preset("tiny", puzzles.task("nqueens-5")), mixer="token", head_kinds=())
    with pytest.raises(ConfigError, match="these weights cannot have"):
        config.resized(puzzles.task("nqueens-6"))


def test_a_family_without_an_empty_instance_has_no_generating_model(tmp_path: Path) -> None:
    saved(tmp_path, "graph-coloring-5")
    edit(tmp_path, purpose="generate")
    with pytest.raises(CheckpointError, match="no empty instance"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"mixer": "attention", "head_kinds": ()},
        {"mixer": "token", "head_kinds": ()},
        {"head_kinds": ("any",) * 4},
    ],
)
def test_a_model_that_cannot_see_the_graph_is_neither_saved_nor_loaded(
    changes: dict[str, object], tmp_path: Path
) -> None:
    task = puzzles.task("graph-coloring-5")
    config = replace(preset("tiny", task), **changes)  # type: ignore[arg-type]  # by field name
    model = Gram(config, task.units)
    with pytest.raises(ConfigError, match="has a graph"):
        save_model(tmp_path, model, name="m", task=task, depth=2, dtype=torch.float32)
    saved(tmp_path, task.name)
    path = tmp_path / catalog.CONFIG_FILE
    values = json.loads(path.read_text())
    values["architecture"] |= json.loads(json.dumps(changes))
    path.write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="choose mixer=relational"):
        load_model(tmp_path)


def test_heads_that_follow_edges_are_refused_where_there_are_none(tmp_path: Path) -> None:
    task = puzzles.task("sudoku-4x4")
    model = Gram(replace(preset("tiny", task), head_kinds=("any", "any", "any", "edge")))
    with pytest.raises(ConfigError, match="no graph"):
        save_model(tmp_path, model, name="m", task=task, depth=2, dtype=torch.float32)
