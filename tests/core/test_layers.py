"""Mixers against written-out float64 references."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gram_core import puzzles
from gram_core.config import GramConfig, Rotary, preset
from gram_core.errors import ConfigError
from gram_core.layers import Attention, Block, SwiGLU, TokenMixing, rms_norm
from gram_core.puzzles import Task


def dense_mask(task: Task, kind: str) -> Tensor:
    """(length, length): cells that share a unit of the kind, and each cell with itself."""
    mask = torch.eye(task.length, dtype=torch.bool)
    for unit in task.units:
        if unit.kind == kind:
            for cell in unit.cells:
                mask[cell, list(unit.cells)] = True
    return mask


def dense_attention(attention: Attention, x: Tensor, masks: list[Tensor]) -> Tensor:
    """Every head over all cells with its own mask, in float64 and without positions."""
    batch, tokens, _ = x.shape
    heads, channels = attention.num_heads, attention.head_dim
    qkv = (x.double() @ attention.qkv.weight.double().T).view(batch, tokens, 3, heads, channels)
    results = []
    for head, mask in enumerate(masks):
        q, k, v = (qkv[:, :, part, head] for part in range(3))
        scores = q @ k.transpose(1, 2) / math.sqrt(channels)
        scores = scores.masked_fill(~mask, float("-inf"))
        results.append(torch.softmax(scores, dim=-1) @ v)
    return torch.cat(results, dim=-1) @ attention.out.weight.double().T


def without_positions(task_name: str) -> tuple[Task, GramConfig]:
    task = puzzles.task(task_name)
    return task, replace(preset("tiny", task), rotary="none")


@pytest.mark.parametrize("name", ["sudoku-9x9", "sudoku-6x6", "sudoku-4x4", "nqueens-5"])
def test_each_relational_head_attends_exactly_within_its_units_and_so_do_its_gradients(
    name: str,
) -> None:
    torch.manual_seed(0)
    task, config = without_positions(name)
    attention = Attention(config, config.head_kinds, task.units)
    everything = torch.ones(task.length, task.length, dtype=torch.bool)
    masks = [everything if kind == "any" else dense_mask(task, kind) for kind in config.head_kinds]
    x = torch.randn(3, task.length, config.dim, requires_grad=True)
    found, expected = attention(x), dense_attention(attention, x, masks)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-4)
    weight = torch.randn(3, task.length, config.dim)
    (gradient,) = torch.autograd.grad((found * weight).sum(), x)
    (dense,) = torch.autograd.grad((expected * weight.double()).sum(), x)
    torch.testing.assert_close(gradient, dense, atol=1e-4, rtol=1e-3)


def test_graph_heads_attend_to_neighbours_and_themselves() -> None:
    torch.manual_seed(0)
    task, config = without_positions("graph-coloring-8")
    attention = Attention(config, config.head_kinds, task.units)
    edges = torch.triu(torch.rand(4, 8, 8) < 0.4, 1)
    adjacency = edges | edges.transpose(1, 2)
    own = adjacency | torch.eye(8, dtype=torch.bool)
    everything = torch.ones(8, 8, dtype=torch.bool)
    masks = [own if kind == "edge" else everything for kind in config.head_kinds]
    x = torch.randn(4, 8, config.dim)
    expected = dense_attention(attention, x, masks)
    torch.testing.assert_close(attention(x, adjacency).double(), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("rotary", "step"), [("1d", 1), ("2d", 9), ("2d", 1)])
def test_rotary_scores_depend_on_relative_position_only(rotary: Rotary, step: int) -> None:
    torch.manual_seed(0)
    task = puzzles.task("sudoku-9x9")
    config = replace(
        preset("tiny", task), mixer="attention", head_kinds=(), rotary=rotary, num_heads=4
    )
    attention = Attention(config, ("any",) * 4, ())
    same = torch.randn(1, 1, 3, 4, config.head_dim).expand(1, 81, 3, 4, config.head_dim)
    turned = attention._rotate(same)
    q, k = turned[0, :, 0, 0].double(), turned[0, :, 1, 0].double()
    first = torch.dot(q[0], k[step])
    second = torch.dot(q[20], k[20 + step])
    far = torch.dot(q[0], k[40])
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-5)
    assert abs(float(first - far)) > 1e-4


def test_values_are_not_turned() -> None:
    task = puzzles.task("sudoku-4x4")
    config = replace(preset("tiny", task), mixer="attention", head_kinds=(), num_heads=4)
    attention = Attention(config, ("any",) * 4, ())
    qkv = torch.randn(2, 16, 3, 4, config.head_dim)
    assert torch.equal(attention._rotate(qkv)[:, :, 2], qkv[:, :, 2])


def test_token_mixing_is_a_swiglu_over_the_sequence() -> None:
    torch.manual_seed(0)
    task = puzzles.task("sudoku-4x4")
    config = replace(preset("tiny", task), mixer="token", head_kinds=())
    mixing = TokenMixing(config)
    x = torch.randn(2, 16, config.dim)
    one_channel = mixing.mlp(x[:, :, 3])
    torch.testing.assert_close(mixing(x)[:, :, 3], one_channel)


def test_token_mixing_has_a_width_and_a_norm_of_its_own() -> None:
    torch.manual_seed(0)
    task = puzzles.task("sudoku-4x4")
    config = replace(
        preset("tiny", task), mixer="token", head_kinds=(), token_ffn_dim=24, mixer_norm="tokens"
    )
    block, x = Block(config, ()), torch.randn(2, 16, config.dim)
    assert isinstance(block.mixer, TokenMixing)
    assert block.mixer.mlp.down.weight.shape == (16, 24)
    turned = x.transpose(1, 2)
    mixed = torch.nn.functional.normalize(turned + block.mixer.mlp(turned), dim=-1) * 16**0.5
    mixed = mixed.transpose(1, 2)
    expected = torch.nn.functional.normalize(mixed + block.mlp(mixed), dim=-1) * config.dim**0.5
    torch.testing.assert_close(block(x), expected, atol=1e-4, rtol=1e-4)


def test_swiglu_equals_its_formula() -> None:
    torch.manual_seed(0)
    layer = SwiGLU(8, 6, out_dim=5)
    x = torch.randn(4, 8)
    gate, up = (x.double() @ layer.gate_up.weight.double().T).split(6, dim=-1)
    expected = (gate / (1 + torch.exp(-gate)) * up) @ layer.down.weight.double().T
    torch.testing.assert_close(layer(x).double(), expected, atol=1e-6, rtol=1e-5)


def test_a_block_leaves_every_token_with_unit_rms() -> None:
    torch.manual_seed(0)
    task, config = without_positions("sudoku-4x4")
    y = Block(config, task.units)(torch.randn(2, 16, config.dim) * 30)
    torch.testing.assert_close(y.square().mean(dim=-1), torch.ones(2, 16), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(rms_norm(3 * y), y, atol=1e-3, rtol=1e-3)


def test_a_head_kind_that_no_unit_has_is_refused() -> None:
    task = puzzles.task("sudoku-4x4")
    config = replace(preset("tiny", task), head_kinds=("row", "column", "diagonal", "any"))
    with pytest.raises(ConfigError, match="diagonal"):
        Attention(config, config.head_kinds, task.units)
