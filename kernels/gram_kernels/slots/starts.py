"""The initial data of new trajectories."""

from typing import NamedTuple

from torch import Tensor


class Starts(NamedTuple):
    """New trajectories, each part (starts, ...)."""

    rows: Tensor
    """(starts,) int64: row of each; no row twice."""
    givens: Tensor
    """(starts, tokens) int32."""
    seeds: Tensor
    """(starts,) int64."""
    trajectories: Tensor
    """(starts,) int64."""
    adjacency: Tensor | None
    """(starts, tokens, tokens) bool."""
