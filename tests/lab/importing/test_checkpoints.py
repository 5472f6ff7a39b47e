"""Checkpoints of TRM, HRM, EqR, PTRM and URM, beside a model written from their papers."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gram_core.bound_step import step_backend
from gram_core.checkpoint import load_model
from gram_kernels.philox import GUIDANCE_STREAM, NoiseKey, normals
from gram_lab.cli import main
from tests.lab.importing.peers import (
    CASES,
    DIM,
    Case,
    PeerModel,
    State,
    imported,
    random_state,
    write,
)


@pytest.mark.parametrize("name", CASES)
def test_an_imported_model_gives_the_logits_of_its_peer(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    state = random_state(case)
    write(tmp_path, case, state)
    row = ["--identifier", "1"] if case.num_prefix_tokens else []
    loaded = load_model(imported(tmp_path, case, "--sigma", "0", *row))
    model, task = loaded.model, loaded.task
    assert loaded.info.depth == 12
    ours = torch.randint(1, task.vocabulary, (3, task.length))
    # Pad, free, path, wall, start and goal are 0, 2, 5, 1, 3 and 4 there.
    order = torch.tensor([0, 2, 5, 1, 3, 4] if task.family == "maze" else range(task.vocabulary))
    peer = PeerModel(state, case)
    zeros = torch.zeros(3, dtype=torch.int64)
    output_state = model.initial_state(zeros, torch.arange(3))
    high, low = output_state
    if case.peer == "urm":
        assert torch.equal(high, state["init_hidden"].expand_as(high))
    elif case.peer == "eqr":
        # Drawn for each trajectory, as there.
        assert not torch.equal(high[0], high[1])
    else:
        assert torch.equal(high, state["H_init"].expand_as(high))
        assert torch.equal(low, state["L_init"].expand_as(low))
    for _ in range(16):
        high, low, logits, halting = peer.step(high, low, order[ours], 1)
        key = NoiseKey(zeros, zeros, zeros)
        output = model.supervision_step(output_state, model.encode(ours), key)
        output_state = output.state
        torch.testing.assert_close(output.logits, logits[..., order], atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(output.halt, halting[:, 0], atol=1e-3, rtol=1e-3)


def test_the_config_of_a_file_may_have_its_name(tmp_path: Path) -> None:
    case = CASES["trm with attention"]
    write(tmp_path, case, random_state(case))
    (tmp_path / "step_10").rename(tmp_path / "weights.pt")
    (tmp_path / "all_config.yaml").rename(tmp_path / "weights.yaml")
    target = tmp_path / "model"
    arguments = ["trm", str(tmp_path / "weights.pt"), "--task", case.task, "--output", str(target)]
    assert main(["import", *arguments]) == 0
    assert load_model(target).info.depth == 12


def test_noise_makes_the_trajectories_of_a_deterministic_model_differ(tmp_path: Path) -> None:
    case = CASES["trm with attention"]._replace(cycles=(1, 3))
    write(tmp_path, case, random_state(case))
    zeros, numbers = torch.zeros(2, dtype=torch.int64), torch.arange(2)
    distances = []
    for more in ([], ["--sigma", "0.3"]):
        model = load_model(imported(tmp_path, case, *more)).model
        start = model.initial_state(zeros, numbers)
        embedding = model.encode(torch.ones(2, 16, dtype=torch.int64))
        high = model.supervision_step(start, embedding, NoiseKey(zeros, numbers, zeros)).state.high
        distances.append(float((high[0] - high[1]).std()))
    assert distances[0] == 0.0
    # Of two draws; the noise is the last thing that happens to h in a step.
    assert distances[1] == pytest.approx(0.3 * math.sqrt(2), rel=0.1)


@pytest.mark.parametrize("place", ["l", "h"])
def test_the_noise_of_ptrm_comes_before_each_step_and_in_no_answer(
    place: str, tmp_path: Path
) -> None:
    case = CASES["ptrm"]
    state = random_state(case)
    write(tmp_path, case, state)
    chosen = [] if place == "l" else ["--set", "noise_in=h"]
    model = load_model(imported(tmp_path, case, *chosen)).model
    peer, tokens = PeerModel(state, case), torch.randint(1, 6, (2, 16))
    zeros, numbers = torch.zeros(2, dtype=torch.int64), torch.arange(2)
    ours = model.initial_state(zeros, numbers)
    high, low = ours
    for step in range(4):
        key = NoiseKey(zeros, numbers, zeros + step)
        draw = normals(*key, transition=0, stream=GUIDANCE_STREAM, count=high[0].numel())
        noise = 0.3 * draw.view(high.shape)
        high, low = (high, low + noise) if place == "l" else (high + noise, low)
        high, low, logits, _ = peer.step(high, low, tokens, 0)
        output = model.supervision_step(ours, model.encode(tokens), key)
        ours = output.state
        torch.testing.assert_close(output.logits, logits, atol=1e-3, rtol=1e-3)
    assert not torch.allclose(high[0], high[1], atol=0.01)


@pytest.mark.parametrize("name", ["ptrm", "urm", "eqr with a mixer of tokens"])
def test_what_no_fused_step_knows_is_served_by_the_models_own_operations(
    name: str, tmp_path: Path
) -> None:
    case = CASES[name]
    write(tmp_path, case, random_state(case))
    loaded = load_model(imported(tmp_path, case))
    assert step_backend(loaded.model, loaded.task) == "model"


class Hostile:
    """Runs a command where a pickle is loaded as a program."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch pickled-code-ran",)


