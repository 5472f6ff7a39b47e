"""Checkpoints of TRM with a puzzle embedding for ARC: every vector of a task, and its tasks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gram_core.checkpoint import LoadedModel, load_model
from gram_core.puzzles import BLANK
from gram_core.puzzles.arc import Arc
from gram_core.puzzles.arc.learned import TASK
from gram_kernels.philox import NoiseKey
from gram_lab.cli import main
from tests.lab.importing.peers import DIM, Case, PeerModel, random_state, write

# Mazes of this size have as many cells as the canvas there.
CASE = Case("trm", False, 3, cycles=(1, 2), task="maze-30x30")
NAMES = ["<blank>", "b", "a|||t3|||0213456789", "a", "c", "a|||t6|||0987654321"]
VECTORS_OF_A = (3, 2, 5)
PAIR = {"input": [[1, 2]], "output": [[2, 1]]}
TESTS: list[dict[str, Any]] = [{"input": [[5, 5, 0]]}, {"input": [[6]]}]
TASKS = {"a": {"train": [PAIR], "test": TESTS}, "z": {"train": [PAIR, PAIR], "test": TESTS}}
THEIR_TOKENS = torch.tensor([0, 0, *range(2, 12), 1, 0])
"""Of each of ours: the colors, the end of a grid, and what lies beyond."""


@pytest.fixture
def peer(tmp_path: Path) -> PeerModel:
    """Return the model whose checkpoint, identifiers and tasks are in the folder."""
    state = random_state(CASE)
    for name in ("embed_tokens.embedding_weight", "lm_head.weight"):
        state[name] = 0.2 * torch.randn(12, DIM)
    state["puzzle_emb.weights"] = torch.randn(len(NAMES), DIM)
    write(tmp_path, CASE, state)
    (tmp_path / "identifiers.json").write_text(json.dumps(NAMES))
    (tmp_path / "test_puzzles.json").write_text(json.dumps(TASKS))
    return PeerModel(state, CASE)


def import_arc(folder: Path, *more: str) -> int:
    given = ["--task", "arc-30x30", "--identifiers", str(folder), *more]
    return main(["import", "trm", str(folder), *given, "--output", str(folder / "model")])


def loaded_from(folder: Path) -> LoadedModel:
    return load_model(folder / "model")


def test_each_view_of_a_task_gives_the_logits_of_its_own_vector(
    peer: PeerModel, tmp_path: Path
) -> None:
    assert import_arc(tmp_path) == 0
    loaded = loaded_from(tmp_path)
    model, arc = loaded.model, Arc()
    # Of b, c and what has no task nothing is kept.
    assert model.known.shape == (len(VECTORS_OF_A), DIM)
    posted = arc.parse({**TASKS["a"], "test": TESTS[:1]})
    encoded, view = arc.seen(posted, TASK, seed=0, folder=loaded.info.path)
    looks = [view(trajectory) for trajectory in range(len(VECTORS_OF_A))]
    seen = [encoded.tokens if look is None else look.apply(encoded.tokens) for look in looks]
    ours = torch.as_tensor(np.stack(seen)).long()
    zeros = torch.zeros(len(ours), dtype=torch.int64)
    state = model.initial_state(zeros, zeros)
    peers = [(high[None], low[None]) for high, low in zip(*state, strict=True)]
    for _ in range(3):
        output = model.supervision_step(state, model.encode(ours), NoiseKey(*[zeros] * 3))
        state = output.state
        for place, vector in enumerate(VECTORS_OF_A):
            asked = THEIR_TOKENS[ours[place, None, :900]]
            high, low, logits, halting = peer.step(*peers[place], asked, vector)
            peers[place] = high, low
            answers = output.logits[place, ours[place] == BLANK]
            wanted = logits[0][:, THEIR_TOKENS[2:]]
            torch.testing.assert_close(answers[:, 2:], wanted, atol=1e-3, rtol=1e-3)
            torch.testing.assert_close(output.halt[place], halting[0, 0], atol=1e-3, rtol=1e-3)


@pytest.mark.usefixtures("peer")
def test_tasks_may_be_files_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "b.json").write_text(json.dumps(TASKS["a"]))
    assert import_arc(tmp_path, "--tasks", str(folder)) == 0
    assert len(loaded_from(tmp_path).model.known) == 1


@pytest.mark.usefixtures("peer")
@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("identifiers.json", {}, "must hold a list of names"),
        ("identifiers.json", ["<blank>", "b"], "none of them is in"),
        ("identifiers.json", ["<blank>"] * 9 + NAMES, "does not fit: 6 vectors"),
        ("test_puzzles.json", [], "must hold tasks by their ids"),
        ("test_puzzles.json", {"a": {"train": [{"input": [[11]]}]}}, "train[0].input[0]"),
    ],
)
def test_what_names_no_vector_of_a_task_is_refused_in_one_line(
    file: str, content: object, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / file).write_text(json.dumps(content))
    assert import_arc(tmp_path) == 2
    told = capsys.readouterr().err
    assert reason in told
    assert told.count("\n") == 1
    assert not (tmp_path / "model").exists()
