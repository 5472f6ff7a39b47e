"""Neighbourhood heads against dense attention under a mask, forwards and backwards."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gram_core import puzzles
from gram_core.config import GramConfig, Rotary, preset
from gram_core.layers import Attention, NearAttention
from gram_core.model import Gram
from gram_core.relations import row_and_column_units
from gram_kernels.supervision_step.heads import OFFSETS

BOARDS = [(4, 5), (1, 6), (7, 1), (3, 3)]


def config_of(rows: int, columns: int) -> GramConfig:
    task = puzzles.task(f"maze-{rows}x{columns}")
    return preset("tiny", task)


def direction_table(rows: int, columns: int) -> Tensor:
    """(cells, cells): index of the offset that leads from one cell to another, -1 where none."""
    table = torch.full((rows * columns, rows * columns), -1)
    for row in range(rows):
        for column in range(columns):
            for index, (down, right) in enumerate(OFFSETS):
                if 0 <= row + down < rows and 0 <= column + right < columns:
                    table[row * columns + column, (row + down) * columns + column + right] = index
    return table


def dense(near: NearAttention, qkv: Tensor) -> Tensor:
    """Attend over all cells at once, with the neighbourhood as a mask."""
    table = direction_table(*near.is_outside.shape[:2])
    is_near = table >= 0
    q, k, v = qkv.unbind(2)  # (batch, cells, heads, channels)
    keys = k[:, None] + near.key_direction[table.clamp(min=0)]  # (batch, from, to, heads, channels)
    values = v[:, None] + near.value_direction[table.clamp(min=0)]
    scores = (q[:, :, None] * keys).sum(dim=-1) / math.sqrt(q.shape[-1])
    scores = scores.masked_fill(~is_near[..., None], float("-inf"))
    return (torch.softmax(scores, dim=2)[..., None] * values).sum(dim=2)


@pytest.mark.parametrize(("rows", "columns"), BOARDS)
def test_near_heads_and_their_gradients_are_dense_attention_under_a_mask(
    rows: int, columns: int
) -> None:
    torch.manual_seed(0)
    config = config_of(rows, columns)
    near = NearAttention(config, 2).double()
    qkv = torch.randn(3, rows * columns, 3, 2, config.head_dim, dtype=torch.float64)
    found, expected = near(qkv.requires_grad_()), dense(near, qkv)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    inputs = [qkv, near.key_direction, near.value_direction]
    weight = torch.randn_like(found)
    gradients = (torch.autograd.grad((one * weight).sum(), inputs) for one in (found, expected))
    for one, other in zip(*gradients, strict=True):
        # Scores are computed in float32.
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def reached(attention: Attention, dim: int) -> Tensor:
    """Return the cells of a board of 4x6 that hear of a change at row 1, column 2."""
    x = torch.randn(1, 24, dim)
    changed = x.clone()
    changed[0, 8] += 1.0
    differs: Tensor = attention(changed) != attention(x)
    return differs.any(dim=-1)[0].view(4, 6)


def test_a_maze_model_sees_neighbours_alone_and_its_weights_fit_any_board() -> None:
    torch.manual_seed(2)
    config, larger = config_of(4, 6), config_of(9, 5)
    assert config.head_kinds == ("near",) * 4
    expected = torch.zeros(4, 6, dtype=torch.bool)
    expected[1, 1:4] = expected[0:3, 2] = True
    assert torch.equal(reached(Attention(config, config.head_kinds, ()), config.dim), expected)
    Gram(larger).load_state_dict(Gram(config).state_dict())


def test_heads_of_two_kinds_see_neighbours_and_lines() -> None:
    torch.manual_seed(2)
    config = config_of(4, 6)
    attention = Attention(config, ("near", "near", "row", "column"), ())
    # A change of one cell reaches its row, its column and its neighbours, which lie in them.
    expected = torch.zeros(4, 6, dtype=torch.bool)
    expected[1, :] = expected[:, 2] = True
    assert torch.equal(reached(attention, config.dim), expected)


def test_heads_on_lines_of_the_layout_know_the_order_of_their_cells() -> None:
    torch.manual_seed(3)
    config = config_of(2, 6)
    x = torch.randn(1, 12, config.dim)
    swapped = x[:, [0, 1, 3, 2, *range(4, 12)]]
    rotaries: tuple[Rotary, Rotary] = ("none", "2d")
    for rotary in rotaries:
        chosen = replace(config, rotary=rotary, num_heads=4, head_kinds=("row",) * 4)
        attention = Attention(chosen, chosen.head_kinds, ())
        kept = torch.allclose(attention(x)[0, 0], attention(swapped)[0, 0], atol=1e-6)
        assert kept == (rotary == "none")


def test_lines_cover_the_board_twice() -> None:
    groups = row_and_column_units(3, 4)
    assert [unit.name for unit in groups][:4] == ["row 0", "row 1", "row 2", "column 0"]
    assert groups[1].cells == (4, 5, 6, 7)
    assert groups[4].cells == (1, 5, 9)
    assert sorted(cell for unit in groups for cell in unit.cells) == sorted([*range(12)] * 2)
