"""The relation of each attention head, and the rotary tables."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

EDGE_GROUP = -1
"""Group of every cell in a head that follows the instance's own graph."""
NEAR_GROUP = -2
"""Group of every cell in a neighbourhood head, which the caller handles separately."""
OFFSETS: Final = ((0, 0), (1, 0), (0, -1), (0, 1), (-1, 0))
"""(row, column) steps of a neighbourhood head: itself, down, left, right, up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadTables:
    """The relations of a model's heads; those with positions come last."""

    groups: Tensor
    """(heads, tokens) int32: a token attends to its group, or to its neighbours and itself where
    the group is ``EDGE_GROUP``."""
    rotary: Tensor
    """(2, 2, tokens, head_dim) float32: cosines and sines of a head without positions (1 and 0),
    then of one with them."""
    first_rotary_head: int
    """First head whose queries and keys are rotated by position."""

    def to(self, device: torch.device | str) -> "HeadTables":
        return HeadTables(
            groups=self.groups.to(device),
            rotary=self.rotary.to(device),
            first_rotary_head=self.first_rotary_head,
        )


def outside_cells(rows: int, columns: int) -> Tensor:
    """Return (rows, columns, 5) bool: whether the cell at each of ``OFFSETS`` is off the board."""
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    places = [(row + down, column + right) for down, right in OFFSETS]
    return torch.stack(
        [(r < 0) | (r >= rows) | (c < 0) | (c >= columns) for r, c in places], dim=-1
    )


def neighbour_cells(is_outside: Tensor) -> Tensor:
    """Return (5, cells) int64: the cell at each of ``OFFSETS``, -1 beyond the border."""
    rows, columns = is_outside.shape[:2]
    cells = torch.arange(rows * columns, device=is_outside.device)
    steps = torch.tensor([down * columns + right for down, right in OFFSETS], device=cells.device)
    is_none = is_outside.flatten(0, 1).T
    return (cells + steps[:, None]).masked_fill(is_none, -1)
