"""Weights of TRM, HRM, EqR, PTRM and URM as a model of ours.

TRM is arXiv 2510.04871, HRM arXiv 2506.21734, EqR arXiv 2605.21488, PTRM, which runs the weights of
TRM, arXiv 2605.19943, and URM arXiv 2512.14693; the names of weights and settings are those of
their training code. Sizes come from the weights; what these do not tell
(heads, cycles, positions) from the settings, else as published.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from gram_core.config import GramConfig, Guidance, Rotary
from gram_core.errors import CheckpointError, ConfigError
from gram_core.model import Gram
from gram_core.puzzles import Task
from gram_lab.importing.files import Settings, State, one_line


class Peer(NamedTuple):
    """What the checkpoints of one project have in common."""

    low: str
    """Name of the stack of f_L."""
    high: str | None
    """Name of the stack of f_H, for TRM and EqR the same; None where h alone recurs."""
    settings: Settings
    """Published values that differ from ``PUBLISHED``, by the project's own names."""


PUBLISHED: Settings = {
    "num_heads": 8,
    "rope_theta": 10000.0,
    "halt_max_steps": 16,
    "H_cycles": 3,
    "L_cycles": 6,
    "puzzle_emb_len": 0,
    "lambda_": 1.0,
    "noise_scale": 0.0,
    "noise_in": "transition",
}
PEERS = {
    "trm": Peer("L_level.layers", "L_level.layers", {"puzzle_emb_len": 16}),
    "hrm": Peer("L_level.layers", "H_level.layers", {"H_cycles": 2, "L_cycles": 2}),
    "eqr": Peer("L_level.layers", "L_level.layers", {"lambda_": 0.95, "noise_scale": 0.01}),
    "ptrm": Peer(
        "L_level.layers",
        "L_level.layers",
        {"puzzle_emb_len": 16, "noise_scale": 0.3, "noise_in": "l"},
    ),
    "urm": Peer("layers", None, {"H_cycles": 2}),
}
NOISE: Mapping[str, Guidance] = {"transition": "noise", "l": "step-l", "h": "step-h"}
ROTARY: Mapping[str, Rotary] = {"None": "none", "none": "none", "rope": "1d", "rope2d": "2d"}
BLOCK = {
    "self_attn.qkv_proj.weight": "mixer.qkv.weight",
    "self_attn.o_proj.weight": "mixer.out.weight",
    "mlp_t.gate_up_proj.weight": "mixer.mlp.gate_up.weight",
    "mlp_t.down_proj.weight": "mixer.mlp.down.weight",
    "mlp.gate_up_proj.weight": "mlp.gate_up.weight",
    "mlp.down_proj.weight": "mlp.down.weight",
    "mlp.dwconv.weight": "mlp.conv.weight",
    "mlp.dwconv.bias": "mlp.conv.bias",
}
ENDS = (
    *("embed_tokens.embedding_weight", "lm_head.weight", "q_head.weight", "q_head.bias"),
    *("H_init", "L_init", "init_hidden", "puzzle_emb.weights"),
)
THEIR_TOKENS = {"maze": (0, 2, 5, 1, 3, 4), "arc": (0, 0, *range(2, 12), 1, 0)}
"""Their token of each of ours: of mazes pad, free, path, wall, start, goal; of ARC those that no
model reads, the colors, the end of a grid, and what lies beyond. Sudoku has the same tokens."""


def settings_of(peer: str, settings: Settings) -> Settings:
    """Return settings with the published values of those that are missing."""
    # URM calls supervision steps loops.
    steps = {"halt_max_steps": settings["loops"]} if "loops" in settings else {}
    return {**PUBLISHED, **PEERS[peer].settings, **steps, **settings}


