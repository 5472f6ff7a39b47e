"""What a trajectory carries from one supervision step to the next."""

from typing import NamedTuple

from torch import Tensor


class LatentState(NamedTuple):
    """The latent state (h, l), each (batch, tokens, dim)."""

    high: Tensor
    low: Tensor

    def detach(self) -> "LatentState":
        """Return the same values, detached from the autograd graph."""
        return LatentState(self.high.detach(), self.low.detach())


class StepOutput(NamedTuple):
    """Output of one supervision step."""

    state: LatentState
    logits: Tensor
    """(batch, length, vocabulary)."""
    halt: Tensor
    """(batch,) logit of halting (ACT)."""
    value: Tensor
    """(batch,) expected accuracy of the trajectory's final answer (LPRM)."""
