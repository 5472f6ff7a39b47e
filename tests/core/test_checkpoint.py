"""Saving, loading, and refusing what does not fit."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gram_core import catalog, puzzles
from gram_core.checkpoint import load_model, save_model
from gram_core.config import preset
from gram_core.errors import CheckpointError
from gram_core.model import Gram


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


def test_a_truncated_weights_file_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    path = tmp_path / catalog.WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="copy the model directory again"):
        load_model(tmp_path)


def test_weights_of_another_checkpoint_are_refused(tmp_path: Path) -> None:
    saved(tmp_path / "one", seed=1)
    saved(tmp_path / "two", seed=2)
    other = (tmp_path / "two" / catalog.WEIGHTS_FILE).read_bytes()
    (tmp_path / "one" / catalog.WEIGHTS_FILE).write_bytes(other)
    with pytest.raises(CheckpointError, match="different checkpoints"):
        load_model(tmp_path / "one")


def test_a_pickle_in_place_of_weights_is_refused_and_not_run(tmp_path: Path) -> None:
    saved(tmp_path)
    trap = tmp_path / "ran"
    payload = pickle.dumps(Path.touch) + str(trap).encode()
    (tmp_path / catalog.WEIGHTS_FILE).write_bytes(payload)
    with pytest.raises(CheckpointError):
        load_model(tmp_path)
    assert not trap.exists()


def edit(folder: Path, **changes: object) -> None:
    path = folder / catalog.CONFIG_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": "other/2"}, "pass a directory written by"),
        ({"task": "sudoku-9x9"}, "train it again for this task"),
        ({"task": "chess-8"}, "upgrade gram-server"),
        ({"depth": "deep"}, "copy the model directory again"),
        ({"architecture": {"dim": 3}}, "copy the model directory again"),
        ({"architecture": "none"}, "copy the model directory again"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_with_advice(
    tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    saved(tmp_path)
    edit(tmp_path, **changes)
    with pytest.raises(CheckpointError, match=says):
        load_model(tmp_path)


def test_weights_that_do_not_fit_the_architecture_are_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    path = tmp_path / catalog.WEIGHTS_FILE
    weights = load_file(path)
    weights["decoder.weight"] = weights["decoder.weight"][:, :16].contiguous()
    save_file(weights, path)
    edit(tmp_path, fingerprint=catalog.fingerprint(path))
    with pytest.raises(CheckpointError, match=r"decoder\.weight"):
        load_model(tmp_path)


def test_a_directory_without_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        catalog.find_model(str(tmp_path))


def test_a_config_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / catalog.CONFIG_FILE).write_text("{ not json")
    with pytest.raises(CheckpointError, match="damaged"):
        catalog.read_model(tmp_path)


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
    edit(tmp_path, max_givens="few")
    with pytest.raises(CheckpointError, match="damaged"):
        catalog.read_model(tmp_path)
    edit(tmp_path, max_givens=None, purpose="amuse")
    with pytest.raises(CheckpointError, match="purpose is 'amuse': it is one of solve, generate"):
        catalog.read_model(tmp_path)


def test_a_family_without_an_empty_instance_has_no_generating_model(tmp_path: Path) -> None:
    saved(tmp_path, "graph-coloring-5")
    edit(tmp_path, purpose="generate")
    with pytest.raises(CheckpointError, match="no empty instance"):
        load_model(tmp_path)


def test_configs_are_frozen_values() -> None:
    config = preset("tiny", puzzles.task("sudoku-4x4"))
    assert replace(config, dim=64) != config