def import_model(
    peer: str,
    state: State,
    task: Task,
    settings: Settings,
    *,
    identifier: int = 0,
    known: Sequence[int] = (),
) -> Gram:
    """Return a checkpoint's model for a task; ``identifier`` is the row of its puzzle embedding.

    With ``known`` rows the model keeps them all, in that order, and tokens say which one counts.

    Raises:
        CheckpointError: weights of another shape, or of a layer that is not known.
    """
    kind, settings = PEERS[peer], settings_of(peer, settings)
    stacks = tuple(f"{name}." for name in (kind.low, kind.high) if name)
    unknown = [name for name in state if name not in ENDS and not name.startswith(stacks)]
    if unknown:
        raise CheckpointError(f"the checkpoint has weights of an unknown layer: {min(unknown)}")
    try:
        prefix = _prefix(state, settings, 0 if known else identifier)
        config = _config(state, task, settings, kind, len(prefix), len(known))
        model = Gram(config, task.units)
        weights = {
            **_stack(state, kind.low, "low", config),
            **(_stack(state, kind.high, "high", config) if kind.high else {}),
            **_ends(state, task),
            **(_table(state, known, prefix) if known else {"prefix": prefix}),
        }
        model.load_state_dict({name: value.float() for name, value in weights.items()})
    except KeyError as error:
        raise CheckpointError(f"the checkpoint has no weights {error}: is it of {peer}?") from error
    except (IndexError, RuntimeError, ValueError) as error:
        reason = f"the checkpoint does not fit {task.name}: {one_line(error)}"
        raise CheckpointError(reason) from error
    return model.eval()


def _config(
    state: State,
    task: Task,
    settings: Settings,
    kind: Peer,
    num_prefix_tokens: int,
    num_known: int,
) -> GramConfig:
    vocabulary, dim = state["embed_tokens.embedding_weight"].shape
    wanted = len(set(THEIR_TOKENS.get(task.family, range(task.vocabulary))))
    if vocabulary != wanted:
        raise CheckpointError(f"the checkpoint has {vocabulary} tokens; {task.name} has {wanted}")
    first, is_flat = f"{kind.low}.0.", kind.high is None
    across = state.get(f"{first}mlp_t.gate_up_proj.weight")
    positions = str(settings.get("pos_encodings", "rope" if across is None else "none"))
    if positions not in ROTARY:
        raise CheckpointError(f"positions of the kind {positions!r} are not known")
    return GramConfig(
        vocabulary=task.vocabulary,
        # The tokens of known tasks have an answer and a number too, which no layer sees.
        length=task.size**2 if num_known else task.length,
        rows=task.size if num_known else task.rows,
        columns=task.columns,
        dim=dim,
        num_heads=number(settings, "num_heads"),
        ffn_dim=len(state[f"{first}mlp.gate_up_proj.weight"]) // 2,
        guidance_dim=1,
        num_low_blocks=_num_layers(state, kind.low),
        num_high_blocks=_num_layers(state, kind.high or kind.low),
        # Of a flat recursion the last pass is not an inner step.
        num_inner_steps=number(settings, "L_cycles") - is_flat,
        num_transitions=number(settings, "H_cycles"),
        num_supervision_steps=number(settings, "halt_max_steps"),
        mixer="attention" if across is None else "token",
        token_ffn_dim=None if across is None else len(across) // 2,
        mixer_norm="channels" if across is None else "tokens",
        rotary=ROTARY[positions],
        rotary_base=fraction(settings, "rope_theta"),
        damping=round(1.0 - fraction(settings, "lambda_"), 6),
        guidance="none",
        recursion="flat" if is_flat else "hierarchical",
        gate="conv" if f"{first}mlp.dwconv.weight" in state else "silu",
        initial_state="fixed" if {"H_init", "init_hidden"} & set(state) else "random",
        num_prefix_tokens=num_prefix_tokens,
        num_known=num_known,
        readout="first",
    )


