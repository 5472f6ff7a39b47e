"""What each head may look at, and how its queries and keys are turned."""

from dataclasses import dataclass

import torch
from torch import Tensor

MAX_TOKENS = 128
"""Longer sequences do not fit the kernel: a head's whole scores are on chip at once."""
EDGE_GROUP = -1
"""Group of every cell in a head that follows the instance's own graph."""
NEAR_GROUP = -2
"""Group of every cell in a head that sees fixed places around a cell: no relation of groups, and
left to who knows the places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadTables:
    """The relations of a model's heads; those with positions come last."""

    groups: Tensor
    """(heads, tokens) int32: a token sees those of its group, or its neighbours and itself where
    the group is ``EDGE_GROUP``."""
    rotary: Tensor
    """(2, 2, tokens, head_dim) float32: cosines and sines of a head without positions (1 and 0),
    then of one with them."""
    first_rotary_head: int
    """First head whose queries and keys are turned by their position."""

    def to(self, device: torch.device | str) -> "HeadTables":
        """Return the tables on a device."""
        return HeadTables(
            groups=self.groups.to(device),
            rotary=self.rotary.to(device),
            first_rotary_head=self.first_rotary_head,
        )
