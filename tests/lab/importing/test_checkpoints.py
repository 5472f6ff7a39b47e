"""Checkpoints of TRM, HRM and EqR, beside a model written from their papers and their names."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention, silu

from gram_core import puzzles
from gram_core.checkpoint import load_model
from gram_kernels.philox import NoiseKey
from gram_lab.cli import main

DIM, NUM_HEADS, FFN = 32, 4, 48
State = dict[str, Tensor]


class Case(NamedTuple):
    """A checkpoint and how it is named."""

    peer: str
    is_token: bool
    num_prefix_tokens: int
    cycles: tuple[int, int] = (2, 3)
    task: str = "sudoku-4x4"
    is_2d: bool = False


CASES = {
    "trm with a mixer of tokens": Case("trm", True, 3),
    "trm with attention": Case("trm", False, 3),
    "trm without a puzzle embedding": Case("trm", True, 0),
    "hrm": Case("hrm", False, 1, (2, 2)),
    "maze": Case("trm", False, 2, task="maze-3x4"),
    "eqr with a mixer of tokens": Case("eqr", True, 0),
    "eqr with two positions": Case("eqr", False, 0, task="maze-3x4", is_2d=True),
}


def random_state(case: Case) -> State:
    """Return weights by the peers' own names, with as many layers in a stack as the names say."""
    task = puzzles.task(case.task)
    torch.manual_seed(5)

    def draw(*shape: int) -> Tensor:
        # Small, so that differences of rounding do not grow from step to step.
        return 0.5 * torch.randn(*shape) / math.sqrt(shape[-1])

    num_tokens = task.length + case.num_prefix_tokens
    state = {
        "embed_tokens.embedding_weight": draw(task.vocabulary, DIM),
        "lm_head.weight": draw(task.vocabulary, DIM),
        "q_head.weight": draw(2, DIM),
        "q_head.bias": torch.tensor([-1.0, 0.5]),
    }
    if case.peer != "eqr":
        state |= {"H_init": torch.randn(DIM), "L_init": torch.randn(DIM)}
    if case.num_prefix_tokens:
        # One vector of the embedding fills the first prefix token and half of the second.
        size = DIM if case.peer == "hrm" else DIM + DIM // 2
        state["puzzle_emb.weights"] = torch.randn(2, size)
    for level in ("L_level", "H_level") if case.peer == "hrm" else ("L_level",):
        for number in range(2):
            name = f"{level}.layers.{number}."
            if case.is_token:
                state[f"{name}mlp_t.gate_up_proj.weight"] = draw(2 * 40, num_tokens)
                state[f"{name}mlp_t.down_proj.weight"] = draw(num_tokens, 40)
            else:
                state[f"{name}self_attn.qkv_proj.weight"] = draw(3 * DIM, DIM)
                state[f"{name}self_attn.o_proj.weight"] = draw(DIM, DIM)
            state[f"{name}mlp.gate_up_proj.weight"] = draw(2 * FFN, DIM)
            state[f"{name}mlp.down_proj.weight"] = draw(DIM, FFN)
    return state