def _prefix(state: State, settings: Settings, identifier: int) -> Tensor:
    """Return the puzzle embedding as (prefix tokens, dim), scaled as the embedding of tokens is."""
    dim = state["embed_tokens.embedding_weight"].shape[1]
    embedding = state.get("puzzle_emb.weights")
    if embedding is None:
        return torch.zeros(0, dim)
    if not 0 <= identifier < len(embedding):
        detail = f"the checkpoint knows 0 to {len(embedding) - 1}"
        raise ConfigError("identifier", identifier, detail)
    row = embedding[identifier].float()
    num_tokens = number(settings, "puzzle_emb_len") or -(-len(row) // dim)
    padded = torch.zeros(num_tokens * dim)
    padded[: len(row)] = row
    return padded.view(num_tokens, dim) * math.sqrt(dim)


def _table(state: State, known: Sequence[int], prefix: Tensor) -> dict[str, Tensor]:
    """Return rows of the puzzle embedding, (rows, dim), for a prefix of nothing else."""
    table = state["puzzle_emb.weights"]
    count, size = table.shape
    if max(known) >= count or size > prefix.shape[1]:
        detail = f"{count} vectors of {size} numbers, of which number {max(known)} is to be kept"
        raise CheckpointError(f"the checkpoint has a puzzle embedding that does not fit: {detail}")
    padded = torch.zeros(len(known), prefix.shape[1])
    padded[:, :size] = table[list(known)]
    return {"known": padded * math.sqrt(prefix.shape[1]), "prefix": torch.zeros_like(prefix)}


def _ends(state: State, task: Task) -> dict[str, Tensor]:
    """Return what is before and behind the stacks; the value head repeats the halting head."""
    order = list(THEIR_TOKENS.get(task.family, range(task.vocabulary)))
    weight, bias = state["q_head.weight"], state["q_head.bias"]
    nothing = torch.zeros(weight.shape[1])
    return {
        "embedding.weight": state["embed_tokens.embedding_weight"][order],
        "decoder.weight": state["lm_head.weight"][order],
        "halt.weight": weight,
        "halt.bias": bias,
        "value.weight": weight[:1],
        "value.bias": bias[:1],
        "z0_high": state.get("H_init", state.get("init_hidden", nothing)),
        "z0_low": state.get("L_init", nothing),
    }


def _stack(state: State, theirs: str, ours: str, config: GramConfig) -> dict[str, Tensor]:
    found = {}
    for name, value in state.items():
        if match := re.fullmatch(rf"{theirs}\.(\d+)\.(.+)", name):
            if match[2] not in BLOCK:
                raise CheckpointError(f"the checkpoint has weights of an unknown layer: {name}")
            is_turned = config.rotary == "2d" and match[2] == "self_attn.qkv_proj.weight"
            weights = _by_halves(value, config) if is_turned else value
            found[f"{ours}.blocks.{match[1]}.{BLOCK[match[2]]}"] = weights
    return found


def _by_halves(weights: Tensor, config: GramConfig) -> Tensor:
    """Return weights of q, k and v with the channels of q and k in our order for 2-D positions.

    Theirs turn the two quarters of each half into each other, ours the two halves.
    """
    q, k, v = weights.view(3, config.num_heads, 2, 2, config.head_dim // 4, config.dim)
    return torch.stack((q.transpose(1, 2), k.transpose(1, 2), v)).reshape(weights.shape)


def _num_layers(state: State, theirs: str) -> int:
    found = (re.match(rf"{theirs}\.(\d+)\.", name) for name in state)
    return 1 + max((int(match[1]) for match in found if match), default=-1)


def with_noise(model: Gram, sigma: float, task: Task, where: str) -> Gram:
    """Return the model with normal noise of deviation ``sigma`` in one of the places ``NOISE``."""
    if where not in NOISE:
        raise ConfigError("noise_in", where, f"must be one of {', '.join(NOISE)}")
    config = replace(
        model.config,
        guidance=NOISE[where],
        sigma_min=0.999 * sigma,
        sigma_max=1.001 * sigma,
        sigma_init=sigma,
    )
    noisy = Gram(config, task.units)
    noisy.load_state_dict(model.state_dict(), strict=False)
    return noisy.eval()


def number(settings: Settings, name: str) -> int:
    value = fraction(settings, name)
    if value != int(value):
        raise ConfigError(name, value, "must be a whole number")
    return int(value)


def fraction(settings: Settings, name: str) -> float:
    try:
        return float(str(settings[name]))
    except ValueError as error:
        raise ConfigError(name, settings[name], "must be a number") from error
