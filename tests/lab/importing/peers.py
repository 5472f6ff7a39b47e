"""Checkpoints of other projects by their own names, and a model written from their papers."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import yaml
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention, silu

from gram_core import puzzles
from gram_lab.cli import main

DIM, NUM_HEADS, FFN = 32, 4, 48
State = dict[str, Tensor]
LEVELS = {"hrm": ("L_level.", "H_level."), "urm": ("",)}


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
    "ptrm": Case("ptrm", True, 3),
    "urm": Case("urm", False, 2),
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
    if case.peer == "urm":
        state["init_hidden"] = torch.randn(DIM)
    elif case.peer != "eqr":
        state |= {"H_init": torch.randn(DIM), "L_init": torch.randn(DIM)}
    if case.num_prefix_tokens:
        # One vector of the embedding fills the first prefix token and half of the second.
        size = DIM if case.peer == "hrm" else DIM + DIM // 2
        state["puzzle_emb.weights"] = torch.randn(2, size)
    for level in LEVELS.get(case.peer, ("L_level.",)):
        for number in range(2):
            name = f"{level}layers.{number}."
            if case.peer == "urm":
                state[f"{name}mlp.dwconv.weight"] = draw(FFN, 1, 2)
                state[f"{name}mlp.dwconv.bias"] = draw(FFN)
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
    """The recursion of the papers, on a state dict."""

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
        levels = LEVELS.get(self.case.peer, ("L_level.",))
        lower, upper = levels[0], levels[-1]
        for _ in range(num_high):
            for _ in range(num_low):
                if self.case.peer == "urm":
                    high = self.stack(lower, high + embedded)
                else:
                    low = self.damped(low, self.stack(lower, low + (high + embedded)))
            if self.case.peer != "urm":
                high = self.damped(high, self.stack(upper, high + low))
        halting = high[:, 0] @ self.state["q_head.weight"].T + self.state["q_head.bias"]
        return high, low, (high @ self.state["lm_head.weight"].T)[:, num_prefix:], halting

    def damped(self, before: Tensor, after: Tensor) -> Tensor:
        return self.kept * before + (1.0 - self.kept) * after

    def stack(self, level: str, x: Tensor) -> Tensor:
        for number in range(2):
            name = f"{level}layers.{number}."
            if self.case.is_token:
                across = x.transpose(1, 2)
                x = normed(across + self.mlp(f"{name}mlp_t.", across)).transpose(1, 2)
            else:
                x = normed(x + self.attention(f"{name}self_attn.", x))
            x = normed(x + self.mlp(f"{name}mlp.", x))
        return x

    def mlp(self, name: str, x: Tensor) -> Tensor:
        gate, up = (x @ self.state[f"{name}gate_up_proj.weight"].T).chunk(2, dim=-1)
        hidden = silu(gate) * up
        if f"{name}dwconv.weight" in self.state:
            # Of each token and the one before it; before the first there are zeros.
            weights = self.state[f"{name}dwconv.weight"][:, 0].T
            before = torch.cat((torch.zeros_like(hidden[:, :1]), hidden[:, :-1]), dim=1)
            mixed = before * weights[0] + hidden * weights[1]
            hidden = silu(mixed + self.state[f"{name}dwconv.bias"])
        return hidden @ self.state[f"{name}down_proj.weight"].T

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
        "loops" if case.peer == "urm" else "halt_max_steps": 12,
        "puzzle_emb_len": case.num_prefix_tokens if "trm" in case.peer else 0,
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
    if case.peer == "urm":
        training = {"step": 10, "model_state_dict": named, "optimizer_states": [{"lr": 0.1}]}
        torch.save(training, folder / "step_10.pt")
        return
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