Writer = Callable[[Path, Case], object]


def saved(content: object) -> Writer:
    return lambda folder, case: torch.save(content, folder / "step_10")


def written(
    change: Callable[[State], object] = dict,
    *,
    task: str = "sudoku-4x4",
    num_prefix_tokens: int = 3,
    **arch: object,
) -> Writer:
    """Return what writes a checkpoint with changed weights, or an architecture that is not its."""

    def write_changed(folder: Path, case: Case) -> None:
        state = random_state(case._replace(task=task))
        change(state)
        write(folder, case._replace(num_prefix_tokens=num_prefix_tokens), state, **arch)

    return write_changed


POSITIONS = {"embed_pos.embedding_weight": torch.zeros(19, DIM)}
REFUSED: dict[str, tuple[Writer, str]] = {
    "a program in a pickle": (saved({"H_init": Hostile()}), "is not a state dict"),
    "no halting head": (
        written(lambda state: state.pop("q_head.bias")),
        "no weights 'q_head.bias'",
    ),
    "weights of another task": (written(task="sudoku-9x9"), "11 tokens; sudoku-4x4 has 6"),
    "learned positions": (
        written(lambda state: state.update(POSITIONS)),
        "embed_pos.embedding_weight",
    ),
    "heads that do not divide": (written(num_heads=5), "num_heads"),
    "noise in another place": (written(noise_in="z", noise_scale=0.1), "noise_in"),
    "heads in words": (written(num_heads="many"), "must be a number"),
    "another number of prefix tokens": (
        written(num_prefix_tokens=4),
        "does not fit sudoku-4x4",
    ),
    "text": (
        lambda folder, case: (folder / "step_10").write_text("a list of weights"),
        "is not a state dict",
    ),
    "lists": (saved({"model": [1.0]}), "is not a state dict"),
    "nothing": (lambda folder, case: None, "holds neither step_N nor model.safetensors"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_checkpoint_of_the_kind_is_refused_in_one_line(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "peer"
    folder.mkdir()
    prepare, reason = REFUSED[name]
    prepare(folder, CASES["trm with a mixer of tokens"])
    target = tmp_path / "model"
    arguments: list[Any] = ["trm", str(folder), "--task", "sudoku-4x4", "--output", str(target)]
    assert main(["import", *arguments]) == 2
    told = capsys.readouterr().err
    assert reason in told
    assert told.startswith("gram-lab import: ")
    assert told.count("\n") == 1
    assert not target.exists()
    assert not Path("pickled-code-ran").exists()


def test_the_result_is_told_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = CASES["hrm"]
    write(tmp_path, case, random_state(case))
    info = load_model(imported(tmp_path, case)).info
    told = json.loads(capsys.readouterr().out)
    assert told == {"model": info.id, "task": "sudoku-4x4", "num_parameters": info.num_parameters}