class PeerModel:
    """The recursion of the three papers, on a state dict."""

    def __init__(self, state: State, case: Case) -> None:
        self.state, self.case = state, case
        self.kept = 0.05 if case.peer == "eqr" else 0.0
        task = puzzles.task(case.task)
        num_tokens = task.length + case.num_prefix_tokens
        places = torch.arange(num_tokens)
        # One angle for a pair of channels; of two positions each has half of the channels.
        axes = [places // task.columns, places % task.columns] if case.is_2d else [places]
        num_rates = DIM // NUM_HEADS // 2 // len(axes)
        rates = 10000.0 ** (-torch.arange(num_rates) / num_rates)
        self.angles = [torch.outer(axis, rates).repeat(1, 2)[:, None] for axis in axes]

    def rotated(self, x: Tensor) -> Tensor:
        parts = zip(x.chunk(len(self.angles), dim=-1), self.angles, strict=True)
        turned_parts = [part * angle.cos() + turned(part) * angle.sin() for part, angle in parts]
        return torch.cat(turned_parts, dim=-1)

    def step(
        self, high: Tensor, low: Tensor, tokens: Tensor, row: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return h, l, logits of the cells, and the logits of halting and going on."""
        embedded = self.state["embed_tokens.embedding_weight"][tokens]
        num_prefix = self.case.num_prefix_tokens
        if num_prefix:
            prefix = torch.zeros(num_prefix * DIM)
            given = self.state["puzzle_emb.weights"][row]
            prefix[: len(given)] = given
            prefix = prefix.view(1, num_prefix, DIM).expand(len(tokens), -1, -1)
            embedded = torch.cat((prefix, embedded), dim=1)
        embedded = embedded * math.sqrt(DIM)
        num_high, num_low = self.case.cycles
        upper = "H_level" if self.case.peer == "hrm" else "L_level"
        for _ in range(num_high):
            for _ in range(num_low):
                low = self.damped(low, self.stack("L_level", low + (high + embedded)))
            high = self.damped(high, self.stack(upper, high + low))
        halting = high[:, 0] @ self.state["q_head.weight"].T + self.state["q_head.bias"]
        return high, low, (high @ self.state["lm_head.weight"].T)[:, num_prefix:], halting

    def damped(self, before: Tensor, after: Tensor) -> Tensor:
        return self.kept * before + (1.0 - self.kept) * after

    def stack(self, level: str, x: Tensor) -> Tensor:
        for number in range(2):
            name = f"{level}.layers.{number}."
            if self.case.is_token:
                across = x.transpose(1, 2)
                x = normed(across + self.mlp(f"{name}mlp_t.", across)).transpose(1, 2)
            else:
                x = normed(x + self.attention(f"{name}self_attn.", x))
            x = normed(x + self.mlp(f"{name}mlp.", x))
        return x

    def mlp(self, name: str, x: Tensor) -> Tensor:
        gate, up = (x @ self.state[f"{name}gate_up_proj.weight"].T).chunk(2, dim=-1)
        return (silu(gate) * up) @ self.state[f"{name}down_proj.weight"].T

    def attention(self, name: str, x: Tensor) -> Tensor:
        joint = x @ self.state[f"{name}qkv_proj.weight"].T
        heads = joint.view(*x.shape[:2], 3 * NUM_HEADS, -1)
        q, k, v = heads.split(NUM_HEADS, dim=2)
        q, k, v = (each.transpose(1, 2) for each in (self.rotated(q), self.rotated(k), v))
        mixed = scaled_dot_product_attention(q, k, v)
        return mixed.transpose(1, 2).reshape(x.shape) @ self.state[f"{name}o_proj.weight"].T


def normed(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + 1e-5)


def turned(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


def write(folder: Path, case: Case, state: State, **more: object) -> None:
    """Write a checkpoint as the peers' training does: compiled, in a loss head, with a config."""
    arch = {
        "H_cycles": case.cycles[0],
        "L_cycles": case.cycles[1],
        "num_heads": NUM_HEADS,
        "pos_encodings": "none" if case.is_token else "rope2d" if case.is_2d else "rope",
        "halt_max_steps": 16,
        "puzzle_emb_len": case.num_prefix_tokens if case.peer == "trm" else 0,
        **more,
    }
    named = {f"_orig_mod.model.inner.{name}": value for name, value in state.items()}
    if case.peer == "eqr":
        # A state of training, with the averages of the weights and objects of its own classes.
        raw = {name: torch.zeros_like(value) for name, value in named.items()}
        training = {"model": raw, "ema": {"mu": 0.999, "shadow": named}, "config": {"arch": arch}}
        random_state = np.random.RandomState(1).get_state()
        torch.save({**training, "carry": Carry(1), "numpy": random_state}, folder / "step_10_x.pth")
        return
    (folder / "all_config.yaml").write_text(yaml.safe_dump({"arch": arch, "lr": 1e-4}))
    torch.save({}, folder / "step_9")
    torch.save(named, folder / "step_10")


class Carry:
    """What a peer keeps of its training, of a class that only it knows."""

    def __init__(self, value: int) -> None:
        self.value = value


def imported(folder: Path, case: Case, *more: str) -> Path:
    target = folder / "model"
    arguments = [case.peer, str(folder), "--task", case.task, "--output", str(target), *more]
    assert main(["import", *arguments]) == 0
    return target


@pytest.mark.parametrize("name", CASES)
def test_an_imported_model_gives_the_logits_of_its_peer(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    state = random_state(case)
    write(tmp_path, case, state)
    row = ["--identifier", "1"] if case.num_prefix_tokens else []
    loaded = load_model(imported(tmp_path, case, "--sigma", "0", *row))
    model, task = loaded.model, loaded.task
    assert loaded.info.depth == 16
    ours = torch.randint(1, task.vocabulary, (3, task.length))
    # Pad, free, path, wall, start and goal are 0, 2, 5, 1, 3 and 4 there.
    order = torch.tensor([0, 2, 5, 1, 3, 4] if task.family == "maze" else range(task.vocabulary))
    peer = PeerModel(state, case)
    zeros = torch.zeros(3, dtype=torch.int64)
    output_state = model.initial_state(zeros, torch.arange(3))
    high, low = output_state
    if case.peer == "eqr":
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
